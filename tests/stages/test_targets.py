"""Targets of `make help` run after `make repro`, offline, and change only their
outputs.
"""

import shutil
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

# By target, variables that make it small.
RUN = {
    "help": [],
    "repro": [],
    "preset": ["PRESET=frugal-5000-int8"],
    "seed-notebook": [],
    "accurate": [],
    "sweep": ["SWEEP=energy_report.min_accuracy_percent=5,6"],
    "search": ["SEARCH=--workers 1 --trials 1"],
    "verdict": [],
    "seeds": [],
    "plots": [],
    "docs": [],
}
SERVE = {"ui": "PORT", "docs-serve": "DOCS_PORT"}
"""By target that serves until it is stopped, the variable of its port."""

NEEDS = {
    "docs": "mkdocs",
    "docs-serve": "mkdocs",
    "search": "optuna",
    "plots": "vl_convert",
}
"""By target, a package of the extra that it installs."""

NO_NETWORK = {
    **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
    "no_proxy": "127.0.0.1,localhost",
}


@pytest.fixture(scope="module")
def project(
    recorded_project: Project, committed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A project in which `make repro` has run, with a search of one short trial."""
    folder = tmp_path_factory.mktemp("targets") / "a project"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **NO_NETWORK, **WITHOUT_JOBS}
    search = folder / "search.yaml"
    text = search.read_text(encoding="utf-8")
    search.write_text(text.replace("max_epochs: 60", "max_epochs: 1"), encoding="utf-8")
    for number, preset in enumerate(sorted((folder / "experiments").iterdir())):
        preset.write_text(f"{LIMIT}: {number}\n", encoding="utf-8")
    # Tables that no stage writes, which the documentation shows.
    for table in (committed / "metrics").iterdir():
        if not (folder / "metrics" / table.name).exists():
            shutil.copy(table, folder / "metrics")
    commit(folder, environment, "A short search, short presets, and the tables")
    return Project(folder, environment)


def changes(project: Project) -> set[str]:
    """The files that git knows and that have changed, or that it might know."""
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


@pytest.mark.parametrize("target", SERVE)
def test_a_target_serves_and_changes_nothing(project: Project, target: str) -> None:
    skip_unless_installed(target)
    before, port = changes(project), free_port()
    command = ["make", target, f"{SERVE[target]}={port}"]
    log = project.folder.parent / f"{target}.log"
    url = f"http://127.0.0.1:{port}/"
    with running(
        command, log, lambda: answers(url), project.environment, project.folder
    ):
        pass
    assert changes(project) == before
