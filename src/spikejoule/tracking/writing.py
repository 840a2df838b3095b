"""How a run looks in MLflow: its name, note and charts, and the calls that write it.

MLflow keeps a saved view of the run list as a tag of the experiment; its form is that of MLflow
3.17, and a version that does not know it shows its own columns.
"""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spikejoule.data.images import subject_of_data
from spikejoule.tracking.store import FAILURE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

# MLflow groups charts by what stands before the slash, sorted: the curves come first.
CURVES = "by_epoch/"
# The saved view's name in an address: `.../experiments/1/runs?viewStateShareKey=overview`.
VIEW = "overview"

_METRICS = (
    "test_accuracy_percent",
    "best_validation_accuracy_percent",
    "synaptic_events_per_inference",
    "equal_accuracy_ratio",
    "early_exit_test_accuracy_percent",
    "early_exit_synaptic_events_per_inference",
)
_PARAMETERS = ("model.hidden", "encode.time_window", "train.surrogate", "train.lr")
_EXPERIMENT_NOTE = (
    "Spiking networks, one run for each distinct result of the pipeline in dvc.yaml: "
    "parameters of all stages, curves by epoch, figures, the complete checkpoint, and tags for "
    "code, data and libraries.\n\nThe saved view **Overview** (Views, at the top right) shows "
    "accuracy, synaptic events and the parameters that matter most."
)
_RUN_NOTE = {
    "test_accuracy_percent": "**{:.2f} %** of the test {nouns} classified correctly",
    "synaptic_events_per_inference": "**{:,.0f}** synaptic events per inference",
    "equal_accuracy_ratio": (
        "**{:.3g}** times the energy of the cheapest conventional network of equal accuracy, "
        "under the verdict's profile"
    ),
    "early_exit_test_accuracy_percent": "**{:.2f} %** when it answers as soon as it is sure",
    "early_exit_synaptic_events_per_inference": "**{:,.0f}** synaptic events then",
}
_NOT_CURVES = ("epoch", "elapsed_seconds")


def experiment_tags() -> dict[str, str]:
    """Tags of a new experiment: its description, its kind, and a saved view of its runs."""
    columns = [
        "attributes.`Dataset`",
        *(f"metrics.`{name}`" for name in _METRICS),
        *(f"params.`{name}`" for name in _PARAMETERS),
    ]
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
    }
    now_ms = time.time_ns() // 1_000_000
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = {
        "name": VIEW.capitalize(),
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "state": f"deflate;{packed}",
    }
    return {
        "mlflow.note.content": _EXPERIMENT_NOTE,
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }


def run_name(tags: Mapping[str, str]) -> str | None:
    """The name of a run: DVC's of the experiment, else the commit that was reproduced.

    None leaves the choice to MLflow, where neither is known.
    """
    commit = tags.get("git.commit", "unknown")
    if tags.get("dvc.experiment"):
        return tags["dvc.experiment"]
    return None if commit == "unknown" else f"repro-{commit[:7]}"


def run_note(data: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
    """The description of a run, in Markdown: what came out, as far as it is known.

    `data` is the content of a `DataDescription`.
    """
    nouns = subject_of_data(data).nouns
    lines = [
        f"- {text.format(metrics[name], nouns=nouns)}"
        for name, text in _RUN_NOTE.items()
        if name in metrics
    ]
    return "\n".join([*lines, "", str(data["title"])])


def dataset_input(tags: Mapping[str, str]) -> "DatasetInput | None":
    """The data set that a run's tags name, for MLflow's list of data sets; None without a name."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = tags.get("data.source")
    if source is None:
        return None
    digests = {key: value for key, value in tags.items() if key.startswith("data.sha256.")}
    digest = hashlib.sha256("".join(value for _, value in sorted(digests.items())).encode())
    return DatasetInput(
        Dataset(
            name=source,
            digest=digest.hexdigest()[:8],
            source_type="spikejoule",
            source=json.dumps({"title": tags.get("data.title", source), **digests}),
        ),
        [InputTag("mlflow.data.context", "training")],
    )


def take_up(
    client: "MlflowClient",
    experiment_id: str,
    left: "Run | None",
    name: str | None,
    tags: Mapping[str, str],
    started_ms: int | None = None,
) -> str:
    """The id of a running run with some tags: of one that was left, or else of a new one.

    The tags stand beside those that MLflow gives a run of its own: the user, MLFLOW_RUN_CONTEXT.
    """
    from mlflow.tracking.context.registry import resolve_tags

    whole = dict(resolve_tags(dict(tags)))
    if left is None:
        run = client.create_run(experiment_id, started_ms, whole, run_name=name)
        return str(run.info.run_id)
    run_id = str(left.info.run_id)
    client.update_run(run_id, status="RUNNING", name=name)
    log(client, run_id, tags=whole)
    if FAILURE_TAG in left.data.tags:
        client.delete_tag(run_id, FAILURE_TAG)
    return run_id


def log(
    client: "MlflowClient",
    run_id: str,
    parameters: Mapping[str, Any] = {},
    tags: Mapping[str, str] = {},
    metrics: Mapping[str, float] = {},
    time_ms: int = 0,
) -> None:
    """Log parameters as text (those that the run has must be the same), tags and final figures."""
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run_id,
        [Metric(name, float(value), time_ms, 0) for name, value in metrics.items()],
        [Param(name, str(value)) for name, value in parameters.items()],
        [RunTag(name, value) for name, value in tags.items()],
    )


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
    client.log_batch(run_id, entries)
