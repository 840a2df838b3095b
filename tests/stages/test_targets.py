"""Targets of `make help` run offline after `make repro`; only outputs change."""

import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tools.pipeline_tools import commit, git, run
from tests.tools.recorded_project import Project
from tests.tools.services import WITHOUT_JOBS, answers, free_port, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pipeline"),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]

# Of an experiment that sets nothing else, no stage runs again: the limits of
# `spikejoule check` decide no result.
LIMIT = "energy_report.min_accuracy_percent"

# By target, variables that make it small. Other tests run `verdict` and `seeds`
# (test_user_commands), `plots` (test_plots_page), `ui` (test_mlflow_pages) and `docs`;
# the targets of presets differ only in their names.
RUN = {
    "help": [],
    "repro": [],
    "preset": ["PRESET=frugal-5000-int8"],
    "sweep": ["SWEEP=energy_report.min_accuracy_percent=5,6"],
    "search": ["SEARCH=--workers 1 --trials 1"],
}
NEEDS = {"docs-serve": "mkdocs", "search": "optuna"}
"""A package of the extra that a target installs."""

NO_NETWORK = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "no_proxy": "127.0.0.1,localhost",
}


@pytest.fixture(scope="module")
def project(
    recorded_project: Project, committed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project in which `make repro` has run, with a short preset and search."""
    folder = tmp_path_factory.mktemp("targets") / "a project"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **NO_NETWORK, **WITHOUT_JOBS}
    search = folder / "search.yaml"
    text = search.read_text(encoding="utf-8")
    search.write_text(text.replace("max_epochs: 60", "max_epochs: 1"), encoding="utf-8")
    preset = folder / "experiments" / "frugal-5000-int8.yaml"
    preset.write_text(f"{LIMIT}: 1\n", encoding="utf-8")
    # Tables that no stage writes, which the documentation shows.
    for table in (committed / "metrics").iterdir():
        if not (folder / "metrics" / table.name).exists():
            shutil.copy(table, folder / "metrics")
    commit(folder, environment, "A short search, a short preset, and the tables")
    return Project(folder, environment)


def changes(project: Project) -> set[str]:
    """List changed and untracked files."""
    status = git(project.folder, project.environment, "status", "--porcelain", "-uall")
    return {line[3:] for line in status.splitlines()}


def skip_unless_installed(target: str) -> None:
    package = NEEDS.get(target)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"make {target} needs {package}")


@pytest.mark.parametrize("target", RUN)
def test_a_target_changes_its_outputs_alone(project: Project, target: str) -> None:
    skip_unless_installed(target)
    before = changes(project)
    run(["make", target, *RUN[target]], project.folder, project.environment)
    assert changes(project) == before


def test_the_served_documentation_changes_nothing(project: Project) -> None:
    skip_unless_installed("docs-serve")
    before = changes(project)
    port = free_port()
    with running(
        ["make", "docs-serve", f"DOCS_PORT={port}"],
        project.folder.parent / "docs-serve.log",
        partial(answers, f"http://127.0.0.1:{port}/"),
        env=project.environment,
        cwd=project.folder,
    ):
        pass
    assert changes(project) == before
