"""Recorded runs as one frame, from which everything that compares, averages or cites them selects.

A row is a finished run. Its columns bear MLflow's names: `run_id`, `name`, `params.train.lr` (text,
as MLflow keeps parameters), `metrics.test_accuracy_percent` (numbers), `tags.git.commit` (text);
what a run has not is NaN.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.params import by_new_names, earlier_values
from spikejoule.tracking.store import (
    Store,
    in_one_line,
    opened,
    store_errors,
    without_passwords,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Read = TypeVar("Read")

PARAMETER: Final = "params."
METRIC: Final = "metrics."
TAG: Final = "tags."

_RUNS_A_PAGE = 1000
# Parameters that say where and how a result was computed or shown, and do not change it.
_WITHOUT_EFFECT = tuple(
    PARAMETER + name
    for name in (
        "energy_report.",
        "evaluate.",
        "publish.",
        "data.source",
        "train.engine",
        "train.device",
        "train.threads",
        "train.resume",
    )
)
OF_BASELINE: Final = f"{PARAMETER}baseline."
"""What trains the conventional network: of effect where it was the teacher."""


def finished_runs(store: Store) -> pd.DataFrame:
    """All finished runs of the store's experiment, the latest first.

    Parameters that came after a run have the value that stands for what there was before.

    Raises StoreError if the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        return runs_of(client, experiment_id)


def runs_of(
    client: "MlflowClient", experiment_id: str, run_ids: Iterable[str] = ()
) -> pd.DataFrame:
    """The same of a store that is open; where there are `run_ids`, of those runs alone."""
    names = ", ".join(f"'{run_id}'" for run_id in run_ids)
    chosen = f" AND attributes.run_id IN ({names})" if names else ""
    runs: list[Any] = []
    page: str | None = ""
    while page is not None:
        found = client.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'FINISHED'{chosen}",
            max_results=_RUNS_A_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=page or None,
        )
        runs += found
        page = found.token or None
    return frame_of(runs)


def frame_of(runs: Iterable["Run"]) -> pd.DataFrame:
    """The frame of MLflow's runs, in their order."""
    earlier = {name: str(value) for name, value in earlier_values().items()}
    rows = [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "params": {**earlier, **under_new_names(run.data.params)},
            "metrics": run.data.metrics,
            "tags": run.data.tags,
        }
        for run in runs
    ]
    return pd.json_normalize(rows) if rows else pd.DataFrame(columns=["run_id", "name"])


def deciding_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of the parameters that decide the runs' results, sorted by name.

    Those of the conventional network are NaN where it was not the teacher.
    """
    names = [
        name
        for name in sorted(runs)
        if name.startswith(PARAMETER) and not name.startswith(_WITHOUT_EFFECT)
    ]
    of_baseline = [name for name in names if name.startswith(OF_BASELINE)]
    is_distilled = column(runs, f"{PARAMETER}train.distillation").astype(float) != 0
    parameters = runs[names]
    return parameters.assign(**parameters[of_baseline].where(is_distilled))


def column(runs: pd.DataFrame, name: str) -> pd.Series:
    """A column of the frame, which is all NaN if no run has such a value."""
    return runs.get(name, pd.Series(index=runs.index, dtype=object))


def under_new_names(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters by the full names that they have today."""
    return {
        re.sub(r"^rival\.", "baseline.", name): text
        for name, text in by_new_names(parameters).items()
    }


@contextmanager
def opened_to_read(store: Store) -> "Iterator[tuple[MlflowClient, str]]":
    """A client of a store that exists, and the id of its experiment.

    Raises StoreError if the store does not exist, and for whatever goes wrong while it is read; an
    error of this project's own stays as it is.
    """
    # Reading must not leave an empty database behind.
    database = store.database
    if database is not None and not database.is_file():
        raise StoreError(f"there is no MLflow store at {database}: run the pipeline first.")
    where = without_passwords(store.tracking_uri)
    with store_errors(f"the MLflow store {where} cannot be read"), opened(store) as found:
        yield found


def read_stored(
    client: "MlflowClient", run_id: str, artifact: Path, read: Callable[[Path], Read]
) -> Read:
    """What `read` makes of a file that a run has stored.

    Raises ArtifactError, in one sentence that names the run, if the file is not there or damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(client.download_artifacts(run_id, artifact.as_posix(), folder))
        except Exception as error:
            place = without_passwords(client.get_run(run_id).info.artifact_uri)
            raise ArtifactError(
                f"{artifact} of run {run_id} cannot be read from {place} ({in_one_line(error)}): "
                "if the run's files were moved or removed, bring them back, or delete the run."
            ) from error
        try:
            return read(path)
        except ArtifactError as error:
            raise ArtifactError(f"run {run_id}: {error}") from error
