"""A DVC remote in an S3 store: what is pushed comes back to the byte, or not at all."""

import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from tests.tools.pipeline_tools import run
from tests.tools.recorded_project import Project
from tests.tools.services import SHARED, S3Store

pytestmark = SHARED

CHECKPOINT, TRAINED = "models/surrogate_snn_checkpoint.pth", "models/trained.pth"


def test_outputs_come_back_and_a_damaged_one_is_refused(
    recorded_project: Project, s3: S3Store, tmp_path: Path
) -> None:
    """By what the commands of the page on sharing write; `verify true` compares each MD5."""
    folder = tmp_path / "clone"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    environment = {**recorded_project.environment, **s3.environment()}
    clone = replace(recorded_project, folder=folder, environment=environment)
    settings = f"url = {s3.bucket('outputs')}/spikejoule\nendpointurl = {s3.url}\nverify = true\n"
    (folder / ".dvc" / "config.local").write_text(
        f"[core]\nremote = team\n['remote \"team\"']\n{settings}", encoding="utf-8"
    )
    clone.dvc("push")
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    of_git = set(clone.git("ls-files").splitlines())
    outputs = [out for stage in stages.values() for out in stage.get("outs", ())]
    cached = {out["path"]: out["md5"] for out in outputs if out["path"] not in of_git}
    pushed = {path: (folder / path).read_bytes() for path in cached}
    assert {"data/train.npz", CHECKPOINT} <= set(pushed)
    objects = s3.folder / "outputs" / "spikejoule" / "files" / "md5"
    stored = {path: objects / md5[:2] / md5[2:] for path, md5 in cached.items()}
    assert {path: of.read_bytes() for path, of in stored.items()} == pushed
    assert "are in sync" in clone.dvc("status", "--cloud")

    damaged = bytearray(pushed[TRAINED])
    damaged[len(damaged) // 2] ^= 1
    stored[TRAINED].write_bytes(damaged)
    shutil.rmtree(folder / ".dvc" / "cache")
    for path in pushed:
        (folder / path).unlink()
    assert TRAINED in run(["dvc", "pull"], folder, environment, status=1)
    found = {path for path in pushed if (folder / path).is_file()}
    assert found == pushed.keys() - {TRAINED}
    stored[TRAINED].write_bytes(pushed[TRAINED])
    clone.dvc("pull")
    assert {path: (folder / path).read_bytes() for path in pushed} == pushed
