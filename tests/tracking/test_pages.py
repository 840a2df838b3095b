"""What MLflow's pages are told: a saved view that can be unpacked, descriptions, data sets."""

import base64
import json
import shutil
import zlib
from pathlib import Path

from mlflow import MlflowClient

from spikejoule.params import load_params
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.runs import VIEW, RunRecord, experiment_tags, run_name
from spikejoule.tracking.store import project_store


def columns() -> list[str]:
    """The columns of the saved view, unpacked as MLflow's page does it."""
    view = json.loads(experiment_tags()[f"mlflow.sharedViewState.{VIEW}"])
    method, _, packed = view["state"].partition(";")
    assert method == "deflate"
    selected: list[str] = json.loads(zlib.decompress(base64.b64decode(packed)))["selectedColumns"]
    return selected


def test_the_saved_view_shows_parameters_that_exist(repository: Path) -> None:
    shown = [name.split("`")[1] for name in columns() if name.startswith("params.")]
    assert shown
    assert set(shown) <= load_params(repository / "params.yaml").flattened().keys()


def test_a_new_experiment_has_view_description_and_data_sets(
    tmp_path: Path, empty_database: Path
) -> None:
    shutil.copy(empty_database, tmp_path)
    store = project_store(tmp_path, "digits", {})
    tags = {"data.source": "mnist5k", "data.sha256.images": "ab" * 32}
    assert publish(RunRecord("a", tags=tags, history=[{"epoch": 1, "loss": 0.5}]), store)
    client = MlflowClient(tracking_uri=store.tracking_uri)
    experiment = client.get_experiment_by_name("digits")
    assert f"mlflow.sharedViewState.{VIEW}" in experiment.tags
    assert "one run for each distinct result" in experiment.tags["mlflow.note.content"]
    (run,) = client.search_runs([experiment.experiment_id])
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "mnist5k"
    assert json.loads(used.dataset.source)["data.sha256.images"] == "ab" * 32
    # Curves form a group of charts of their own.
    assert run.data.metrics == {"by_epoch/loss": 0.5}


def test_names() -> None:
    commit = {"git.commit": "0123456789abcdef"}
    assert run_name({**commit, "dvc.experiment": "brash-fan"}) == "brash-fan"
    assert run_name(commit) == "repro-0123456"
    assert run_name({"git.commit": "unknown"}) is None
