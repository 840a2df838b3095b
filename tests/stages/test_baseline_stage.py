"""The stage baseline: networks of equal size, a family, and what is written of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from spikejoule.baselines.counts import load_baseline
from spikejoule.data.images import Dataset, load_images
from spikejoule.training.teacher import TEACHER
from tests.tools.finished_project import finish_project
from tests.tools.pipeline_tools import artifact_paths

FAMILY = {
    "baseline.family_hidden": [7],
    "baseline.family_pruned": [0.0, 0.5],
    "baseline.family_bits": [32, 4],
}


@pytest.fixture(scope="module")
def folder(repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline") / "project"
    finish_project(repository, mnist5k, folder, FAMILY, last="baseline")
    return folder


def test_equal_size_first_then_every_combination(folder: Path) -> None:
    paths = artifact_paths(folder)
    baselines = load_baseline(
        folder / paths["baseline"], load_images(folder / paths["test"]).labels
    )
    assert [(of.name, of.weight_bits, of.activation_bits) for of in baselines] == [
        ("ReLU 784-16-10", 32, 32),
        ("quantised ReLU 784-16-10", 8, 4),
        ("ReLU 784-7-10", 32, 32),
        ("ReLU 784-7-10, 4 bits", 4, 4),
        ("ReLU 784-7-10, 50 % pruned", 32, 32),
        ("ReLU 784-7-10, 50 % pruned, 4 bits", 4, 4),
    ]
    assert [of.equal_size for of in baselines] == [True, True, False, False, False, False]
    assert baselines[4].macs_dense == round(0.5 * 7 * 794)


def test_headline_is_that_of_the_equal_size(folder: Path) -> None:
    paths = artifact_paths(folder)
    metrics = json.loads((folder / paths["baseline_metrics"]).read_text(encoding="utf-8"))
    for key, of in zip(
        ("relu", "quantised"), load_baseline(folder / paths["baseline"])[:2], strict=True
    ):
        assert metrics[f"{key}_test_accuracy_percent"] == pytest.approx(of.accuracy_percent)
        assert metrics[f"{key}_macs_dense"] == 16 * 794
        assert metrics[f"{key}_macs_nonzero_per_inference"] == pytest.approx(
            of.macs_nonzero.sum(axis=1).mean()
        )


def test_the_teacher_is_the_network_of_equal_size(folder: Path) -> None:
    paths = artifact_paths(folder)
    teacher = TEACHER.read(folder / paths["teacher"])
    with np.load(folder / paths["baseline"], allow_pickle=False) as archive:
        for name, values in teacher.items():
            stored = archive[f"baseline1.{name.replace('.synapses', '')}"]
            assert stored.tobytes() == values.tobytes()
