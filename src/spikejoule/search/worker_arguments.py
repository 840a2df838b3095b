"""What a worker is told, as plain values."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class WorkerArguments:
    """All that a worker is told; plain values.

    Attributes:
        place: fields of the `StudyPlace`.
        trials: how many the study is to have.
        folder: of the search, for states of trials and messages of workers.
        paths: of the artifacts, by name, absolute.
        price_list: the file of hardware profiles.
        threads: CPU threads of each worker.
        store: fields of the MLflow `Store`, as text.
        search_id, run_id: of the search, and MLflow's of its run.
        launcher: number and start of the process without which the worker ends; None for a worker
            that is on its own.
    """

    place: Mapping[str, Any]
    trials: int
    folder: str
    paths: Mapping[str, str]
    price_list: str
    threads: int
    store: Mapping[str, Any]
    search_id: str
    run_id: str
    launcher: tuple[int, float] | None = None

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> "WorkerArguments":
        """The arguments of `as_text`."""
        values = json.loads(text)
        launcher = values.pop("launcher")
        return cls(**values, launcher=None if launcher is None else tuple(launcher))
