"""Reading back from a store."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikejoule.core.errors import StoreError
from spikejoule.params import EARLIER, by_new_names
from spikejoule.tracking.store import Store, in_one_line, opened, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

_RUNS_A_PAGE = 500
_EARLIER = {key: str(value) for key, value in EARLIER.items()}


@dataclass(frozen=True)
class RecordedRun:
    """What a store holds of a finished run.

    Attributes:
        run_id: MLflow's identifier.
        name: the run's name in the user interface.
        parameters: the values as text, as MLflow keeps them, by full name (`train.lr`); those of
            `spikejoule.params.EARLIER` even where the run is from before them.
        metrics: the last value of each.
        tags: provenance in words.
    """

    run_id: str
    name: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


def finished_runs(store: Store) -> tuple[RecordedRun, ...]:
    """All finished runs of the store's experiment, the latest first.

    Raises StoreError if the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        return tuple(_read(client, experiment_id))


@contextmanager
def opened_to_read(store: Store) -> "Iterator[tuple[MlflowClient, str]]":
    """A client of a store that exists, and the id of its experiment.

    Raises StoreError if the store does not exist, and for whatever goes wrong while it is read.
    """
    # Reading must not leave an empty database behind.
    database = store.tracking_uri.partition("sqlite:///")[2]
    if database and not Path(database).is_file():
        raise StoreError(f"there is no MLflow store at {database}: run the pipeline first.")
    try:
        with opened(store) as found:
            yield found
    # Whatever a server, a database or a disk answers; MLflow passes on what its parts raise.
    except Exception as error:
        raise StoreError(
            f"the MLflow store {without_passwords(store.tracking_uri)} cannot be read "
            f"({in_one_line(error)})."
        ) from error


def runs_with_ids(
    client: "MlflowClient", experiment_id: str, run_ids: Sequence[str]
) -> Iterator[RecordedRun]:
    """The finished runs of the experiment among those of these identifiers (hexadecimal digits)."""
    for first in range(0, len(run_ids), _RUNS_A_PAGE):
        names = ", ".join(f"'{name}'" for name in run_ids[first : first + _RUNS_A_PAGE])
        yield from _read(client, experiment_id, f" AND attributes.run_id IN ({names})")


def _read(client: "MlflowClient", experiment_id: str, condition: str = "") -> Iterator[RecordedRun]:
    page: str | None = None
    while True:
        runs: Any = client.search_runs(
            [experiment_id],
            filter_string=f"attributes.status = 'FINISHED'{condition}",
            max_results=_RUNS_A_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=page,
        )
        for run in runs:
            yield RecordedRun(
                run_id=str(run.info.run_id),
                name=str(run.info.run_name),
                parameters={**_EARLIER, **by_new_names(run.data.params)},
                metrics=dict(run.data.metrics),
                tags=dict(run.data.tags),
            )
        page = runs.token
        if not page:
            return
