"""A project in which every stage has run on few digits; stages called in the tests' own process."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.store import write_csv
from spikejoule.data.images import Dataset, describe
from spikejoule.energy.tables import FrontsTable, VerdictTable
from spikejoule.evaluation.front_rows import FRONT_COLUMNS
from stages.shared.common import run_stage
from tests.tools.pipeline_tools import (
    STAGES,
    artifact_paths,
    pipeline_definition,
    set_parameters,
    write_lock,
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
}
GIVEN = ("hardware", "front", "verdict", "fronts")
COMMIT = "60ce7be834e57bd57bdf89cc889c75c3568760c3"
FRONT = [
    ("beaky-ship", 1, 1, 97.65, 97.88, 6148.6, "mnist", COMMIT, "a" * 32, "0.95"),
    ("beaky-ship", 0, 1, 97.75, 97.92, 15859.0, "mnist", COMMIT, "a" * 32, "0.95"),
    ("weepy-jaws", 1, 1, 98.5, 98.64, 25083.4, "mnist", COMMIT, "b" * 32, "0.8"),
    ("weepy-jaws", 0, 0, 98.5, 98.65, 58249.9, "mnist", COMMIT, "b" * 32, "0.8"),
]
_BASELINE = ("ReLU 784-100-10, dense", 98.1, 98.2, 70_000.0, 71_000.0, 72_000.0)
_NOBODY = ("", "", "", "", "", "")
VERDICTS = [
    ("45nm-fp32", 98.0, "snn", 0.9, 0.8, 0.95, "beaky-ship: 784-16-10, early exit", 98.1, 97.9,
     60_000.0, 63_900.0, 65_000.0, *_BASELINE),
    ("45nm-memory", 98.0, "undecided", "", 0.1, 9.5, "weepy-jaws: 784-16-10, whole window", 98.5,
     98.65, 1e3, "", 1e6, *_BASELINE),
    ("45nm-fp32", 99.0, "neither", "", "", "", *_NOBODY, *_NOBODY),
]  # fmt: skip
FRONTS = [
    ("lemaire-complete", "spiking", "beaky-ship: 784-16-10", 97.65, 97.88, 9e4, 9e4, 9e4),
    ("lemaire-complete", "spiking", "weepy-jaws: 784-16-10", 98.5, 98.65, 8e5, 8e5, 8e5),
    ("lemaire-complete", "conventional", "ReLU 784-100-10, dense", 98.1, 98.2, 7e4, 7e4, 7e4),
    ("45nm-memory", "spiking", "beaky-ship: 784-16-10", 97.65, 97.88, 1e4, "", 5e6),
    ("45nm-memory", "conventional", "ReLU 784-100-10, dense", 98.1, 98.2, 1e3, "", 4e6),
]
N_TRAIN, N_VALIDATION, N_TEST = 80, 30, 40


@pytest.fixture(scope="session")
def finished(repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which all stages have run; only to be copied."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    finish_project(repository, mnist5k, folder)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished project, without its MLflow store; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts"))
    isolate(monkeypatch, folder)
    return folder


def finish_project(
    repository: Path,
    mnist5k: Dataset,
    folder: Path,
    parameters: Mapping[str, Any] | None = None,
    last: str = "publish",
) -> None:
    """Make `folder`, put few digits into it, and run every stage there, from encode to `last`.

    `parameters`, by full key, are set beside `PARAMETERS`.
    """
    folder.mkdir()
    for name in ("params.yaml", "dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(repository / name, folder)
    set_parameters(folder, PARAMETERS | dict(parameters or {}))
    paths = artifact_paths(repository)
    (folder / paths["hardware"]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(repository / paths["hardware"], folder / paths["hardware"])
    write_csv(folder / paths["front"], (*FRONT_COLUMNS, "train.pruned_fraction"), FRONT)
    write_csv(folder / paths["verdict"], VerdictTable.columns(), VERDICTS)
    write_csv(folder / paths["fronts"], FrontsTable.columns(), FRONTS)
    splits = {
        "train": mnist5k.train.select(slice(N_TRAIN)),
        "validation": mnist5k.train.select(slice(N_TRAIN, N_TRAIN + N_VALIDATION)),
        "test": mnist5k.test.select(slice(N_TEST)),
    }
    for name, samples in splits.items():
        samples.save(folder / paths[name])
    dataset = replace(mnist5k, test=splits["test"])
    described = describe(dataset, splits["train"], splits["validation"], False)
    described.write(folder / paths["data_metrics"])
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, folder)
        for name in STAGES[1 : STAGES.index(last) + 1]:
            if name == "publish":
                made = [Path(path) for each, path in paths.items() if each not in GIVEN]
                write_lock(folder, made, [Path(paths[each]) for each in GIVEN])
            assert call(name) == 0, name


def isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make `folder` the working directory, and nothing of this machine's set-up show there."""
    patch.chdir(folder)
    patch.setattr("stages.shared.common.set_up_logging", lambda: None)
    names = ("DVC_ROOT", "MNIST_DIR", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME")
    for variable in names:
        patch.delenv(variable, raising=False)


def call(stage: str) -> int:
    """Run a stage as DVC does, on the files of the working directory."""
    return run_stage(stage)


def inputs_and_outputs(stage: str, repository: Path) -> tuple[list[str], list[str]]:
    """The names of the artifacts that a stage reads, and of those that it writes."""
    definition = pipeline_definition(repository)["stages"][stage]

    def named(*kinds: str) -> list[str]:
        entries = [entry for kind in kinds for entry in definition.get(kind, ())]
        names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
        return [name[len("${paths.") : -1] for name in names if name.startswith("$")]

    return named("deps"), named("outs", "metrics", "plots")


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file of a project, MLflow's store included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def path_of(name: str) -> Path:
    """An artifact's path within the project that is the working directory."""
    return Path(artifact_paths(Path())[name])
