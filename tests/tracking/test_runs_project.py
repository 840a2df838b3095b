"""Outputs of a project at this and at other revisions, without running any pipeline."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from spikejoule.core.errors import ArtifactError
from spikejoule.tracking.project import (
    Revision,
    checked_out,
    experiments,
    find_revision,
)
from tests.tools.pipeline_tools import clean_environment, git

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

WEIGHTS = b"weights"
MD5 = hashlib.md5(WEIGHTS).hexdigest()


@pytest.fixture
def repository_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a branch and an experiment; its DVC cache holds one output."""
    folder = tmp_path / "project"
    for name, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    environment = clean_environment(tmp_path)
    folder.mkdir()
    git(folder, environment, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text("/models/\n/.dvc/cache/\n")
    subprocess.run(["dvc", "init", "-q"], cwd=folder, env=environment, check=True)
    outputs = [{"path": "models/trained.pth", "md5": MD5, "size": len(WEIGHTS)}]
    outputs.append({"path": "metrics.json", "md5": "0" * 32, "size": 2})
    lock = {"schema": "2.0", "stages": {"train": {"cmd": "train", "outs": outputs}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    (folder / "metrics.json").write_text("{}")
    stored = folder / ".dvc" / "cache" / "files" / "md5" / MD5[:2] / MD5[2:]
    stored.parent.mkdir(parents=True)
    stored.write_bytes(WEIGHTS)
    git(folder, environment, "add", "-A")
    identity = ("-c", "user.name=n", "-c", "user.email=e")
    git(folder, environment, *identity, "commit", "-q", "-m", "first")
    baseline = git(folder, environment, "rev-parse", "HEAD").strip()
    (folder / "metrics.json").write_text('{"accuracy": 1}')
    git(folder, environment, *identity, "commit", "-q", "-a", "-m", "experiment")
    reference = f"refs/exps/{baseline[:2]}/{baseline[2:]}/brash-fan"
    git(folder, environment, "update-ref", reference, "HEAD")
    git(folder, environment, "update-ref", "refs/exps/stash", "HEAD")
    git(folder, environment, "reset", "-q", "--hard", baseline)
    return folder


@needs_git
class TestRevisions:
    def test_experiments(self, repository_of_two: Path) -> None:
        (found,) = experiments(repository_of_two)
        head = find_revision(repository_of_two, "main")
        assert found.experiment == "brash-fan"
        assert found.baseline == head.commit != found.commit
        assert found.tags["dvc.experiment"] == "brash-fan"
        assert found.tags["git.commit"] == found.commit
        assert head == Revision(head.commit)
        assert "dvc.experiment" not in head.tags
        assert find_revision(repository_of_two, "brash-fan") == found
        with pytest.raises(ArtifactError, match="has no experiment, branch, tag or commit 'none'"):
            find_revision(repository_of_two, "none")

    def test_files_of_git_and_of_the_cache(self, repository_of_two: Path) -> None:
        revision = find_revision(repository_of_two, "brash-fan")
        with checked_out(repository_of_two, revision) as folder:
            assert (folder / "metrics.json").read_text() == '{"accuracy": 1}'
            assert (folder / "models" / "trained.pth").read_bytes() == WEIGHTS
        assert not folder.exists()
        assert (repository_of_two / "metrics.json").read_text() == "{}"
        assert (repository_of_two / ".dvc" / "cache" / "files").is_dir()

    def test_an_output_that_the_cache_lacks(self, repository_of_two: Path) -> None:
        shutil.rmtree(repository_of_two / ".dvc" / "cache")
        revision = find_revision(repository_of_two, "brash-fan")
        words = r"models/trained\.pth of brash-fan is not in DVC's cache: get it with"
        with (
            pytest.raises(ArtifactError, match=words),
            checked_out(repository_of_two, revision),
        ):
            pass
