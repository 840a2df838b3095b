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


CHECKPOINT, TRAINED = "models/surrogate_snn_checkpoint.pth", "models/trained.pth"


@dataclass(frozen=True)
class Remote(Project):
    """A copy of a recorded project that keeps its outputs in an S3 store.

    Attributes:
        pushed: path and content of each output that DVC keeps, the others being git's.
        stored: the object in the bucket that holds each.
    """

    pushed: Mapping[str, bytes] = field(default_factory=dict)
    stored: Mapping[str, Path] = field(default_factory=dict)

    def found(self) -> dict[str, bytes]:
        """Path and content of each output that is there."""
        paths = {path: self.folder / path for path in self.pushed}
        return {path: file.read_bytes() for path, file in paths.items() if file.is_file()}


@pytest.fixture(scope="module")
def remote(
    recorded_project: Project, s3: S3Store, tmp_path_factory: pytest.TempPathFactory
) -> Remote:
    """What the commands of the page on sharing write, then `dvc push`."""
    folder = tmp_path_factory.mktemp("remote") / "clone"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **s3.environment()}
    bucket = s3.bucket("outputs")
    settings = f"url = {bucket}/spikejoule\nendpointurl = {s3.url}\nverify = true\n"
    (folder / ".dvc" / "config.local").write_text(
        f"[core]\nremote = team\n['remote \"team\"']\n{settings}", encoding="utf-8"
    )
    dvc(folder, environment, "push")
    lock: dict[str, Any] = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    of_git = set(git(folder, environment, "ls-files").splitlines())
    outputs = [out for stage in lock["stages"].values() for out in stage.get("outs", ())]
    cached = {out["path"]: out["md5"] for out in outputs if out["path"] not in of_git}
    objects = s3.folder / "outputs" / "spikejoule" / "files" / "md5"
    return Remote(
        folder,
        environment,
        pushed={path: (folder / path).read_bytes() for path in cached},
        stored={path: objects / md5[:2] / md5[2:] for path, md5 in cached.items()},
    )


def test_every_output_is_pushed(remote: Remote) -> None:
    assert {"data/train.npz", CHECKPOINT} <= set(remote.pushed)
    for path, content in remote.pushed.items():
        assert remote.stored[path].read_bytes() == content, path
    assert dvc_json(remote.folder, remote.environment, "status", "--cloud") == {}


def test_a_damaged_object_is_refused(remote: Remote) -> None:
    """`verify true`: what the store returns is trusted only if its md5 is the one in dvc.lock."""
    damaged = bytearray(remote.pushed[TRAINED])
    damaged[len(damaged) // 2] ^= 1
    remote.stored[TRAINED].write_bytes(damaged)
    try:
        shutil.rmtree(remote.folder / ".dvc" / "cache")
        for path in remote.pushed:
            (remote.folder / path).unlink()
        said = run(["dvc", "pull"], remote.folder, remote.environment, status=1)
    finally:
        remote.stored[TRAINED].write_bytes(remote.pushed[TRAINED])
    assert TRAINED in said
    assert remote.found() == {path: of for path, of in remote.pushed.items() if path != TRAINED}
    remote.dvc("pull")
    assert remote.found() == remote.pushed
