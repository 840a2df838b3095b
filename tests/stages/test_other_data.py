"""The pipeline on sensor data: small sets in the formats of the real ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikejoule.data.sources.n_mnist import NMnist
from spikejoule.data.sources.shd import Shd
from tests.tools import sensor_files
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


def run_pipeline(repository: Path, folder: Path, **chosen: Any) -> dict[str, Path]:
    """Run all stages but the last in `folder`; the keys of `chosen` are
    `section__key`.
    """
    parameters = {key.replace("__", "."): value for key, value in chosen.items()}
    make_project(repository, folder, SMALL | parameters)
    run_stages(folder, STAGES[:-1])
    return {name: folder / path for name, path in artifact_paths(folder).items()}


def percent(paths: dict[str, Path]) -> float:
    return float(
        json.loads(paths["evaluate_metrics"].read_text())["test_accuracy_percent"]
    )


@pytest.mark.slow
def test_n_mnist(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "project" / ".cache" / "n_mnist"
    sensor_files.write_n_mnist(cache, 160, 60)
    sensor_files.keep(cache, NMnist, monkeypatch)
    paths = run_pipeline(
        repository,
        tmp_path / "project",
        data__source="n_mnist",
        encode__encoding="none",
        encode__window_ms=200.0,
    )
    assert percent(paths) > 60
    figures = json.loads(paths["encode_metrics"].read_text())["test"]
    given = sum(
        len(list(sensor_files.digit_events(k % 10, 1_000_001 + k).times))
        for k in range(60)
    )
    assert (
        figures["events_dropped"] + figures["events_merged"] + figures["spikes"]
        == given
    )
    assert min(figures["events_dropped"], figures["events_merged"]) > 0
    page = paths["energy_page"].read_text(encoding="utf-8")
    assert "200 ms in 10 steps" in page
    assert "test images" not in page
    description = json.loads(paths["data_metrics"].read_text())
    assert (description["noun"], description["samples"]) == ("digit", "samples")


@pytest.mark.slow
def test_shd(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "project" / ".cache" / "shd"
    sensor_files.write_shd(cache, 320, 100)
    sensor_files.keep(cache, Shd, monkeypatch)
    paths = run_pipeline(
        repository,
        tmp_path / "project",
        data__source="shd",
        encode__encoding="none",
        encode__window_ms=1000.0,
    )
    assert percent(paths) > 60
