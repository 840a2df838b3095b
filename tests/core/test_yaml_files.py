"""yaml_files.py reads what DVC reads, or refuses it in one sentence."""

import time
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import parse_yaml

from spikejoule.core.errors import ParameterError
from spikejoule.core.yaml_files import read_yaml
from tests.tools.mutated_params import NASTY


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
            found = read(path, f"a: {value}\n")
        except ParameterError:
            continue
        # By their texts: no number is equal to itself where it is none.
        assert repr(found) == repr(parse_yaml(path.read_text(encoding="utf-8"), path)), value
        n_read += 1
    assert n_read > 50


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a: 1\nb:\n  c: 1\n  c: 2\n",
            ', line 4: not valid YAML (found duplicate key "c" with value',
        ),
        ("a: 0x" + "1" * 5000, ", line 1: not valid YAML (a number of more than 1,000 digits)."),
        ("a: 1\n---\nb: 2\n", ", line 2: not valid YAML (but found another document)."),
        ("!!python/object/apply:os.getcwd []", ", line 1: not valid YAML (could not determine"),
        ("a: 2020-13-45", ": not valid YAML (month must be in 1..12)."),
        ("[" * 5000, ": not valid YAML (maximum recursion depth exceeded)."),
        (b"\xff\xfe\x00", " is no text in UTF-8 ('utf-8' codec can't decode byte 0xff"),
        ("a: &a [*a]", "more than 100,000 values"),
        ("a: &a {b: *a}", "more than 100,000 values"),
    ],
)
def test_refused_in_one_sentence(text: str | bytes, words: str, path: Path) -> None:
    assert words in refusal(path, text)


@pytest.mark.parametrize("item", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_cannot_multiply_without_bound(item: str, path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"] + [
        f"a{level}: &a{level} {item.format(', '.join([f'*a{level - 1}'] * 9))}"
        for level in range(1, 60)
    ]
    started = time.process_time()
    assert "more than 100,000 values" in refusal(path, "\n".join(lines))
    assert time.process_time() - started < 5
