"""Artifacts of plain values: one typed schema each, which its writer and its reader share.

A `Record` is a JSON object, a `Table` a CSV file with a row for each of its records. Fields carry
their ranges, and validators the relations between them, so a file that breaks either is refused
when it is read, in one sentence that names it; a writer that would break them fails itself.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.files import read_csv, read_json, write_csv, write_json
from spikejoule.core.parameter_problems import shown

Percent = Annotated[float, Field(ge=0, le=100)]
# Below what int64 and float64 hold exactly, with room for a product with a window.
Count = Annotated[int, Field(ge=0, le=2**53)]
NotNegative = Annotated[float, Field(ge=0)]
# A century: what lies beyond overflows where dates are added.
Seconds = Annotated[float, Field(ge=0, le=3.2e9)]
Text = Annotated[str, Field(min_length=1)]
PlainValue = str | int | float | bool | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _nothing_for_empty(value: object) -> object:
    return None if value == "" else value


def _flag(value: object) -> object:
    return {"0": False, "1": True}.get(value, value) if isinstance(value, str) else value


# Cells of a table.
MaybePercent = Annotated[Percent | None, BeforeValidator(_nothing_for_empty)]
MaybeNotNegative = Annotated[NotNegative | None, BeforeValidator(_nothing_for_empty)]
Flag = Annotated[bool, BeforeValidator(_flag), Field(strict=True)]


class Record(BaseModel):
    """An object of named values: immutable, without conversions, NaN or unknown names.

    `intervals` names fields that must not descend, such as an accuracy between the ends of its
    interval; what is None is not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    intervals: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @model_validator(mode="after")
    def _intervals_hold(self) -> Self:
        for names in self.intervals:
            check_interval(*(getattr(self, name) for name in names))
        return self

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a JSON file; ArtifactError if it is missing, damaged, or not one of these."""
        return cls.from_content(path, read_json(path))

    @classmethod
    def from_content(cls, path: str | os.PathLike[str], content: Mapping[str, Any]) -> Self:
        """The record in a file's content; ArtifactError, naming `path`, if it is none."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ArtifactError(f"{path}: {first_problem(error)}: write it again.") from error

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the record as JSON, atomically; fields that were never set are left out."""
        write_json(path, self.model_dump(mode="json", by_alias=True, exclude_unset=True))


class Row(Record):
    """A row of a table: its fields are the columns, and its cells are read from text."""

    model_config = ConfigDict(strict=False)


class Table(Record):
    """Rows of one kind; subclasses add what must hold between them.

    A row class that admits extra fields makes a table with further columns of text.
    """

    row: ClassVar[type[Row]]
    rows: tuple[Row, ...]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The columns that every file has, by their names."""
        return tuple(field.alias or name for name, field in cls.row.model_fields.items())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a CSV file; ArtifactError if it is missing, damaged, or not one of these."""
        rows = []
        for number, cells in enumerate(read_csv(path, cls.columns()), start=2):
            try:
                rows.append(cls.row.model_validate(cells))
            except ValidationError as error:
                raise ArtifactError(
                    f"{path}: row {number}, {first_problem(error)}: write it again."
                ) from error
        return cls.from_content(path, {"rows": tuple(rows)})

    def write(self, path: str | os.PathLike[str], further_columns: Sequence[str] = ()) -> None:
        """Write the table as CSV, atomically; `further_columns` names the rows' extra fields."""
        columns = (*self.columns(), *further_columns)
        cells = (row.model_dump(by_alias=True) for row in self.rows)
        write_csv(path, columns, [[_cell(row[name]) for name in columns] for row in cells])


def accuracy_interval(name: str = "accuracy") -> tuple[str, str, str]:
    """The fields of an accuracy in percent and of its interval, from the lower end to the upper."""
    return f"{name}_low_percent", f"{name}_percent", f"{name}_high_percent"


def check_interval(*values: float | None) -> None:
    """Raise ValueError for values that descend; what is None is not compared."""
    ends = [value for value in values if value is not None]
    if sorted(ends) != ends:
        raise ValueError(f"{' to '.join(str(end) for end in ends)} is no interval")


def check_sum(total: float, parts: Sequence[float], what: str) -> None:
    """Raise ValueError unless `parts` add up to `total`, but for rounding."""
    if not math.isclose(total, sum(parts), rel_tol=1e-9):
        raise ValueError(f"{what} is {total}, but its parts add up to {sum(parts)}")


def first_problem(error: ValidationError, stated: Mapping[str, str] = {}) -> str:
    """The first thing that is wrong, in words, with its place and its value.

    `stated` has the names that a file gives to fields, where they differ.
    """
    problem = error.errors(include_url=False)[0]
    # Of a field that may be of two types, pydantic names the type, too.
    parts = (str(part) for part in problem["loc"])
    place = ".".join(stated.get(part, part) for part in parts if "[" not in part)
    if problem["type"] == "missing":
        return f"{place} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{place} is unknown"
    if problem["type"] == "value_error":
        reason = str(problem["ctx"]["error"])
        return f"{place}: {reason}" if place else reason
    reason = re.sub("^(Input|String) should", "must", problem["msg"])
    return f"{place} is {shown(problem['input'])}, but {reason}"


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
