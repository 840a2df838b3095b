"""The run in which a training is shown: a new one, or that of a training which goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikejoule.tracking.keeper import FAILURE_TAG, is_kept, keeper_tags
from spikejoule.tracking.pages import run_name
from spikejoule.tracking.writing import log_parameters, log_tags, with_context

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRAINING_TAG = "spikejoule.training."
"""With the name of a stage: what its training is known by, whichever pipeline goes on with it."""


@dataclass(frozen=True)
class ShownRun:
    """A run that this process keeps.

    Attributes:
        run_id: MLflow's identifier.
        started_ms: when it began, in milliseconds since 1970.
        is_continued: whether it may hold epochs already.
    """

    run_id: str
    started_ms: int
    is_continued: bool


def run_to_show(
    client: "MlflowClient",
    experiment_id: str,
    tags: Mapping[str, str],
    parameters: Mapping[str, Any],
    now_ms: int,
    waits: bool,
) -> ShownRun | None:
    """Take up the run of a training that was killed and goes on, or create one.

    Parameters of a run cannot be changed: if they are others now (`train.threads`), a new run takes
    the place of the old one, which held nothing that the new one will not.

    Args:
        client, experiment_id: of an opened store.
        tags: of the run; those of `TRAINING_TAG` say which trainings it is of.
        parameters: all of them.
        now_ms: milliseconds since 1970.
        waits: whether to return None while another living process keeps that run, as the follower
            of a pipeline that was killed does for a moment; else a new one is created beside it.
    """
    tags = with_context({**tags, **keeper_tags()})
    left = _left_run(client, experiment_id, _trainings(tags))
    if left is not None and left.info.status == "RUNNING":
        if waits:
            return None
        left = None
    text = {name: str(value) for name, value in parameters.items()}
    if left is not None and left.data.params.items() <= text.items():
        shown = ShownRun(str(left.info.run_id), int(left.info.start_time), True)
        client.update_run(shown.run_id, status="RUNNING", name=run_name(tags))
        if FAILURE_TAG in left.data.tags:
            client.delete_tag(shown.run_id, FAILURE_TAG)
        log_tags(client, shown.run_id, tags)
    else:
        if left is not None:
            client.delete_run(left.info.run_id)
        run = client.create_run(
            experiment_id, start_time=now_ms, run_name=run_name(tags), tags=tags
        )
        shown = ShownRun(str(run.info.run_id), now_ms, False)
    log_parameters(client, shown.run_id, parameters)
    return shown


def _trainings(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: key for name, key in tags.items() if name.startswith(TRAINING_TAG)}


def _left_run(
    client: "MlflowClient", experiment_id: str, trainings: Mapping[str, str]
) -> Any | None:
    """The latest run of these trainings, and no other, that came to no result.

    One that a living process keeps comes first.
    """
    runs = [
        run
        for name, key in trainings.items()
        for run in client.search_runs(
            [experiment_id],
            f"tags.`{name}` = '{key}'",
            order_by=["attributes.start_time DESC"],
        )
        if _trainings(run.data.tags).items() <= trainings.items()
    ]
    kept = (run for run in runs if run.info.status == "RUNNING" and is_kept(run.data.tags))
    left = (run for run in runs if run.info.status in ("KILLED", "FAILED"))
    return next(kept, None) or next(left, None)
