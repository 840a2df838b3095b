"""A DVC remote in an S3 store: what is pushed comes back to the byte, or not at all."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools.pipeline_tools import dvc, dvc_json, git, run
from tests.tools.recorded_project import Project
from tests.tools.services import SHARED, S3Store

pytestmark = SHARED


@dataclass(frozen=True)
class Remote(Project):
    """A copy of a recorded project that keeps its outputs in an S3 store, and what was pushed."""

    bucket: Path = Path()
    outputs: Mapping[str, bytes] = field(default_factory=dict)

    def forget(self) -> None:
        """Delete the cache and every output in it."""
        shutil.rmtree(self.folder / ".dvc" / "cache")
        for path in self.outputs:
            (self.folder / path).unlink(missing_ok=True)

    def found(self) -> dict[str, bytes]:
        """Path and content of each output that is there."""
        paths = {path: self.folder / path for path in self.outputs}
        return {path: file.read_bytes() for path, file in paths.items() if file.is_file()}

    def stored(self, path: str) -> Path:
        """The object in the bucket that holds the output `path`."""
        md5 = cached_outputs(self.folder)[path]
        return self.bucket / "spikejoule" / "files" / "md5" / md5[:2] / md5[2:]


def cached_outputs(folder: Path) -> dict[str, str]:
    """Path and md5 of each output that DVC keeps, the others being git's."""
    cached: dict[str, str] = {}
    lock: dict[str, Any] = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    kept_by_git = set(run(["git", "ls-files"], folder, {"PATH": "/usr/bin:/bin"}).splitlines())
    for stage in lock["stages"].values():
        cached |= {
            out["path"]: out["md5"]
            for out in stage.get("outs", ())
            if out["path"] not in kept_by_git
        }
    return cached


@pytest.fixture(scope="module")
def remote(
    recorded_project: Project, s3: S3Store, tmp_path_factory: pytest.TempPathFactory
) -> Remote:
    """The README's commands for a remote, then `dvc push`."""
    folder = tmp_path_factory.mktemp("remote") / "clone"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **s3.environment()}
    bucket = s3.bucket("outputs")
    for command in (
        ("remote", "add", "--default", "team", f"{bucket}/spikejoule"),
        ("remote", "modify", "team", "endpointurl", s3.url),
        ("remote", "modify", "team", "verify", "true"),
        ("push",),
    ):
        dvc(folder, environment, *command)
    outputs = {path: (folder / path).read_bytes() for path in cached_outputs(folder)}
    return Remote(folder, environment, bucket=s3.folder / "outputs", outputs=outputs)


def test_every_output_is_pushed(remote: Remote) -> None:
    assert {"data/train.npz", "models/surrogate_snn_checkpoint.pth"} <= set(remote.outputs)
    for path, content in remote.outputs.items():
        assert remote.stored(path).read_bytes() == content, path
    assert dvc_json(remote.folder, remote.environment, "status", "--cloud") == {}


def test_a_colleague_gets_them_with_a_clone(remote: Remote, tmp_path: Path) -> None:
    """The remote is in git; the keys are not."""
    remote.git("commit", "-q", "-a", "-m", "A remote for the team")
    git(tmp_path, remote.environment, "clone", "-q", str(remote.folder), "theirs")
    theirs = tmp_path / "theirs"
    # A cache of one's own, and what DVC remembers of files
    environment = {**remote.environment, "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    dvc(theirs, environment, "pull", "models/surrogate_snn_checkpoint.pth")
    path = "models/surrogate_snn_checkpoint.pth"
    assert (theirs / path).read_bytes() == remote.outputs[path]
    secret = environment["AWS_SECRET_ACCESS_KEY"]
    assert secret not in (theirs / ".dvc" / "config").read_text(encoding="utf-8")


def test_a_damaged_object_is_refused(remote: Remote) -> None:
    """`verify true`: what the store returns is trusted only if its md5 is the one in dvc.lock."""
    path = "models/trained.pth"
    stored = remote.stored(path)
    damaged = bytearray(remote.outputs[path])
    damaged[len(damaged) // 2] ^= 1
    stored.write_bytes(damaged)
    try:
        remote.forget()
        said = run(["dvc", "pull"], remote.folder, remote.environment, status=1)
    finally:
        stored.write_bytes(remote.outputs[path])
    assert path in said
    assert remote.found() == {name: file for name, file in remote.outputs.items() if name != path}
    remote.dvc("pull")
    assert remote.found() == remote.outputs
