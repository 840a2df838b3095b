"""The pipeline with other layers, and on other data in the formats of the real sets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.data.sources.n_mnist import NMnist
from spikejoule.encoding.encoded_files import load_encoded_images
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from spikejoule.report.names import layers
from spikejoule.tracking.run_record import build_run_record
from tests.tools import sensor_files
from tests.tools.committed import committed_params
from tests.tools.finished_project import run_stages
from tests.tools.pipeline_tools import STAGES, artifact_paths, make_project
from tests.tools.without_torch import needs_torch

pytestmark = needs_torch

SMALL = {
    "data.validation_size": 0.25,
    "encode.time_window": 10,
    "model.hidden": 30,
    "model.threshold": 0.5,
    "train.engine": "dense",
    "train.batch_size": 20,
    "train.lr": 0.01,
    "train.max_epochs": 5,
    "train.shift_pixels": 0,
    "train.rotate_degrees": 0.0,
    "train.scale_fraction": 0.0,
    "train.resume": False,
    "baseline.family_hidden": [],
    "measure_inference.n_samples": 60,
    "energy_report.bootstrap_samples": 100,
}
WITH_LAYERS = {
    "data.source": "mnist5k",
    "model.layers": ["6c5s2", "2avg", "20r"],
    "model.reset": "subtract",
    "encode.encoding": "latency",
    "train.max_epochs": 2,
    "train.batch_size": 64,
    "train.engine": "auto",
}
# Fraction of spikes on which engine and graph may differ: float32 potentials round.
MISMATCHES_ALLOWED = 1e-4


def run_pipeline(
    repository: Path, folder: Path, parameters: dict[str, Any]
) -> dict[str, Path]:
    """Run all stages but the last in `folder`; the network has learned something."""
    make_project(repository, folder, SMALL | parameters)
    run_stages(folder, STAGES[:-1])
    paths = {name: folder / path for name, path in artifact_paths(folder).items()}
    evaluation = json.loads(paths["evaluate_metrics"].read_text())
    assert evaluation["test_accuracy_percent"] > 50
    return paths


def test_convolutions_pooling_and_recurrence(tmp_path: Path, repository: Path) -> None:
    """Counts in all files agree, and with a run of the NIR graph."""
    paths = run_pipeline(repository, tmp_path / "project", WITH_LAYERS)
    trained = Checkpoint.read_trained(paths["trained"])
    network = trained.network
    complete = Checkpoint.read(paths["checkpoint"])
    assert network == complete.network
    counted = complete.file.inference_spikes.n_samples
    measured = read_measurement(paths, trained).first(counted)
    proxies = complete.file.energy_proxies.per_layer
    events = measured.synaptic_events.mean(axis=0)
    for name, mean in zip(network.connection_names, events, strict=True):
        assert proxies[name].synaptic_events_per_inference == pytest.approx(mean)
    assert layers(network) in paths["energy_page"].read_text(encoding="utf-8")
    record = build_run_record(paths, committed_params(), {})
    assert f"{network.layer_names[-2]}_spikes_per_sample" in record.history[0]

    inputs, _ = load_encoded_images(paths["events_test"])
    inputs = inputs.select(slice(measured.counts.n_samples))
    names = [f"neurons{k + 1}" for k in range(len(measured.layers) - 1)]
    run = run_graph(read_nir(paths["nir"]), inputs, record=names)
    for name, layer in zip(names, measured.layers[1:], strict=True):
        differing = run.recorded[name].to_dense(np.int8) != layer.to_dense(np.int8)
        assert differing.mean() < MISMATCHES_ALLOWED, name


def test_layers_that_do_not_fit_the_samples_are_refused_before_any_training(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="train"):
        run_pipeline(
            repository,
            tmp_path / "project",
            {"data.source": "mnist5k", "model.layers": "[12c5g2]"},
        )
    assert "the layer 12c5g2 has 2 groups" in capsys.readouterr().err


@pytest.mark.slow
def test_n_mnist(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "project" / ".cache" / "n_mnist"
    sensor_files.write_n_mnist(cache, 160, 60)
    sensor_files.keep(cache, NMnist, monkeypatch)
    sensor = {
        "data.source": "n_mnist",
        "encode.encoding": "none",
        "encode.window_ms": 200.0,
    }
    paths = run_pipeline(repository, tmp_path / "project", sensor)
    figures = json.loads(paths["encode_metrics"].read_text())["test"]
    assert min(figures["events_dropped"], figures["events_merged"]) > 0
    lost = figures["events_dropped"] + figures["events_merged"]
    given = sum(
        len(sensor_files.digit_events(k % 10, 1_000_001 + k).times) for k in range(60)
    )
    assert figures["spikes"] + lost == given
    page = paths["energy_page"].read_text(encoding="utf-8")
    assert "200 ms in 10 steps" in page
    assert "test images" not in page
    description = json.loads(paths["data_metrics"].read_text())
    assert (description["noun"], description["samples"]) == ("digit", "samples")
