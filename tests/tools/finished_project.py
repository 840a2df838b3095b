"""A project in which every stage has run on few digits, in the tests' own process."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikejoule.data.dataset import Dataset, describe
from stages.shared.common import run_stage
from tests.tools.made_once import made_once
from tests.tools.pipeline_tools import (
    OUTPUTS,
    STAGES,
    artifact_paths,
    entries,
    make_project,
    pipeline_definition,
)

PARAMETERS = {
    "data.source": "mnist5k",
    "encode.time_window": 12,
    "model.hidden": 16,
    # Low enough for the hidden layer to spike after so little training.
    "model.threshold": 0.3,
    "train.max_epochs": 2,
    "train.threads": 1,
    "measure_inference.n_samples": 25,
    "energy_report.bootstrap_samples": 100,
    "baseline.family_hidden": [9],
    "baseline.family_pruned": [0.0, 0.5],
    "baseline.family_bits": [32, 4],
}
N_TRAIN = 80
N_VALIDATION = 30
N_TEST = 40


@pytest.fixture(scope="session")
def finished(
    repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project in which all stages have run; tests copy it."""

    def finish(folder: Path) -> None:
        finish_project(repository, mnist5k, folder / "project")

    return made_once(tmp_path_factory, "finished", finish) / "project"


@pytest.fixture
def copied(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished project without its store; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(
        finished, folder, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts")
    )
    isolate(monkeypatch, folder)
    return folder


def finish_project(
    repository: Path,
    mnist5k: Dataset,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    last: str = "publish",
) -> None:
    """Prepare few digits in a new project, and run the stages up to `last`.

    `parameters`, by full key, are set in addition to `PARAMETERS`. There are as many
    test images as are to be measured, and at least `N_TEST`.
    """
    chosen = PARAMETERS | dict(parameters or {})
    make_project(repository, folder, chosen)
    n_measured = chosen["measure_inference.n_samples"]
    n_test = max(N_TEST, n_measured) if isinstance(n_measured, int) else N_TEST
    paths = artifact_paths(repository)
    splits = {
        "train": mnist5k.train.select(slice(N_TRAIN)),
        "validation": mnist5k.train.select(slice(N_TRAIN, N_TRAIN + N_VALIDATION)),
        "test": mnist5k.test.select(slice(n_test)),
    }
    for name, samples in splits.items():
        samples.save(folder / paths[name])
    dataset = replace(mnist5k, test=splits["test"])
    described = describe(dataset, splits["train"], splits["validation"], False)
    described.write(folder / paths["data_metrics"])
    stages = STAGES[: STAGES.index(last) + 1]
    run_stages(folder, [name for name in stages if name != "prepare"])


def run_stages(folder: Path, stages: Sequence[str]) -> None:
    """Run stages in a project, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, folder)
        for name in stages:
            assert run_stage(name) == 0, name


def isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make `folder` the working directory, and hide this machine's settings."""
    patch.chdir(folder)
    patch.setattr("stages.shared.common.set_up_logging", lambda: None)
    names = ("DVC_ROOT", "MNIST_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")
    for variable in names:
        patch.delenv(variable, raising=False)


def inputs_and_outputs(stage: str, repository: Path) -> tuple[list[str], list[str]]:
    """Names of the artifacts that a stage reads and writes."""
    definition = pipeline_definition(repository)["stages"][stage]
    return [*entries(definition, "deps")], [*entries(definition, *OUTPUTS)]


def content_of(folder: Path) -> dict[str, bytes]:
    """Contents of all files of a project, MLflow's store included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def path_of(name: str) -> Path:
    """Path of an artifact of the project in the working directory."""
    return Path(artifact_paths(Path())[name])
