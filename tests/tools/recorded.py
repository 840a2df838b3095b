"""Recorded runs for tests: as a DataFrame, and in a store."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from spikejoule.tracking.publishing import publish
from spikejoule.tracking.recorded import EARLY_EXIT, WHOLE_WINDOW, frame_of
from spikejoule.tracking.run_record import RunRecord
from spikejoule.tracking.store import Store, opened, project_store
from tests.tools.pipeline_tools import make_project

TAGS = {
    "data.source": "mnist5k",
    "data.title": "mnist5k: 5,000 MNIST digits",
    "data.sha256": "ab",
    "mlflow.source.git.commit": "c0ffee",
}
PARAMETERS = {
    "seed": "42",
    "data.validation_size": "0.1",
    "encode.time_window": "20",
    "model.hidden": "[400]",
    "model.weight_bits": "32",
    "train.lr": "0.003",
    "train.threads": "2",
}
SPIKES = {
    f"{name}_spikes_per_inference": 100.0 for name in ("input", "hidden", "output")
}


def run(
    name: str,
    *figures: float,
    early: Sequence[float] = (),
    parameters: Mapping[str, str] = {},
    metrics: Mapping[str, float] = {},
    tags: Mapping[str, str] = {},
) -> dict[str, Any]:
    """Describe a run named after its hidden layer.

    `figures` are validation accuracy, test accuracy and synaptic events.
    """
    measured = dict(zip(WHOLE_WINDOW, figures, strict=False))
    measured |= dict(zip(EARLY_EXIT, early, strict=False))
    return {
        "name": name,
        "parameters": {**PARAMETERS, "model.hidden": f"[{name}]", **parameters},
        "metrics": {**measured, **SPIKES, **metrics},
        "tags": {**TAGS, **tags},
    }


def frame(*runs: Mapping[str, Any]) -> pd.DataFrame:
    """Convert runs to the DataFrame of `recorded.recorded_runs`."""
    return frame_of(
        SimpleNamespace(
            info=SimpleNamespace(
                run_id=hashlib.md5(run["name"].encode()).hexdigest(),
                run_name=run["name"],
                status="FINISHED",
            ),
            data=SimpleNamespace(
                params=run["parameters"], metrics=run["metrics"], tags=run["tags"]
            ),
        )
        for run in runs
    )


@pytest.fixture
def project(
    tmp_path: Path,
    repository: Path,
    empty_database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A project with an empty store, in a folder whose name URIs quote."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "a project, with 100 % odd name"
    make_project(repository, folder, {"energy_report.bootstrap_samples": 100})
    shutil.copy(empty_database, folder)
    return folder


def store_of(project: Path) -> Store:
    """The store of a project, independent of the environment."""
    return project_store(project, "spikejoule", {})


def runs(store: Store) -> list[Any]:
    """List the runs of a store, which ends those of dead processes."""
    with opened(store) as (client, experiment_id):
        return list(client.search_runs([experiment_id]))


def record(
    project: Path, one: Mapping[str, Any], artifacts: Mapping[Path, str] = {}
) -> str:
    """Publish a run and return its id."""
    tags = {**one["tags"], "mlflow.runName": one["name"]}
    held = {"parameters": one["parameters"], "metrics": one["metrics"], "tags": tags}
    publication = publish(
        RunRecord(one["name"], artifacts=artifacts, **held), store_of(project)
    )
    assert publication.added
    return publication.run_id
