"""One schema of values for the writer and the reader, in JSON and in CSV."""

from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from pydantic import ConfigDict, ValidationError, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.files import write_csv, write_json
from spikejoule.core.records import Count, Flag, MaybePercent, Percent, Record, Row, Table


class Inner(Record):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"{self.low} is above {self.high}")
        return self


class Outer(Record):
    accuracy_percent: Percent
    inner: Inner
    note: str | None = None


class Line(Row):
    model_config = ConfigDict(extra="allow")

    step: Count
    shown: Flag
    accuracy_percent: MaybePercent


class Lines(Table):
    row: ClassVar[type[Row]] = Line
    rows: tuple[Line, ...]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(row.step for row in self.rows) != [row.step for row in self.rows]:
            raise ValueError("the steps must ascend")
        return self


GOOD: dict[str, Any] = {"accuracy_percent": 98.5, "inner": {"low": 1.0, "high": 2.0}}


def test_json_round_trip_leaves_out_what_was_never_set(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    Outer.model_validate(GOOD).write(path)
    assert Outer.read(path) == Outer.model_validate(GOOD)
    assert "note" not in path.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy_percent": 500.0}, "accuracy_percent is 500.0, but must be less than or equal"),
        ({"accuracy_percent": "x"}, "accuracy_percent is 'x', but must be a valid number"),
        ({"accuracy_percent": None}, "accuracy_percent is null, but must be a valid number"),
        ({"accuracy_percent": True}, "accuracy_percent is true"),
        ({"inner": {"low": 3.0, "high": 2.0}}, "inner: 3.0 is above 2.0"),
        ({"inner": {"low": 3.0}}, "inner.high is missing"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_json_that_breaks_the_schema(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError):
        Outer.model_validate({**GOOD, **change})
    write_json(tmp_path / "a.json", {**GOOD, **change})
    with pytest.raises(ArtifactError) as error:
        Outer.read(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: {words}")
    assert "\n" not in str(error.value)


def test_csv_round_trip_with_empty_cells_and_further_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = Lines(
        rows=(
            Line(step=1, shown=True, accuracy_percent=None, rate="80"),
            Line(step=2, shown=False, accuracy_percent=0.1, rate="[1, 2]"),
        )
    )
    lines.write(path, ["rate"])
    assert path.read_text() == 'step,shown,accuracy_percent,rate\n1,1,,80\n2,0,0.1,"[1, 2]"\n'
    assert Lines.read(path) == lines


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(1, 1, "e999")], "row 2, accuracy_percent is 'e999'"),
        ([(1, 1, "1e999")], "row 2, accuracy_percent is '1e999'"),
        ([(1, 1, 2.0), (2, 1, "nan")], "row 3, accuracy_percent is 'nan'"),
        ([(1, 2, 2.0)], "row 2, shown is '2'"),
        ([(-1, 1, 2.0)], "row 2, step is '-1'"),
        ([("", 1, 2.0)], "row 2, step is ''"),
        ([(2, 1, 2.0), (1, 1, 2.0)], "the steps must ascend"),
    ],
)
def test_csv_that_breaks_the_schema(
    tmp_path: Path, rows: list[tuple[Any, ...]], words: str
) -> None:
    write_csv(tmp_path / "a.csv", Lines.columns(), rows)
    with pytest.raises(ArtifactError) as error:
        Lines.read(tmp_path / "a.csv")
    assert str(error.value).startswith(f"{tmp_path / 'a.csv'}: {words}")
    assert "\n" not in str(error.value)
