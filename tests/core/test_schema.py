"""Schemas: writers and readers refuse what breaks them, in JSON, CSV and .npz."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from pydantic import ConfigDict, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.core.schema import (
    Array,
    ArrayFile,
    Count,
    MaybeNotNegative,
    Percent,
    Record,
    Row,
    Table,
)
from spikejoule.core.store import write_csv, write_json
from tests.tools.refusals import refusal


class Outer(Record):
    accuracy_percent: Percent
    note: str | None = None


class Line(Row):
    model_config = ConfigDict(extra="allow")

    step: Count
    accuracy_percent: MaybeNotNegative
    newer_percent: MaybeNotNegative = None


class Lines(Table):
    row: ClassVar[type[Row]] = Line
    rows: tuple[Line, ...]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(row.step for row in self.rows) != [row.step for row in self.rows]:
            raise ValueError("the steps must ascend")
        return self


GOOD: dict[str, Any] = {"accuracy_percent": 98.5}
COLUMNS = ("step", "accuracy_percent")


def test_json_leaves_out_fields_that_were_never_set(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Outer.model_validate(GOOD).write(path)
    assert Outer.read(path) == Outer.model_validate(GOOD)
    assert "note" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy_percent": 500.0}, "accuracy_percent is 500.0, but must be less"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_json_that_breaks_the_schema(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_json(tmp_path / "a.json", {**GOOD, **change})
    assert words in refusal(Outer.read, tmp_path / "a.json")


def test_csv_round_trip_with_empty_cells_and_further_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    first = Line(step=1, accuracy_percent=None, newer_percent=5.0, rate="80")
    second = Line(step=2, accuracy_percent=0.1, newer_percent=None, rate="[1, 2]")
    lines = Lines(rows=(first, second))
    lines.write(path)
    header = "step,accuracy_percent,newer_percent,rate\n"
    assert path.read_text() == header + '1,,5.0,80\n2,0.1,,"[1, 2]"\n'
    assert Lines.read(path) == lines
    write_csv(path, COLUMNS, [(1, 2.0)])
    assert Lines.read(path).rows[0].newer_percent is None, "an optional column"
    write_csv(path, COLUMNS[:1], [(1,)])
    with pytest.raises(ArtifactError, match="lacks the column accuracy_percent"):
        Lines.read(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, 2.0), (2, "nan")], "row 3: accuracy_percent is 'nan'"),
        ([(2, 2.0), (1, 2.0)], "the steps must ascend"),
    ],
)
def test_csv_that_breaks_the_schema(
    tmp_path: Path, rows: list[tuple[Any, ...]], words: str
) -> None:
    write_csv(tmp_path / "a.csv", COLUMNS, rows)
    assert words in refusal(Lines.read, tmp_path / "a.csv")


FILE = ArrayFile(
    "spikejoule/test/1",
    {
        "counts": Array("int64", ("N", "L"), low=0, high=9),
        "names": Array("U", ("L",)),
        "per_*": Array("u", ("N",)),
    },
    lambda arrays: (
        "" if arrays["counts"].sum() == arrays["per_sample"].sum() else "sums differ"
    ),
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("names"), "'names' is missing"),
        (
            lambda a: a.update(counts=a["counts"].astype(np.int32)),
            "must have the type 'int64'",
        ),
        (lambda a: a.update(counts=a["counts"] * 9), "holds 36, but must be at most 9"),
        (lambda a: a.update(per_more=a["per_sample"][:2]), "N is 3"),
        (lambda a: a.update(per_sample=a["per_sample"][::-1] * 2), "sums differ"),
    ],
)
def test_arrays_that_break_the_schema_are_neither_written_nor_read(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    arrays: dict[str, Any] = {
        "counts": np.array([[1, 2], [3, 0], [0, 4]]),
        "names": np.array(["input", "output"]),
        "per_sample": np.array([3, 3, 4], dtype=np.uint16),
    }
    FILE.write(tmp_path / "good.npz", arrays)
    assert FILE.read(tmp_path / "good.npz").keys() == arrays.keys()
    change(arrays)
    with pytest.raises(ValueError, match=re.escape(words)):
        FILE.write(tmp_path / "a.npz", arrays)
    write_npz(tmp_path / "a.npz", FILE.schema, arrays)
    assert words in refusal(FILE.read, tmp_path / "a.npz")
