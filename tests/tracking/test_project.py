"""Only what dvc.lock records is published; tested without running DVC."""

import hashlib
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

from spikejoule.core.errors import ArtifactError
from spikejoule.tracking.project import check_against_lock

# Two stages: the second reads the output of the first, which is not published.
FILES = {
    "data/images.npz": b"images",
    "models/net.pth": b"weights",
    "prices.yaml": b"prices",
    "src/code.py": b"code",
}
RECORD = [Path("models/net.pth"), Path("prices.yaml")]
PARAMETERS = {
    "seed": 42,
    "train": {"lr": 0.003, "hidden": [400]},
    "publish": {"experiment": "x"},
}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def entry(path: str, content: bytes | None = None) -> dict[str, str]:
    return {"path": path, "md5": md5(FILES[path] if content is None else content)}


def lock() -> dict[str, Any]:
    return {
        "prepare": {
            "params": {"params.yaml": {"seed": 42}},
            "outs": [entry("data/images.npz")],
        },
        "train": {
            "deps": [
                entry("data/images.npz"),
                entry("prices.yaml"),
                entry("src/code.py", b"changed"),
            ],
            "params": {"params.yaml": {"train": {"lr": 0.003, "hidden": [400]}}},
            "outs": [entry("models/net.pth")],
        },
        # It makes nothing of the record, so it may be from an earlier run.
        "publish": {
            "deps": [entry("models/net.pth", b"old")],
            "params": {"params.yaml": {"seed": 1}},
        },
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    write(tmp_path, lock())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMETERS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, stages: Mapping[str, Any]) -> None:
    (folder / "dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": dict(stages)})
    )


def refusal() -> list[str]:
    """Return the sentences with which the record is refused."""
    with pytest.raises(ArtifactError) as error:
        check_against_lock(RECORD)
    return str(error.value).splitlines()


def test_a_whole_result_without_its_inputs(project: Path) -> None:
    check_against_lock(RECORD)
    (project / "data" / "images.npz").unlink()
    check_against_lock(RECORD)


@pytest.mark.parametrize("path", ["models/net.pth", "prices.yaml", "data/images.npz"])
def test_a_file_with_other_content(project: Path, path: str) -> None:
    (project / path).write_bytes(b"another")
    assert refusal() == [
        f"{path} is not the file that dvc.lock records: its MD5 is "
        f"{md5(b'another')}, not "
        f"{md5(FILES[path])}; `dvc repro` puts it right."
    ]


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("train", "deps", 0, "md5"), "0" * 32, f"not {'0' * 32} and {md5(b'images')}"),
        (("train", "outs"), [], "models/net.pth is not the file that dvc.lock records"),
        (
            ("train", "params", "params.yaml", "train", "lr"),
            0.01,
            "has train.lr 0.01 (now 0.003)",
        ),
        (("train", "outs", 0), {"path": "models/net.pth"}, "damaged (KeyError: 'md5')"),
        (("train",), None, "dvc.lock is damaged (AttributeError: "),
    ],
)
def test_a_lock_file_that_does_not_hold_the_result(
    project: Path, where: tuple[Any, ...], value: Any, words: str
) -> None:
    stages = lock()
    reduce(getitem, where[:-1], stages)[where[-1]] = value
    write(project, stages)
    assert words in " ".join(refusal())


@pytest.mark.parametrize(
    "content", [None, b"", b"stages:\n", b"<<<<<<< HEAD\nstages: {}\n"]
)
def test_no_readable_lock_file(project: Path, content: bytes | None) -> None:
    (project / "dvc.lock").unlink()
    if content is not None:
        (project / "dvc.lock").write_bytes(content)
    (line,) = refusal()
    assert "dvc.lock" in line
