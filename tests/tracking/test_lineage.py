"""From a version of the model to its commit with git and DVC, and back: in a small DVC project."""

import os
import shutil
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import provenance_tags
from spikejoule.energy.prices import PACKAGED
from spikejoule.model.checkpoint import write_complete
from spikejoule.tracking import publishing
from spikejoule.tracking.lineage import lineage_text, trace
from spikejoule.tracking.project import checked_out, find_revision
from spikejoule.tracking.runs import ModelFiles, RunRecord
from spikejoule.tracking.store import Store, project_store
from tests.cli.conftest import Cli
from tests.tools.examples import complete_content, trained_network
from tests.tools.pipeline_tools import clean_environment, commit, dvc, git

pytestmark = pytest.mark.skipif(
    os.name != "posix" or shutil.which("git") is None, reason="needs git and a shell"
)

PIPELINE = """\
stages:
  make:
    cmd: cp source/${seed}.pth checkpoint.pth
    deps: [source]
    params: [seed]
    outs: [checkpoint.pth]
"""


@dataclass(frozen=True)
class Project:
    """A project whose one stage makes a checkpoint, and a clone of it with nothing cached."""

    folder: Path
    clone: Path
    environment: Mapping[str, str]
    store: Store
    uncommitted: dict[str, Any]
    commits: dict[str, str]

    def version(self, number: int) -> dict[str, Any]:
        (found,) = trace(f"models:/surrogate-snn/{number}", self.folder, self.store)
        return found


