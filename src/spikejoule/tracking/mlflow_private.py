"""What MLflow has no public way for. Seen in MLflow 3.17.

Tests fail if a newer MLflow has changed it: `tests/tracking/test_mlflow_private.py`,
`test_live.py` for the load of the machine, `test_mlflow_pages.py` for the pages.
"""

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

VIEW: Final = "overview"
"""Name of the saved view in its address:
`.../experiments/1/runs?viewStateShareKey=overview`.
"""
EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Tags of an experiment: its page opens in the view for training."""
VERSIONS_TAG: Final = "mlflow.modelVersions"
"""Tag of a logged model, by which the page of models links to the registry.

`mlflow.register_model` sets it, but finds the model in the default store only.
"""

_TRIES = 3
# Columns of the saved view, with widths in pixels at which every heading fits.
_ALWAYS_SHOWN = {"attributes.`Run Name`": 200, "runDateAndNestInfo": 120}
_SELECTED = {
    "metrics.`accuracy`": 95,
    "metrics.`accuracy_val`": 120,
    "metrics.`events`": 90,
    "metrics.`energy_nj`": 105,
    "metrics.`ratio`": 80,
    "params.`energy_report.profile`": 175,
    "attributes.`Dataset`": 230,
}
_VIEW_STATE = {
    "selectedColumns": [*_SELECTED],
    "columnOrder": [*_ALWAYS_SHOWN, *_SELECTED],
    "columnWidths": _ALWAYS_SHOWN | _SELECTED,
}
_VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"
_SAVED_VIEW = json.dumps(
    {
        "name": VIEW.capitalize(),
        "createdAt": 0,
        "updatedAt": 0,
        "state": json.dumps(_VIEW_STATE),
    }
)


def save_view(client: "MlflowClient", experiment: "Experiment") -> None:
    """Give an experiment its view, unless it has it.

    MLflow keeps the saved views of a list of runs as tags of the experiment. A version
    that does not know this form shows its own columns.
    """
    if experiment.tags.get(_VIEW_TAG) != _SAVED_VIEW:
        client.set_experiment_tag(experiment.experiment_id, _VIEW_TAG, _SAVED_VIEW)


def try_databases_less_often() -> None:
    """Let a database that cannot be reached fail after 3 tries.

    MLflow's ten take 102 s.
    """
    import mlflow.store.db.utils

    mlflow.store.db.utils.MAX_RETRY_COUNT = _TRIES


def system_monitor(run_id: str, tracking_uri: str, seconds: float) -> Any:
    """Return MLflow's monitor of the machine's load, to be started and finished.

    `mlflow.start_run(log_system_metrics=True)` starts the same one, but before the
    first epoch is logged, and ends the run with this process.

    Args:
        run_id: the run; its samples continue those that the run has.
        tracking_uri: the store.
        seconds: between two samples; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL takes
            precedence.
    """
    from mlflow.system_metrics import system_metrics_monitor

    unannotated: Any = system_metrics_monitor
    return unannotated.SystemMetricsMonitor(
        run_id,
        sampling_interval=seconds,
        resume_logging=True,
        tracking_uri=tracking_uri,
    )
