"""What a newcomer reads at the beginning and the end of `make repro`."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from spikejoule.energy import load_profiles
from stages import summary
from tests.tools.pipeline_tools import artifact_paths, clean_environment, git

FIGURES = {
    "accuracy": 97.4,
    "data": "mnist5k",
    "energy_nj": 19_531.2,
    "prices": "lemaire-complete",
    "ratio": 786.4,
}
TITLE = load_profiles()["lemaire-complete"].title


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The shell of somebody whom git does not know."""
    clean = clean_environment(tmp_path)
    for name in set(os.environ) - set(clean):
        monkeypatch.delenv(name)
    for name, value in clean.items():
        monkeypatch.setenv(name, value)
    return clean


@pytest.fixture
def project(repository: Path, tmp_path: Path, environment: Mapping[str, str]) -> Path:
    """A project in which the pipeline has run, as far as this ending looks."""
    folder = tmp_path / "project"
    paths = artifact_paths(repository)
    for name in ("hardware", "data_metrics"):
        (folder / paths[name]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / paths[name], folder / paths[name])
    shutil.copy(repository / "dvc.yaml", folder)
    (folder / paths["summary"]).write_text(json.dumps(FIGURES), encoding="utf-8")
    git(folder, environment, "init", "-q")
    return folder


def said_in(project: Path, capsys: pytest.CaptureFixture[str]) -> str:
    summary.main(project)
    return capsys.readouterr().out


def test_figures_with_their_prices_and_where_to_read_on(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said_in(project, capsys).splitlines()
    accuracy, energy, ratio, page, runs = (line.split() for line in lines[1:6])
    assert accuracy[:3] == ["accuracy", "97.40", "%"]
    assert energy[:3] == ["energy", "19.53", "µJ"]
    assert ratio[:3] == ["ratio", "786", "times"]
    assert all(f"({TITLE})" in line for line in lines[2:4])
    assert page == ["page", "reports/energy.html"]
    assert runs[-2:] == ["make", "ui"]


def test_a_git_identity_is_asked_for_only_where_there_is_none(
    project: Path,
    environment: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = ["git config user.name", "git config user.email"]
    said = said_in(project, capsys)
    assert [command for command in commands if command in said] == commands
    git(project, environment, "config", "user.name", "A Researcher")
    assert "git config" in said_in(project, capsys), "an address is missing"
    git(project, environment, "config", "user.email", "researcher@example.org")
    assert "git config" not in said_in(project, capsys)
    git(project, environment, "config", "--unset", "user.email")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "researcher@example.org")
    assert "git config" not in said_in(project, capsys), "DVC takes the variable, too"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_an_archive_of_the_source_is_told_before_anything_is_installed(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, tmp_path)
    done = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "git clone" in done.stderr or "git init" in done.stderr
    assert not (tmp_path / ".venv").exists()
