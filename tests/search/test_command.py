"""The command `search`: what it refuses in one sentence before it starts anything."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.data.dataset import Dataset
from tests.tools.cli import Cli
from tests.tools.finished_project import finish_project, isolate
from tests.tools.pipeline_tools import artifact_paths
from tests.tools.processes import start_python


@pytest.fixture
def prepared(
    repository: Path, mnist5k: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project whose stage `prepare` has run; the working directory."""
    folder = tmp_path / "project"
    finish_project(repository, mnist5k, folder, last="prepare")
    shutil.copy(repository / "search.yaml", folder)
    isolate(monkeypatch, folder)
    return folder


def refused(cli: Cli, *options: str) -> str:
    """Return the line with which the command refuses, before it starts anything."""
    line = cli.refusal("search", *options)
    assert not Path("search.db").exists()
    assert not Path("mlflow.db").exists()
    return line


def test_nothing_else_needs_the_extra() -> None:
    code = (
        "import sys; sys.modules['optuna'] = sys.modules['submitit'] = None\n"
        "from spikejoule import cli\n"
        "import spikejoule.search.space\n"
        "cli.build_parser()\n"
    )
    assert start_python("-c", code).wait(timeout=120) == 0


@pytest.fixture
def extra() -> None:
    pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
    pytest.importorskip("submitit", reason="needs submitit: the extra `search`")


@pytest.fixture
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_: None)


DIRECT = {
    "fixed": {"encode.encoding": "direct"},
    "space": {"model.weight_bits": [4, 8]},
}


@pytest.mark.slow  # for the extra
@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"energy": "45nm-fp23"}, (), "search.yaml: energy: '45nm-fp23'"),
        (
            {"fixed": {"train.lr": 20}},
            (),
            "search.yaml: fixed.train.lr: 20 is not allowed; allow",
        ),
        (
            DIRECT,
            (),
            "none of 200 combinations of the space is allowed: encode.encoding: "
            "'direct'",
        ),
        (
            {},
            ("--storage", "mysql://me:secret@a/b"),
            "is not allowed; allowed: sqlite:///FILE, or",
        ),
        (
            {},
            ("--storage", "sqlite:////proc/none/x.db"),
            "the study's database cannot be used (",
        ),
        (
            {},
            ("--cluster", "slurm"),
            "error: --cluster slurm needs srun and sbatch on the PATH",
        ),
    ],
)
@pytest.mark.usefixtures("no_slurm")
def test_what_is_not_allowed(
    prepared: Path,
    cli: Cli,
    changes: dict[str, Any],
    options: tuple[str, ...],
    words: str,
) -> None:
    file = prepared / "search.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    line = refused(cli, *options)
    assert words in line
    assert "secret" not in line


@pytest.mark.slow  # for the extra
@pytest.mark.usefixtures("extra")
def test_images_that_are_not_prepared(prepared: Path, cli: Cli) -> None:
    path = prepared / artifact_paths(prepared)["validation"]
    path.unlink()
    assert f"error: there is no {path}: run `dvc repro prepare`" in refused(cli)
