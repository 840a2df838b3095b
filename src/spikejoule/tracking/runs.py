"""Writing one run: it begins, or is taken up; its curves and child runs grow; it
ends.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spikejoule.tracking.child_runs import PARENT_TAG, ChildRuns
from spikejoule.tracking.store import FAILURE_TAG, runs_with, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURVES: Final = "by_epoch/"
"""MLflow groups charts by what is before the slash, sorted: the curves come first."""

PRICE_LIST: Final = "energy_report.profile"
"""The parameter that a run's child runs have, too."""

_NOT_CURVES = ("samples", "input_macs")
_LONGEST_TAG = 500


def begin_run(
    client: "MlflowClient",
    experiment_id: str,
    left: "Run | None",
    tags: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> "Run":
    """A running run with some tags and parameters: one that was left, or else a new
    one.

    MLflow adds tags of its own: the user, MLFLOW_RUN_CONTEXT.
    Parameters of a run cannot be changed: those that it has must be the same.
    """
    from mlflow.entities import Param, RunTag
    from mlflow.tracking.context.registry import resolve_tags

    whole = dict(resolve_tags(dict(tags)))
    run = left or client.create_run(experiment_id, tags=whole)
    if left is not None:
        client.update_run(left.info.run_id, status="RUNNING")
        if FAILURE_TAG in left.data.tags:
            client.delete_tag(left.info.run_id, FAILURE_TAG)
    client.log_batch(
        run.info.run_id,
        params=[Param(key, str(value)) for key, value in parameters.items()],
        tags=[RunTag(key, text) for key, text in whole.items()] if left else [],
    )
    return run


def has_parameters(run: "Run", parameters: Mapping[str, Any]) -> bool:
    """Whether a run's parameters, as far as it has any, are some of these."""
    text = {name: str(value) for name, value in parameters.items()}
    return bool(run.data.params.items() <= text.items())


def epoch_row(
    record: Mapping[str, Any], layer_names: Sequence[str]
) -> dict[str, float]:
    """One epoch for `log_history`, whether it is shown live or afterwards.

    `record` holds the fields of `network.checkpoint.EpochRecord`; spikes become means a
    sample.
    """
    spikes = zip(layer_names, record["spikes"], strict=True)
    return {
        name: value
        for name, value in record.items()
        if name not in _NOT_CURVES and isinstance(value, int | float)
    } | {
        f"{name}_spikes_per_sample": total / record["samples"] for name, total in spikes
    }


def log_history(
    client: "MlflowClient", run_id: str, history: Sequence[Mapping[str, float]]
) -> None:
    """Log curves, but for the points that the run has already.

    Args:
        client: of the store.
        run_id: of the run.
        history: one mapping per epoch: `epoch` (from 1) becomes the step, the rest
            metrics.
    """
    from mlflow.entities import Metric

    names = {name for row in history for name in row} - {"epoch"}
    present = {
        (name, point.step)
        for name in names
        for point in client.get_metric_history(run_id, CURVES + name)
    }
    logged_ms = time.time_ns() // 1_000_000
    entries = [
        Metric(CURVES + name, float(value), logged_ms, int(row["epoch"]))
        for row in history
        for name, value in row.items()
        if name in names and (name, int(row["epoch"])) not in present
    ]
    client.log_batch(run_id, entries)


def log_children(
    client: "MlflowClient",
    experiment_id: str,
    run_id: str,
    children: ChildRuns,
    parameters: Mapping[str, Any],
    own: Mapping[str, str],
) -> None:
    """Log the child runs of a run, in place of those that a killed process left.

    Args:
        client: of the store.
        experiment_id: of the experiment.
        run_id: of the run above them.
        children: their metrics.
        parameters: of the run above them, whose price list is theirs.
        own: tags that name the process which writes them, for as long as it does.
    """
    from mlflow.entities import Param

    parent = {PARENT_TAG: run_id}
    for left in runs_with(client, experiment_id, parent):
        client.delete_run(left.info.run_id)
    for name, metrics in children.items():
        child = client.create_run(experiment_id, tags={**parent, **own}, run_name=name)
        child_id = child.info.run_id
        client.log_batch(child_id, params=[Param(PRICE_LIST, parameters[PRICE_LIST])])
        end_run(client, child_id, "FINISHED", metrics)
        for tag in own:
            client.delete_tag(child_id, tag)


def end_run(
    client: "MlflowClient",
    run_id: str,
    status: str,
    metrics: Mapping[str, float] = {},
    tags: Mapping[str, str] = {},
) -> None:
    """Log final metrics and tags, and end the run with one of MLflow's statuses;
    RUNNING: not yet.

    No password gets into its tags.
    """
    from mlflow.entities import Metric, RunTag

    ended_ms = time.time_ns() // 1_000_000
    client.log_batch(
        run_id,
        [Metric(name, float(value), ended_ms, 0) for name, value in metrics.items()],
        tags=[
            RunTag(name, without_passwords(text)[:_LONGEST_TAG])
            for name, text in tags.items()
        ],
    )
    if status != "RUNNING":
        client.set_terminated(run_id, status, ended_ms)
