"""What a file says of recorded runs, compared with the runs themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikejoule.core.errors import ArtifactError
from spikejoule.evaluation.front_rows import EARLY_EXIT, WHOLE_WINDOW, read_front
from spikejoule.params import by_new_names
from spikejoule.tracking.reading import RecordedRun, opened_to_read, runs_with_ids
from spikejoule.tracking.records import CitedRun
from spikejoule.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def front_citations(path: Path) -> list[CitedRun]:
    """What each row of a front's table says of its run, but for the name, which may be changed.

    A table of an earlier form, which names no runs, cites none. Raises ArtifactError if the table
    is missing or damaged.
    """
    if path.is_file() and not _names_runs(path):
        return []
    return [
        CitedRun(
            where=f"{path}: row {number}",
            run_id=row.run_id,
            metrics=dict(
                zip(
                    EARLY_EXIT if row.early_exit else WHOLE_WINDOW,
                    (
                        row.validation_accuracy_percent,
                        row.test_accuracy_percent,
                        row.synaptic_events_per_inference,
                    ),
                    strict=True,
                )
            ),
            parameters=by_new_names(row.settings),
            tags={"data.source": row.data_source, "git.commit": row.git_commit},
        )
        for number, row in enumerate(read_front(path), start=2)
    ]


def _names_runs(path: Path) -> bool:
    """Whether the table has the column of run ids, which earlier versions did not write."""
    with path.open("rb") as stream:
        return b"run_id" in stream.readline(10_000) or stream.tell() == 0


def compare_citations(cited: Sequence[CitedRun], store: Store) -> list[list[str] | None]:
    """For each citation what differs from its finished run, in words; None if there is no such run.

    Raises StoreError if the store does not exist, or cannot be read.
    """
    with opened_to_read(store) as (client, experiment_id):
        return _compared(cited, client, experiment_id)


def refuse_wrong_citations(
    cited: Sequence[CitedRun], client: "MlflowClient", experiment_id: str
) -> None:
    """Raise ArtifactError, a line a citation, if any differs from its run; absent runs are none."""
    wrong = [
        f"{one.where} is not what run {one.run_id} holds: {'; '.join(differing)}."
        for one, differing in zip(cited, _compared(cited, client, experiment_id), strict=True)
        if differing
    ]
    if wrong:
        raise ArtifactError("\n".join(wrong))


def _compared(
    cited: Sequence[CitedRun], client: "MlflowClient", experiment_id: str
) -> list[list[str] | None]:
    found = runs_with_ids(client, experiment_id, sorted({one.run_id for one in cited}))
    runs = {run.run_id: run for run in found}
    return [_differences(one, runs[one.run_id]) if one.run_id in runs else None for one in cited]


def _differences(cited: CitedRun, run: RecordedRun) -> list[str]:
    metrics: Mapping[str, float | None] = {name: run.metrics.get(name) for name in cited.metrics}
    pairs = (
        *((name, value, metrics[name]) for name, value in cited.metrics.items()),
        *((name, value, run.parameters.get(name, "")) for name, value in cited.parameters.items()),
        *((name, value, run.tags.get(name, "unknown")) for name, value in cited.tags.items()),
    )
    return [f"{name} {said} there, {held} here" for name, said, held in pairs if said != held]