@pytest.fixture(scope="module")
def project(
    repository: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """Two versions: of a commit, and of an experiment."""
    base = tmp_path_factory.mktemp("lineage")
    environment = clean_environment(base)
    folder = base / "a project"
    (folder / "source").mkdir(parents=True)
    for seed in (42, 43):
        content = complete_content(trained_network(seed=seed))
        write_complete(folder / "source" / f"{seed}.pth", content)
    shutil.copy2(repository / "params.yaml", folder)
    (folder / "dvc.yaml").write_text(PIPELINE)
    git(folder, environment, "init", "-q", "-b", "main")
    git(folder, environment, "config", "user.name", "A Researcher")
    git(folder, environment, "config", "user.email", "researcher@example.org")
    dvc(folder, environment, "init", "-q")
    dvc(folder, environment, "remote", "add", "-d", "shared", str(base / "remote"))
    commit(folder, environment, "The project")
    # Kept out of git by the real project, too.
    (folder / ".git" / "info" / "exclude").write_text("mlflow.db*\nmlartifacts\n")
    shutil.copy(empty_database, folder)
    store = project_store(folder, "spikejoule", {})
    commits = {"project": git(folder, environment, "rev-parse", "HEAD").strip()}

    dvc(folder, environment, "repro")
    publish(folder, 42, store, {})
    (uncommitted,) = trace("models:/surrogate-snn/1", folder, store)
    commit(folder, environment, "Results")
    commits["results"] = git(folder, environment, "rev-parse", "HEAD").strip()

    dvc(folder, environment, "exp", "run", "--temp", "--name", "other", "-S", "seed=43")
    experiment = {"DVC_EXP_NAME": "other", "DVC_EXP_BASELINE_REV": commits["results"]}
    publish(folder, 43, store, experiment)

    dvc(folder, environment, "push", "--all-commits")
    clone = base / "clone"
    git(base, environment, "clone", "-q", str(folder), str(clone))
    return Project(folder, clone, environment, store, uncommitted, commits)


@pytest.fixture
def ask(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """The command line, about the project's store."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store.tracking_uri)
    return Cli(capsys)


def one(ask: Cli, folder: Path, reference: str) -> dict[str, Any]:
    """The one version that is meant in `folder`."""
    with chdir(folder):
        (version,) = ask.json("version", reference)["versions"]
    return dict(version)


def publish(folder: Path, seed: int, store: Store, environment: Mapping[str, str]) -> None:
    record = RunRecord(
        result_id=f"seed {seed}",
        tags=provenance_tags(folder, environment),
        model=ModelFiles(folder / "source" / f"{seed}.pth", PACKAGED, "45nm-fp32"),
    )
    assert publishing.publish(record, store).registration is not None


def test_the_commit_or_experiment_is_the_one_that_records_it(project: Project) -> None:
    before = project.uncommitted
    assert (before["recorded_by_commit"], before["recorded_in_workspace"]) == (None, True)
    assert before["commands"] == []
    assert "The workspace's dvc.lock records it: commit that" in lineage_text(before)
    found = project.version(1)
    # It ran before its results could be committed: that commit would lead nowhere.
    assert found["ran_at_commit"] == project.commits["project"]
    assert found["recorded_by_commit"] == project.commits["results"]
    assert found["recorded_in_workspace"]
    assert f"git checkout {project.commits['results']} && dvc checkout" in lineage_text(found)
    found = project.version(2)
    assert found["recorded_by_experiment"] == "other"
    assert found["recorded_by_commit"] not in project.commits.values()
    text = lineage_text({**found, "commands": [], "recorded_in_workspace": False})
    assert "No commit or experiment of this repository records it" in text
    assert "dvc exp pull REMOTE other" in text
    assert f"mlflow artifacts download --run-id {found['run_id']}" in text


def test_a_revision_that_cannot_be_had(project: Project) -> None:
    """Those that can are published in `tests/stages/test_runs.py`."""
    with pytest.raises(ArtifactError, match="has no experiment, branch, tag or commit 'none'"):
        find_revision(project.folder, "none")
    main = find_revision(project.clone, "main")
    with pytest.raises(ArtifactError, match=r"checkpoint\.pth of .* is not in DVC's cache: get it"):
        checked_out(project.clone, main).__enter__()


def test_there_and_back_by_the_commands_that_are_printed(project: Project, ask: Cli) -> None:
    """An experiment, in a clone without a cache; of a commit, the page does it."""
    folder, clone, environment = project.folder, project.clone, project.environment
    before = one(ask, clone, "models:/surrogate-snn/2")
    assert (before["recorded_by_commit"], before["experiment"]) == (None, "other")
    # As experiments are pushed to a server.
    server = folder.parent / "server.git"
    git(folder.parent, environment, "clone", "-q", "--bare", str(folder), str(server))
    dvc(folder, environment, "exp", "push", str(server), "other")
    dvc(clone, environment, "exp", "pull", str(server), "other")
    version = one(ask, clone, "models:/surrogate-snn/2")
    for command in version["commands"]:
        program, *arguments = command.split()
        if program == "dvc":
            dvc(clone, environment, "pull")  # the cache of a clone is empty
        {"git": git, "dvc": dvc}[program](clone, environment, *arguments)
    assert (clone / "checkpoint.pth").read_bytes() == (folder / "source" / "43.pth").read_bytes()
    assert "up to date" in dvc(clone, environment, "status")
    # ... and back, from the file to its version
    back = one(ask, clone, "checkpoint.pth")
    assert (back["version"], back["same_file"], back["recorded_in_workspace"]) == (2, True, True)


def test_command(project: Project, ask: Cli) -> None:
    folder = project.folder.parent
    write_complete(folder / "stranger.pth", complete_content(trained_network(seed=1)))
    # Trained again, with other clocks.
    content = complete_content(trained_network(seed=42)) | {"timestamp": "2030-01-01 00:00:00"}
    write_complete(folder / "again.pth", content)
    again = one(ask, project.folder, "../again.pth")
    assert (again["version"], again["same_file"]) == (1, False)
    with chdir(project.folder):
        said = ask.text("version", "models:/surrogate-snn@champion")
        assert said.startswith("Version 1 of surrogate-snn (champion)\n")
        assert "validation accuracy percent        87\n" in said
        for reference, words in (
            ("models:/surrogate-snn/9", "surrogate-snn has no version 9 in this store."),
            ("models:/other/1", "models:/other/1 names no version; allowed: models:/surr"),
            ("none.pth", "none.pth does not exist"),
            ("../stranger.pth", "../stranger.pth is no version of surrogate-snn: publish its"),
        ):
            assert ask.refusal("version", reference).startswith(f"error: {words}")
