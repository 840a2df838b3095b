"""Parent runs: one for a sweep, for presets with several seeds, or for a search.

A parent has no result, and is finished as soon as it exists. The pipeline's runs find
theirs in MLFLOW_RUN_CONTEXT, MLflow's variable with tags for every new run.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spikejoule.core.provenance import content_digest
from spikejoule.tracking.failures import store_errors
from spikejoule.tracking.runs import CONTEXT, begin_run, end_run
from spikejoule.tracking.store import Store, keeper_tags, opened, runs_with

if TYPE_CHECKING:
    from mlflow import MlflowClient

_GROUP_TAG: Final = "spikejoule.group"
_NAME_TAG: Final = "mlflow.runName"
_PARENT_TAG: Final = "mlflow.parentRunId"


@dataclass(frozen=True)
class Trial:
    """A run that is no result of the pipeline: a trial of a search.

    Attributes:
        name: name of the run, which no other trial of the search has.
        parameters: every parameter by its full name.
        metrics: its figures.
    """

    name: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, float]


def environment_of_group(
    store: Store, group: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return an environment in which new runs are children of the group's parent.

    Args:
        store: store of the runs; the parent is added if it has none of this name.
        group: what the group is, such as ``sweep train.lr=0.001,0.003``.
        environment: what to extend.

    Raises StoreError if the store cannot be written.
    """
    with _written(store, group), opened(store) as (client, experiment_id):
        parent = _parent_of(client, experiment_id, group)
    tags = json.loads(environment.get(CONTEXT) or "{}")
    return {**environment, CONTEXT: json.dumps({**tags, _PARENT_TAG: parent})}


def log_trials(store: Store, group: str, trials: Iterable[Trial]) -> None:
    """Log those trials that the group's parent does not have yet.

    Raises StoreError if the store cannot be written.
    """
    with _written(store, group), opened(store) as (client, experiment_id):
        child_of = {_PARENT_TAG: _parent_of(client, experiment_id, group)}
        logged = {
            run.info.run_name
            for run in runs_with(client, experiment_id, child_of, ("FINISHED",))
        }
        for trial in trials:
            if trial.name not in logged:
                tags = {**child_of, **keeper_tags(), _NAME_TAG: trial.name}
                run = begin_run(client, experiment_id, None, tags, trial.parameters)
                end_run(client, run.info.run_id, "FINISHED", trial.metrics)


def _written(store: Store, group: str) -> AbstractContextManager[None]:
    """Turn errors of the store into a StoreError of one sentence."""
    return store_errors(f"the parent run {group!r} was not recorded in {store.name}")


def _parent_of(client: "MlflowClient", experiment_id: str, group: str) -> str:
    """Return the id of a group's parent, which is added if there is none."""
    tag = {_GROUP_TAG: content_digest({"group": group})}
    found = runs_with(client, experiment_id, tag, ("FINISHED",))
    if found:
        return str(found[0].info.run_id)
    tags = {**tag, **keeper_tags(), _NAME_TAG: group}
    run = begin_run(client, experiment_id, None, tags, {})
    end_run(client, run.info.run_id, "FINISHED")
    return str(run.info.run_id)
