"""YAML is read as DVC reads it, or refused in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.yaml_files import PIPELINE_FILE, artifact_paths, read_yaml
from tests.tools.dvc_private import parse_yaml

# Scalars that readers of YAML disagree on, that overflow, or that are not scalars
NASTY = (
    r"""
010|0o10|0x10|0b11|1_000|1:30|+7|12.|1e-05|1.e-5|1e400|yes|on|No|true|~|null||.nan|-.inf
9007199254740993|2020-13-45|2020-01-01T10:00:00Z|"12"|"a\0b"|\u0661\u0662|!!float 3
!!python/object/apply:os.getcwd []|!own 3|!!set {a}|!!timestamp x|!!bool 3|&a 12|*a
[010, 1:30]|{1: 2}|[1, 2|12 # 13|12: 13|${paths.test}
""".strip()
    .replace("\n", "|")
    .split("|")
)


def read(path: Path, text: str | bytes) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_yaml(path, ParameterError)


def refusal(path: Path, text: str | bytes) -> str:
    with pytest.raises(ParameterError) as error:
        read(path, text)
    message = str(error.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def test_odd_values_are_read_as_dvc_reads_them(path: Path) -> None:
    n_read = 0
    for value in NASTY:
        try:
            found = repr(read(path, f"a: {value}\n"))
        except (ParameterError, ValueError):  # or a number that is too long to print
            continue
        # By their texts: no number is equal to itself where it is none.
        assert found == repr(parse_yaml(path.read_text(encoding="utf-8"), path)), value
        n_read += 1
    assert n_read > 25


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a: 1\nb:\n  c: 1\n  c: 2\n",
            ', line 4: not valid YAML (found duplicate key "c" with value',
        ),
        ("a: 1\n---\nb: 2\n", ", line 2: not valid YAML (but found another document)."),
        (
            "!!python/object/apply:os.getcwd []",
            ", line 1: not valid YAML (could not determine",
        ),
        ("[" * 500, ": not valid YAML (maximum recursion depth exceeded"),
        (
            b"\xff\xfe\x00",
            " is damaged or of another format ('utf-8' codec can't decode byte 0xff",
        ),
    ],
)
def test_refused_in_one_sentence(text: str | bytes, words: str, path: Path) -> None:
    assert words in refusal(path, text)


class TestPaths:
    """The paths of artifacts in dvc.yaml."""

    def test_those_of_a_stage(self, tmp_path: Path) -> None:
        (tmp_path / PIPELINE_FILE).write_text(
            "vars: [others.yaml, {paths: {net: models/net.pth, log: log.csv}}]\n"
            "stages: {train: {outs: [{'${paths.net}': {cache: false}}]}}\n"
        )
        assert artifact_paths(tmp_path, "train") == {"net": Path("models/net.pth")}
        assert artifact_paths(tmp_path).keys() == {"net", "log"}
        with pytest.raises(ArtifactError, match="must have the path more in its vars"):
            artifact_paths(tmp_path)["more"]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (None, "is not a project: it has no dvc.yaml"),
            ("stages: {}", "must have vars with the entry paths"),
            ("vars: [{paths: [a]}]", "must have vars with the entry paths"),
            ("vars: [{paths: {}}]\nstages: {}", "and stages with their files"),
        ],
    )
    def test_a_folder_without_them(
        self, text: str | None, words: str, tmp_path: Path
    ) -> None:
        if text is not None:
            (tmp_path / PIPELINE_FILE).write_text(text)
        with pytest.raises(ArtifactError, match=words):
            artifact_paths(tmp_path, "a")
