"""Targets of `make help` run offline after `make repro`; only outputs change.

Other tests run `preset` and `sweep` (the page sweep.md), `verdict` and `seeds`
(test_user_commands), `plots` (test_plots_page), `ui` (test_mlflow_pages) and `docs`.
"""

import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.tools.pipeline_tools import commit, run
from tests.tools.recorded_project import Project
from tests.tools.services import (
    WITHOUT_JOBS,
    answers,
    free_port,
    on_one_worker,
    running,
)

pytestmark = [
    *on_one_worker("pipeline"),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]

NO_NETWORK = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "no_proxy": "127.0.0.1,localhost",
}


@pytest.fixture
def project(recorded_project: Project, committed: Path, tmp_path: Path) -> Project:
    """A project in which `make repro` has run, with a short search."""
    folder = tmp_path / "a project"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **NO_NETWORK, **WITHOUT_JOBS}
    search = folder / "search.yaml"
    text = search.read_text(encoding="utf-8")
    search.write_text(text.replace("max_epochs: 60", "max_epochs: 1"), encoding="utf-8")
    # Tables that no stage writes, which the documentation shows.
    for table in (committed / "metrics").iterdir():
        if not (folder / "metrics" / table.name).exists():
            shutil.copy(table, folder / "metrics")
    commit(folder, environment, "A short search, and the tables")
    return Project(folder, environment)


def test_targets_change_their_outputs_alone(project: Project) -> None:
    pytest.importorskip("mkdocs", reason="make docs-serve needs mkdocs")
    pytest.importorskip("optuna", reason="make search needs optuna")
    targets = ("help", "repro", "search")
    run(
        ["make", *targets, "SEARCH=--workers 1 --trials 1"],
        project.folder,
        project.environment,
    )
    port = free_port()
    with running(
        ["make", "docs-serve", f"DOCS_PORT={port}"],
        project.folder.parent / "docs-serve.log",
        partial(answers, f"http://127.0.0.1:{port}/"),
        env=project.environment,
        cwd=project.folder,
    ):
        pass
    assert project.git("status", "--porcelain", "-uall") == ""
