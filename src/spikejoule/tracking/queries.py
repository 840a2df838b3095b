"""Recorded runs as one frame, from which everything that compares, averages or cites them selects.

A row is a finished run. Its columns bear MLflow's names: `run_id`, `name`, `params.train.lr` (text,
as MLflow keeps parameters), `metrics.test_accuracy_percent` (numbers), `tags.git.commit` (text);
what a run has not is NaN.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from spikejoule.core.errors import ArtifactError, SpikejouleError, StoreError
from spikejoule.evaluation.front_rows import EARLY_EXIT, WHOLE_WINDOW, read_front
from spikejoule.params import by_new_names, earlier_values
from spikejoule.tracking.records import CitedRun
from spikejoule.tracking.store import Store, in_one_line, opened, without_passwords

if TYPE_CHECKING:
    import pandas as pd
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


def finished_runs(store: Store) -> "pd.DataFrame":
    """All finished runs of the store's experiment, the latest first.

    Parameters that came after a run have the value that stands for what there was before.

    Raises StoreError if the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        return _runs(client, experiment_id)


def deciding_parameters(runs: "pd.DataFrame") -> "pd.DataFrame":
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
    try:
        with opened(store) as found:
            yield found
    except SpikejouleError:
        raise
    # Whatever a server, a database or a disk answers; MLflow passes on what its parts raise.
    except Exception as error:
        raise StoreError(
            f"the MLflow store {without_passwords(store.tracking_uri)} cannot be read "
            f"({in_one_line(error)})."
        ) from error


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


def front_citations(path: Path) -> list[CitedRun]:
    """What each row of a Pareto front's table says of its run, but for the name, which may change.

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
            parameters=_under_new_names(row.settings),
            tags={"data.source": row.data_source, "git.commit": row.git_commit},
        )
        for number, row in enumerate(read_front(path), start=2)
    ]


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


def _runs(client: "MlflowClient", experiment_id: str, condition: str = "") -> "pd.DataFrame":
    runs: list[Any] = []
    page: str | None = ""
    while page is not None:
        found = client.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'FINISHED'{condition}",
            max_results=_RUNS_A_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=page or None,
        )
        runs += found
        page = found.token or None
    return frame_of(runs)


def frame_of(runs: Iterable["Run"]) -> "pd.DataFrame":
    """The frame of MLflow's runs, in their order."""
    import pandas as pd

    earlier = {name: str(value) for name, value in earlier_values().items()}
    rows = []
    for run in runs:
        row = {"run_id": run.info.run_id, "name": run.info.run_name}
        for prefix, values in (
            (PARAMETER, {**earlier, **_under_new_names(run.data.params)}),
            (METRIC, run.data.metrics),
            (TAG, run.data.tags),
        ):
            row |= {prefix + name: value for name, value in values.items()}
        rows.append(row)
    names = dict.fromkeys(["run_id", "name", *(name for row in rows for name in row)])
    return pd.DataFrame(rows, columns=list(names))


def column(runs: "pd.DataFrame", name: str) -> "pd.Series":
    """A column of the frame, which is all NaN if no run has such a value."""
    import pandas as pd

    return runs.get(name, pd.Series(index=runs.index, dtype=object))


def _under_new_names(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters by the full names that they have today."""
    return {
        re.sub(r"^rival\.", "baseline.", name): text
        for name, text in by_new_names(parameters).items()
    }


def _names_runs(path: Path) -> bool:
    """Whether the table has the column of run ids, which earlier versions did not write."""
    with path.open("rb") as stream:
        return b"run_id" in stream.readline(10_000) or stream.tell() == 0


def _compared(
    cited: Sequence[CitedRun], client: "MlflowClient", experiment_id: str
) -> list[list[str] | None]:
    if not cited:
        return []
    names = ", ".join(f"'{name}'" for name in sorted({one.run_id for one in cited}))
    runs = _runs(client, experiment_id, f" AND attributes.run_id IN ({names})").set_index("run_id")
    parameters = deciding_parameters(runs)
    return [
        _differences(one, runs.loc[one.run_id], parameters.loc[one.run_id])
        if one.run_id in runs.index
        else None
        for one in cited
    ]


def _differences(cited: CitedRun, run: "pd.Series", parameters: "pd.Series") -> list[str]:
    tags, parameters = run.fillna("unknown"), parameters.fillna("")
    pairs = (
        *((name, value, run.get(METRIC + name)) for name, value in cited.metrics.items()),
        *(
            (name, text, parameters.get(PARAMETER + name, ""))
            for name, text in cited.parameters.items()
        ),
        *((name, text, tags.get(TAG + name, "unknown")) for name, text in cited.tags.items()),
    )
    return [f"{name} {cites} there, {holds} here" for name, cites, holds in pairs if cites != holds]
