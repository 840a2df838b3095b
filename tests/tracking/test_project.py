"""What is published is what dvc.lock records: a lock file and a folder, without running DVC."""

import hashlib
import shutil
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.core.errors import ArtifactError
from spikejoule.tracking.project import check_against_lock
from tests.tools.pipeline_tools import clean_environment, dvc

# Two stages: what the first makes, the second reads and the run record does not hold.
FILES = {
    "data/images.npz": b"images",
    "models/net.pth": b"weights",
    "prices.yaml": b"prices",
    "src/code.py": b"code",
    "src/kernels/a.py": b"a",
}
RECORD = [Path("models/net.pth"), Path("prices.yaml")]
PARAMETERS = {"seed": 42, "train": {"lr": 0.003, "hidden": [400]}, "publish": {"experiment": "x"}}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def entry(path: str, content: bytes | None = None) -> dict[str, str]:
    return {"path": path, "md5": md5(FILES[path] if content is None else content)}


def lock() -> dict[str, Any]:
    kernels = md5(b'[{"md5": "%s", "relpath": "a.py"}]' % md5(b"a").encode()) + ".dir"
    return {
        "prepare": {"params": {"params.yaml": {"seed": 42}}, "outs": [entry("data/images.npz")]},
        "train": {
            "deps": [
                entry("data/images.npz"), entry("prices.yaml"), entry("src/code.py"),
                {"path": "src/kernels", "md5": kernels},
            ],
            "params": {"params.yaml": {"train": {"lr": 0.003, "hidden": [400]}}},
            "outs": [entry("models/net.pth")],
        },
        # It makes nothing of the record: it may be of an earlier run.
        "publish": {
            "deps": [entry("models/net.pth", b"old")], "params": {"params.yaml": {"seed": 1}},
        },
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "src" / "kernels" / "__pycache__").mkdir()
    (tmp_path / "src" / "kernels" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    write(tmp_path, lock())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMETERS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, stages: Mapping[str, Any]) -> None:
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": dict(stages)}))


def refusal(project: Path) -> list[str]:
    """The sentences by which the record is refused."""
    with pytest.raises(ArtifactError) as error:
        check_against_lock(RECORD, project)
    return str(error.value).splitlines()


def test_a_whole_result_whose_input_need_not_be_there(project: Path) -> None:
    assert check_against_lock(RECORD, project) == {}
    (project / "data" / "images.npz").unlink()
    assert check_against_lock(RECORD, project) == {}


@pytest.mark.parametrize("path", ["models/net.pth", "prices.yaml", "data/images.npz"])
def test_a_file_with_other_content(project: Path, path: str) -> None:
    (project / path).write_bytes(b"another")
    assert refusal(project) == [
        f"{path} is not the file that dvc.lock records: its MD5 is {md5(b'another')}, not "
        f"{md5(FILES[path])}; `dvc repro` puts it right."
    ]


def test_a_file_that_is_wrong_in_the_cache_too(project: Path) -> None:
    """DVC would bring it back from there, by its name."""
    dvc(project, clean_environment(project), "init", "-q", "--no-scm")
    recorded = md5(FILES["models/net.pth"])
    copy = project / ".dvc" / "cache" / "files" / "md5" / recorded[:2] / recorded[2:]
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"swapped")
    (project / "models" / "net.pth").write_bytes(b"swapped")
    (line,) = refusal(project)
    assert f"DVC's own copy is another file, too; remove both ({copy})" in line


def test_each_file_has_its_sentence(project: Path) -> None:
    (project / "models" / "net.pth").unlink()
    (project / "prices.yaml").write_bytes(b"other prices")
    (project / "params.yaml").write_text(yaml.safe_dump({**PARAMETERS, "seed": 7}))
    assert [line.split()[0] for line in refusal(project)] == ["params.yaml", "there", "prices.yaml"]


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("train", "deps", 0, "md5"), "0" * 32, "the stage train read another data/images.npz"),
        (("train", "outs"), [], "dvc.lock does not record models/net.pth"),
        (("train", "params", "params.yaml", "train", "lr"), 0.01, "was train.lr 0.01 (now 0.003)"),
        (("train", "params", "params.yaml", "train.momentum"), 0.9, "momentum 0.9 (now nothing)"),
        (("prepare", "outs", 0), {"path": "a"}, "(stages.prepare.outs.0.md5: Field required)"),
    ],
)
def test_a_lock_file_that_does_not_hold_the_result(
    project: Path, where: tuple[Any, ...], value: Any, words: str
) -> None:
    stages = lock()
    reduce(getitem, where[:-1], stages)[where[-1]] = value
    write(project, stages)
    assert words in " ".join(refusal(project))


def test_values_are_read_as_dvc_reads_them(project: Path) -> None:
    # YAML 1.1 would read 8 and text; DVC writes 10 and 1e-05.
    stages = lock()
    stages["train"]["params"]["params.yaml"]["train"] = {"lr": 1e-05, "window": 10}
    write(project, stages)
    (project / "params.yaml").write_text("seed: 42\ntrain:\n  lr: 1e-05\n  window: 010\n")
    assert check_against_lock(RECORD, project) == {}


OUTSIDE = b"stages: {a: {outs: [{path: ../victim, md5: 0123456789abcdef0123456789abcdef}]}}"


@pytest.mark.parametrize("content", [None, b"", b"<<<<<<< HEAD\nstages: {}\n", OUTSIDE])
def test_no_readable_lock_file(project: Path, content: bytes | None) -> None:
    (project / "dvc.lock").unlink()
    if content is not None:
        (project / "dvc.lock").write_bytes(content)
    (line,) = refusal(project)
    assert "dvc.lock" in line


def test_changed_code_is_told_and_refuses_nothing(project: Path) -> None:
    (project / "src" / "kernels" / "a.py").write_bytes(b"# a comment")
    tags = {"git.dirty": "true", "dvc.changed_code": "src/kernels"}
    assert check_against_lock(RECORD, project) == tags
    shutil.rmtree(project / "src")
    tags = check_against_lock(RECORD, project)
    assert tags["dvc.changed_code"] == "src/code.py, src/kernels"
