"""Writing a single run: it begins or is continued, its curves grow, it ends."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import psutil

from spikejoule.tracking.failures import without_passwords
from spikejoule.tracking.store import FAILURE_TAG, PROCESS_TAG, runs_with

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURVES: Final = "by_epoch/"
"""Prefix of the curves. MLflow groups charts by it and sorts the groups by name."""

CONTEXT: Final = "MLFLOW_RUN_CONTEXT"
"""MLflow's variable with tags of every new run, as JSON."""

_LONGEST_TAG = 500


def begin_run(
    client: "MlflowClient",
    experiment_id: str,
    unfinished: "Run | None",
    tags: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> "Run":
    """Continue an unfinished run, or begin a new one, with these tags and parameters.

    The user and the tags in MLFLOW_RUN_CONTEXT are added. A run's parameters cannot be
    changed, so those that the unfinished run has must be among these.
    """
    from mlflow.entities import Param, RunTag

    all_tags = {
        "mlflow.user": psutil.Process().username(),
        "mlflow.source.type": "LOCAL",
        **json.loads(os.environ.get(CONTEXT) or "{}"),
        **tags,
    }
    run = unfinished or client.create_run(experiment_id, tags=all_tags)
    if unfinished is not None:
        client.update_run(run.info.run_id, status="RUNNING")
        if FAILURE_TAG in run.data.tags:
            client.delete_tag(run.info.run_id, FAILURE_TAG)
    client.log_batch(
        run.info.run_id,
        params=[Param(key, str(value)) for key, value in parameters.items()],
        tags=[RunTag(key, text) for key, text in all_tags.items()],
    )
    return run


def unfinished_run(
    client: "MlflowClient",
    experiment_id: str,
    sought: Mapping[str, str],
    keeper: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> "Run | None":
    """Find the latest run that `begin_run` can continue; None if there is none.

    Args:
        client: client of the store.
        experiment_id: the experiment.
        sought: tags of the run.
        keeper: as by `keeper_tags`. The run is of this process, or has ended.
        parameters: every parameter that the run has is among these, with its value.
    """
    text = {name: str(value) for name, value in parameters.items()}
    unfinished = ("RUNNING", "KILLED", "FAILED")
    for run in runs_with(client, experiment_id, sought, unfinished):
        is_ours = run.data.tags.get(PROCESS_TAG) == keeper[PROCESS_TAG]
        has_ended = run.info.status != "RUNNING"
        if (is_ours or has_ended) and run.data.params.items() <= text.items():
            return run
    return None


def log_history(
    client: "MlflowClient", run_id: str, history: Sequence[Mapping[str, float]]
) -> None:
    """Log curves, without the epochs that the run has already.

    Args:
        client: client of the store.
        run_id: the run.
        history: one mapping per epoch: `epoch` (from 1) becomes the step, the other
            entries become metrics.
    """
    from mlflow.entities import Metric

    if not history:
        return
    # An epoch is one batch, so any of its curves tells whether the run has it.
    any_curve = next(name for name in history[0] if name != "epoch")
    points = client.get_metric_history(run_id, CURVES + any_curve)
    logged = {point.step for point in points}
    now_ms = time.time_ns() // 1_000_000
    for row in history:
        epoch = int(row["epoch"])
        if epoch not in logged:
            metrics = [
                Metric(CURVES + name, float(value), now_ms, epoch)
                for name, value in row.items()
                if name != "epoch"
            ]
            client.log_batch(run_id, metrics)


def end_run(
    client: "MlflowClient",
    run_id: str,
    status: str,
    metrics: Mapping[str, float] = {},
    tags: Mapping[str, str] = {},
) -> None:
    """Log final metrics and tags, without passwords, and set the run's status.

    The status is one of MLflow's; with RUNNING the run does not end yet.
    """
    from mlflow.entities import Metric, RunTag

    now_ms = time.time_ns() // 1_000_000
    client.log_batch(
        run_id,
        [Metric(name, float(value), now_ms, 0) for name, value in metrics.items()],
        tags=[
            RunTag(name, without_passwords(text)[:_LONGEST_TAG])
            for name, text in tags.items()
        ],
    )
    if status != "RUNNING":
        client.set_terminated(run_id, status, now_ms)
