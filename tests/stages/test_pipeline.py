"""The pipeline as DVC runs it: real digits, two epochs, in a clone."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from spikejoule.data.images import load_images
from tests.tools.pipeline_tools import (
    GIVEN,
    STAGES,
    artifact_paths,
    stages_that_ran,
)
from tests.tools.recorded_project import Project
from tests.tools.services import on_one_worker

# One worker for all: others would copy the recorded project for themselves.
pytestmark = [pytest.mark.slow, *on_one_worker("pipeline")]

LAYERS = ("input", "hidden", "output")


class Clone(Project):
    """A clone in which the pipeline has run, and what its artifacts hold."""

    def metrics(self, name: str) -> Any:
        return json.loads(self.path(name).read_text(encoding="utf-8"))

    def arrays(self, name: str) -> dict[str, Any]:
        with np.load(self.path(name), allow_pickle=False) as archive:
            return dict(archive)


@pytest.fixture(scope="module")
def first(recorded_project: Project) -> Clone:
    """A clone with its results committed, at a path with a space."""
    return Clone(
        recorded_project.folder, recorded_project.environment, recorded_project.output
    )


@pytest.fixture(scope="module")
def checkpoint(first: Clone) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(first.path("checkpoint"), weights_only=True)
    return content


def test_every_stage_runs_once_and_git_keeps_the_small_results(first: Clone) -> None:
    assert stages_that_ran(first.output) == list(STAGES)
    added = first.git("show", "--name-only", "--pretty=", "HEAD").split()
    kept = {
        path
        for name, path in artifact_paths(first.folder).items()
        if path.startswith(("metrics/", "figures/", "reports/"))
        and name not in {*GIVEN, "playground"}
    }
    assert set(added) == {*kept, "dvc.lock"}
    assert "Data and pipelines are up to date." in first.dvc("repro")
    assert first.git("status", "--porcelain") == ""


class TestAgreement:
    """The same fact in two files is the same number."""

    def test_spike_counts(self, first: Clone, checkpoint: dict[str, Any]) -> None:
        """Counts in the checkpoint = a recount of the stored events = the metrics."""
        later = first.arrays("inference_events")
        lengths = {"input": first.arrays("events_test")["row_lengths"]}
        for name in ("hidden", "output"):
            lengths[name] = later[f"{name}_row_lengths"]
        metrics = first.metrics("inference_metrics")
        stored = checkpoint["inference_spikes"]
        assert stored["n_samples"] == 1000
        for name in LAYERS:
            by_row = lengths[name].reshape(1000, 50).astype(np.int64)
            total = int(by_row.sum())
            assert stored[f"total_{name}"] == total > 0
            assert metrics[f"{name}_spikes_per_inference"] == total / 1000
            assert stored[f"{name}_per_inference"] == total / 1000

    def test_predictions(self, first: Clone, checkpoint: dict[str, Any]) -> None:
        """Output spikes -> predictions -> confusion -> accuracy, in all files."""
        predictions = first.arrays("predictions")
        later = first.arrays("inference_events")
        rows = np.repeat(np.arange(1000 * 50), later["output_row_lengths"]) // 50
        votes = np.zeros((1000, 10), dtype=np.int64)
        np.add.at(votes, (rows, later["output_sources"]), 1)
        np.testing.assert_array_equal(predictions["output_spikes"], votes)
        np.testing.assert_array_equal(predictions["predictions"], votes.argmax(axis=1))
        labels = load_images(first.path("test")).labels
        pairs = np.zeros((10, 10), dtype=np.int64)
        np.add.at(pairs, (labels, votes.argmax(axis=1)), 1)
        confusion = pd.read_csv(first.path("confusion")).set_index(
            ["actual", "predicted"]
        )
        assert confusion["n_samples"].to_dict() == dict(np.ndenumerate(pairs))
        evaluation = first.metrics("evaluate_metrics")
        percent = evaluation["test_accuracy_percent"]
        assert percent == pytest.approx(100 * np.trace(pairs) / 1000)
        assert checkpoint["test_accuracy"] == percent
        # Guessing, after labels or weights were lost, reaches 10 %.
        assert percent > 75
