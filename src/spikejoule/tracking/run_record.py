"""The contents of a run that holds a result of the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import number_in, read_json, read_text
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.data.dataset import load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.params import Params
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.live import TRAINED_TAG
from spikejoule.tracking.served_folder import ModelFiles
from spikejoule.tracking.store import FILES_TAG

BOUND_TAG = "ratio_bound"
"""``at least`` or ``at most``, where conventional over spiking energy is a bound."""

# Artifacts with the metrics that identify a result, together with the parameters and
# the trained network. None of them holds a clock.
_METRICS = ("train_metrics", "inference_metrics", "evaluate_metrics", "energy_metrics")
_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
# Not stored in MLflow: DVC keeps them, or they are part of the project.
_NOT_STORED = ("trained", "hardware", *_SPLITS)


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and
            metrics.
        parameters: every parameter by its full name (`train.lr`).
        history: epochs, as `log_history` takes them.
        metrics: final figures.
        tags: provenance; MLflow's own `mlflow.runName` names the run.
        artifacts: files to store, each with its folder within the run.
        splits: the data.
        model: what to register as a version of the model; None for nothing.
    """

    result_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    splits: Sequence[DataSplit] = ()
    model: ModelFiles | None = None


def build_run_record(
    paths: Mapping[str, Path], params: Params, tags: Mapping[str, str]
) -> RunRecord:
    """Arrange the outputs of a pipeline as a record.

    Args:
        paths: dependencies of the stage `publish`, each in its folder within the
            project, which becomes its folder within the run.
        params: the pipeline's parameters.
        tags: as `provenance_tags` returns them.

    Raises:
        ArtifactError: an output is missing or damaged.
    """
    trained = Checkpoint.read_trained(paths["trained"])

    # What else made the result is in the files: libraries in the checkpoint, engine and
    # device in the timings, each image file's checksum in the data's description.
    result_tags = {
        "data.source": str(trained.data["source"]),
        "data.title": str(trained.data["title"]),
        FILES_TAG: content_digest(trained.data["sha256"]),
        TRAINED_TAG: file_digest(paths["trained"], "sha256"),
        "mlflow.note.content": read_text(paths["energy_card"]),
    }
    summary = read_json(paths["summary"])
    energy = read_json(paths["energy_metrics"])
    if "ratio_bound" in energy:
        result_tags[BOUND_TAG] = energy["ratio_bound"]

    deciding = [read_json(paths[name]) for name in _METRICS]
    identity = {
        "parameters": params.deciding(),
        "trained": result_tags[TRAINED_TAG],
        "metrics": deciding,
    }
    artifacts = {
        path: name if name == "checkpoint" else path.parent.as_posix()
        for name, path in paths.items()
        if name not in _NOT_STORED
    }
    return RunRecord(
        result_id=content_digest(identity),
        parameters=params.flattened(),
        history=_curves(trained, paths, params),
        # The details come last: the summary rounds the figures that both have.
        metrics=_figures([summary, *deciding]) | _times_and_joules(paths),
        tags={**tags, **result_tags},
        artifacts=artifacts | {Path(PARAMS_FILE): ""},
        splits=_data_splits(paths, trained.data),
        model=ModelFiles(
            checkpoint=paths["checkpoint"],
            price_list=paths["hardware"],
            profile=params.energy_report.profile,
            example=_first_image(paths["test"]),
        ),
    )


def _curves(
    trained: Checkpoint, paths: Mapping[str, Path], params: Params
) -> list[dict[str, float]]:
    """Return the rows of a training's curves, its joules at the headline's prices."""
    profile = select_profile(
        load_profiles(paths["hardware"]),
        params.energy_report.profile,
        "energy_report.profile",
    )
    return Curves(trained, profile).rows(trained.history)


def _figures(contents: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Collect the numbers of several metrics files; later files take precedence."""
    return {
        name: float(value)
        for content in contents
        for name, value in content.items()
        if isinstance(value, int | float)
    }


def _times_and_joules(paths: Mapping[str, Path]) -> dict[str, float]:
    """Read how long measuring and both trainings took, in seconds, and joules drawn."""
    figures = dict(read_json(paths["inference_timings"]))
    for training, file in (
        ("training", "train_timings"),
        ("baseline", "baseline_timings"),
    ):
        times = read_json(paths[file])
        figures[f"{training}_time_seconds"] = number_in(
            times, "training_time_seconds", paths[file]
        )
        for name in ("processor_seconds", "host_joules"):
            if times.get(name) is not None:
                figures[f"{training}_{name}"] = times[name]
    return figures


def _data_splits(
    paths: Mapping[str, Path], data: Mapping[str, Any]
) -> tuple[DataSplit, ...]:
    """Describe the splits of the pipeline's data; `data` is its description."""
    return tuple(
        DataSplit(
            source=str(data["source"]),
            context=context,
            path=paths[name],
            digest=file_digest(paths[name], "md5"),
            n_samples=data["counts"][name],
        )
        for name, context in _SPLITS.items()
    )


def _first_image(path: Path) -> NDArray[np.uint8] | None:
    """Read the first image of a split, [height, width]; None for event data."""
    samples = load_samples(path)
    return samples.images[0] if isinstance(samples, LabelledImages) else None
