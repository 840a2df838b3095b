"""Runs of small networks in a store, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spikejoule.baselines.counts import MeasuredBaseline, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.store import write_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.counts.measurement import Measurement
from spikejoule.counts.proxies import checkpoint_proxies
from spikejoule.data.images import LabelledImages, load_images
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.evaluation.early_exit import choose_early_exit, step_outcomes
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.trained import (
    InferenceResults,
    TrainedNetwork,
    completed,
)
from spikejoule.tracking.live import TRAINED_TAG
from spikejoule.tracking.store import FILES_TAG
from studies.verdict.counted import stored_files
from tests.tools.examples import EVALUATION, TRAIN_TIMINGS, trained_network
from tests.tools.recorded import record, run

DATA = trained_network().data
"""The description of the data of every run."""

SMALL = "ReLU 784-9-10"
LARGE = "ReLU 784-100-10"
TEST_PERCENT = 97.5
"""Test accuracy of every network: 39 of 40 images."""


@dataclass(frozen=True)
class RunNetworks:
    """The networks of a run: a spiking one and conventional ones."""

    spiking: TrainedNetwork
    conventional: Sequence[MeasuredBaseline]


def networks(
    project: Path, seed: int, large: bool = False, percent: float = 97.4
) -> RunNetworks:
    """Draw the networks of a seed's run, one or two of them conventional.

    The conventional ones are counted on the project's test images. `percent` is the
    spiking network's validation accuracy.
    """
    drawn = trained_network((2,), seed)
    *before, best = drawn.history
    reached = {"validation_accuracy_percent": percent}
    history = (*before, best.model_copy(update=reached))
    spiking = replace(drawn, encoder=Latency(time_window=5), history=history)
    images = stored_images(project)
    conventional = [relu(SMALL, 9, seed, 98.9, images)]
    if large:
        conventional.append(relu(LARGE, 100, seed, 99.6, images))
    return RunNetworks(spiking, conventional)


def relu(
    name: str, n_hidden: int, seed: int, percent: float, images: LabelledImages
) -> MeasuredBaseline:
    """Draw and count a conventional network, and give it accuracies."""
    generator = np.random.default_rng(seed)
    shapes = ConventionalNetwork.of_layers(784, [n_hidden], 10).parameter_shapes()
    state = {
        key: generator.normal(0, 0.1, shape).astype(np.float32)
        for key, shape in shapes.items()
    }
    splits = {"validation": images, "test": images}
    measured = measure_baseline(name, state, False, False, splits)
    predictions = images.labels.copy()
    predictions[0] = (predictions[0] + 1) % 10
    counts = replace(measured.counts, validation_accuracy_percent=percent)
    return replace(measured, counts=counts, predictions=predictions)


def record_networks(
    project: Path,
    name: str,
    counted: RunNetworks | None = None,
    seed: int = 42,
    size: int = 400,
    **parameters: str,
) -> str:
    """Record a run and return its id; a run without networks lacks their files."""
    artifacts = {project / "params.yaml": ""}
    weights_sha256 = "0" * 64
    if counted is not None:
        folder = project.parent / f"files of {name}"
        folder.mkdir()
        for file, place in write_files(project, folder, counted).items():
            artifacts[file] = place
        counted.spiking.checkpoint().write(folder / "trained.pth")
        weights_sha256 = file_digest(folder / "trained.pth", "sha256")
    about = {
        "model.hidden": f"[{size}]",
        "seed": str(seed),
        "encode.encoding": "latency",
    }
    times = {
        "training_time_seconds": 50.0,
        "training_processor_seconds": 90.0,
        "baseline_time_seconds": 30.0,
        "baseline_processor_seconds": 32.0,
    }
    all_parameters = {**about, **parameters}
    recorded = run(
        name,
        98,
        97,
        4000 + len(name),
        parameters=all_parameters,
        metrics=times,
        tags={
            TRAINED_TAG: weights_sha256,
            FILES_TAG: content_digest(DATA["sha256"]),
        },
    )
    return record(project, recorded, artifacts)


def write_files(project: Path, folder: Path, counted: RunNetworks) -> dict[Path, str]:
    """Write what a run stores of its networks, and return each file's place in it."""
    stored = stored_files(artifact_paths(project))
    files = {name: folder / place.name for name, place in stored.items()}
    images = stored_images(project)
    measured = run_spiking(counted.spiking, images)
    results = InferenceResults(
        measured.counts,
        0.25,
        {**EVALUATION, "test_accuracy_percent": TEST_PERCENT},
        checkpoint_proxies(measured.activity()),
    )
    complete = completed(counted.spiking.checkpoint(), results, TRAIN_TIMINGS)
    complete.write(files["checkpoint"])
    outcomes = step_outcomes(measured, images.labels)
    choose_early_exit(outcomes, outcomes, None).write(files["early_exit"])
    save_baseline(files["baseline"], counted.conventional, images.labels)
    return {files[name]: place.parent.as_posix() for name, place in stored.items()}


def run_spiking(trained: TrainedNetwork, images: LabelledImages) -> Measurement:
    """Run a spiking network on test images."""
    events = encode_samples(trained.encoder, images, trained.seed, "test").events
    return measure_network(trained.state, trained.network, events)


def stored_images(project: Path) -> LabelledImages:
    """Read the test images of a project."""
    return load_images(project / artifact_paths(project)["test"])


def write_test_images(project: Path, images: LabelledImages) -> None:
    """Write what `prepare` writes of the test images, and the checksums."""
    paths = artifact_paths(project)
    for name in ("test", "data_metrics"):
        (project / paths[name]).parent.mkdir(parents=True, exist_ok=True)
    images.save(project / paths["test"])
    write_json(project / paths["data_metrics"], DATA)
