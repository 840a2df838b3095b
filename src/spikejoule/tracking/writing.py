"""Parameters, metrics, curves and tags on their way into a run, within MLflow's limits a call."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from spikejoule.tracking.pages import CURVES, dataset_input

if TYPE_CHECKING:
    from mlflow import MlflowClient

Item = TypeVar("Item")

_PARAMETERS_A_BATCH = 100
_TAGS_A_BATCH = 100
_METRICS_A_BATCH = 1000

_NOT_CURVES = ("epoch", "elapsed_seconds")


def with_context(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags` beside those that MLflow gives a run of its own: the user, MLFLOW_RUN_CONTEXT."""
    from mlflow.tracking.context.registry import resolve_tags

    return dict(resolve_tags(dict(tags)))


def log_parameters(client: "MlflowClient", run_id: str, parameters: Mapping[str, Any]) -> None:
    """Log parameters as text; those that the run has already must be the same."""
    from mlflow.entities import Param

    entries = [Param(name, str(value)) for name, value in parameters.items()]
    for some in _batches(entries, _PARAMETERS_A_BATCH):
        client.log_batch(run_id, params=some)


def log_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags, in place of those of the same name."""
    from mlflow.entities import RunTag

    entries = [RunTag(name, value) for name, value in tags.items()]
    for some in _batches(entries, _TAGS_A_BATCH):
        client.log_batch(run_id, tags=some)


def log_dataset(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    """Log the data set that `tags` name, if they name one."""
    dataset = dataset_input(tags)
    if dataset is not None:
        client.log_inputs(run_id, [dataset])


def log_metrics(
    client: "MlflowClient", run_id: str, metrics: Mapping[str, float], time_ms: int
) -> None:
    """Log final figures."""
    from mlflow.entities import Metric

    entries = [Metric(name, float(value), time_ms, 0) for name, value in metrics.items()]
    for some in _batches(entries, _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=some)


def log_history(
    client: "MlflowClient",
    run_id: str,
    history: Sequence[Mapping[str, float]],
    started_ms: int,
    repeated: bool = False,
) -> None:
    """Log the curves of a `RunRecord.history`; `repeated`: but for points that the run has."""
    from mlflow.entities import Metric

    names = {name for row in history for name in row if name not in _NOT_CURVES}
    present = {
        (name, point.step)
        for name in (names if repeated else ())
        for point in client.get_metric_history(run_id, CURVES + name)
    }
    entries = [
        Metric(
            CURVES + name,
            float(value),
            started_ms + round(1000 * row.get("elapsed_seconds", 0.0)),
            int(row["epoch"]),
        )
        for row in history
        for name, value in row.items()
        if name in names and (name, int(row["epoch"])) not in present
    ]
    for some in _batches(entries, _METRICS_A_BATCH):
        client.log_batch(run_id, metrics=some)


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
