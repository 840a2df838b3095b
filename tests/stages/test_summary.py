"""The first and last lines of `make repro`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spikejoule.energy.prices import load_profiles
from stages import summary
from tests.tools.pipeline_tools import artifact_paths, clean_environment, git

FIGURES = {"accuracy": 97.4, "energy_nj": 19_531.2, "ratio": 786.4}
TITLE = load_profiles()["lemaire-complete"].title


def test_figures_with_their_prices_and_where_to_read_on(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a project with the files that the summary reads."""
    paths = artifact_paths(repository)
    for name in ("hardware", "data_metrics"):
        (tmp_path / paths[name]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / paths[name], tmp_path / paths[name])
    shutil.copy(repository / "dvc.yaml", tmp_path)
    (tmp_path / paths["summary"]).write_text(json.dumps(FIGURES), encoding="utf-8")
    energy = {"profile": "lemaire-complete"}
    (tmp_path / paths["energy_metrics"]).write_text(json.dumps(energy))
    summary.main(tmp_path)
    lines = capsys.readouterr().out
    assert max(map(len, lines.splitlines())) <= 100
    printed = " ".join(lines.split())
    for words in (
        "accuracy 97.40 %",
        f"energy 19.53 µJ per inference ({TITLE})",
        "ratio 786 times the energy of a conventional network",
        "next open reports/try.html",
        "reports/energy.html",
        "dvc exp run -S train.lr=0.001",
        "make ui",
    ):
        assert words in printed


def test_whether_git_knows_who_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = clean_environment(tmp_path)
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    git(tmp_path, environment, "init", "-q")
    assert not summary.has_git_identity(tmp_path)
    git(tmp_path, environment, "config", "user.name", "A Researcher")
    assert not summary.has_git_identity(tmp_path), "an address is missing"
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "researcher@example.org")
    assert summary.has_git_identity(tmp_path), "DVC takes the variable, too"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_source_archive_is_refused_before_anything_is_installed(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository / name, tmp_path)
    done = subprocess.run(
        ["make", "repro"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "git clone" in done.stderr or "git init" in done.stderr
    assert not (tmp_path / ".venv").exists()
