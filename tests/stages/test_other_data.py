"""The pipeline on other data than digits of MNIST: small sets in the formats of the real ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikejoule.data.sources.n_mnist import NMnist
from spikejoule.data.sources.shd import Shd
from spikejoule.params import parse_params
from tests.tools import sensor_files
from tests.tools.committed import committed_params
from tests.tools.pipeline_tools import artifact_paths
from tests.tools.without_torch import needs_torch

pytestmark = needs_torch

STAGES = (
    "prepare", "encode", "baseline", "train", "measure_inference", "evaluate", "energy_report",
)  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "data": {"validation_size": 0.25},
    "encode": {"time_window": 10},
    "model": {"hidden": 30, "threshold": 0.5},
    "train": {
        "engine": "dense", "batch_size": 20, "lr": 0.01, "max_epochs": 5, "shift_pixels": 0,
        "rotate_degrees": 0.0, "scale_fraction": 0.0, "resume": False,
    },
    "baseline": {"family_hidden": []},
    "measure_inference": {"n_samples": 60},
    "energy_report": {"bootstrap_samples": 100},
}  # fmt: skip


def run_pipeline(
    folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, **chosen: Any
) -> dict[str, Path]:
    """All stages but the last, in a folder; the keys of `chosen` are `section__key`."""
    import importlib

    monkeypatch.chdir(folder)
    content = committed_params().model_dump(mode="json")
    for section, values in SMALL.items():
        content[section] |= values
    for key, value in chosen.items():
        section, _, name = key.partition("__")
        content[section][name] = value
    params = parse_params(content)
    own = {"hardware"}
    paths = {
        name: (repository if name in own else folder) / path
        for name, path in artifact_paths(repository).items()
    }
    for stage in STAGES:
        importlib.import_module(f"stages.{stage}").main(paths, params)
    return paths


def percent(paths: dict[str, Path]) -> float:
    return float(json.loads(paths["evaluate_metrics"].read_text())["test_accuracy_percent"])


def test_n_mnist(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / ".cache" / "n_mnist"
    sensor_files.write_n_mnist(cache, 160, 60)
    sensor_files.keep(cache, NMnist, monkeypatch)
    paths = run_pipeline(
        tmp_path, repository, monkeypatch,
        data__source="n_mnist", encode__encoding="none", encode__window_ms=200.0,
    )  # fmt: skip
    assert percent(paths) > 60
    figures = json.loads(paths["encode_metrics"].read_text())["test"]
    given = sum(
        len(list(sensor_files.digit_events(k % 10, 1_000_001 + k).times)) for k in range(60)
    )
    assert figures["events_dropped"] + figures["events_merged"] + figures["spikes"] == given
    assert min(figures["events_dropped"], figures["events_merged"]) > 0
    page = paths["energy_page"].read_text(encoding="utf-8")
    assert "200 ms in 10 steps" in page
    assert "test images" not in page
    description = json.loads(paths["data_metrics"].read_text())
    assert (description["noun"], description["samples"]) == ("digit", "samples")


@pytest.mark.slow
def test_shd(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / ".cache" / "shd"
    sensor_files.write_shd(cache, 320, 100)
    sensor_files.keep(cache, Shd, monkeypatch)
    paths = run_pipeline(
        tmp_path, repository, monkeypatch,
        data__source="shd", encode__encoding="none", encode__window_ms=1000.0,
    )  # fmt: skip
    assert percent(paths) > 60
