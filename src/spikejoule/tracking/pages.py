"""What a reader finds on MLflow's pages: groups of charts, columns, descriptions, data sets.

MLflow keeps a saved view of the run list as a tag of the experiment; its form is that of MLflow
3.17, and a version that does not know it shows its own columns.
"""

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spikejoule.data.images import subject_of_data

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

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
    parts = [
        (
            metrics.get("test_accuracy_percent"),
            f"**{{:.2f}} %** of the test {nouns} read correctly",
        ),
        (metrics.get("synaptic_events_per_inference"), "**{:,.0f}** synaptic events per inference"),
        (
            metrics.get("equal_accuracy_ratio"),
            "**{:.3g}** times the energy of the cheapest conventional network of equal accuracy, "
            "under the verdict's profile",
        ),
        (
            metrics.get("early_exit_test_accuracy_percent"),
            "**{:.2f} %** when it answers as soon as it is sure",
        ),
        (
            metrics.get("early_exit_synaptic_events_per_inference"),
            "**{:,.0f}** synaptic events then",
        ),
    ]
    lines = [f"- {text.format(value)}" for value, text in parts if value is not None]
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
