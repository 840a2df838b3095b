"""Schemas of the project's files, shared by their writers and readers.

A `Record` is a JSON object, a `Table` is a CSV file of `Row` records, and an
`ArrayFile` describes an .npz file. Types state the range of each field; validators
check relations between fields. Reading an invalid file raises an ArtifactError, one
sentence that names the file; building an invalid record raises a ValueError.

Only the current format is read. An .npz file states its schema with a version, which
rises when the format changes, and a file of another version is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    field_validator,
)

from spikejoule.core.errors import ArtifactError, check, first_problem
from spikejoule.core.npz import read_npz, write_npz
from spikejoule.core.store import FilePath, read_csv, read_json, write_csv, write_json

Percent = Annotated[float, Field(ge=0, le=100)]
# float64 holds every integer up to 2**53 exactly.
Count = Annotated[int, Field(ge=0, le=2**53)]
NotNegative = Annotated[float, Field(ge=0)]
# A century: a longer duration could overflow when it is added to a date.
Seconds = Annotated[float, Field(ge=0, le=3.2e9)]
Text = Annotated[str, Field(min_length=1)]
PlainValue = str | int | float | bool | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")


def _parsed_cell(text: Any, parse: Callable[[Any], Any]) -> Any:
    """Parse a cell; a number has ASCII digits only, without underscores."""
    value = parse(text)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(text, str) and is_number and not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r:.40} is not a number in digits")
    return value


# Cells of a table; an empty cell is None.
_EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)
_Cell = WrapValidator(_parsed_cell)
MaybeNotNegative = Annotated[NotNegative | None, _Cell, _EmptyIsNone]
MaybeCount = Annotated[Count | None, _Cell, _EmptyIsNone]


class Record(BaseModel):
    """An immutable JSON object; rejects NaN, unknown names and values of wrong type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Read a JSON file; ArtifactError if it is missing, damaged or invalid."""
        return cls.from_content(path, read_json(path))

    @classmethod
    def from_content(cls, path: FilePath, content: Mapping[str, Any]) -> Self:
        """Validate a file's content; an ArtifactError names `path` if it is invalid."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ArtifactError(
                f"{path}: {first_problem(error)}: write it again."
            ) from error

    def write(self, path: FilePath) -> None:
        """Write a JSON file atomically, without the fields that were never set."""
        write_json(path, self.model_dump(mode="json", exclude_unset=True))


class Row(Record):
    """A row of a table: fields are columns, and their values are parsed from text."""

    model_config = ConfigDict(strict=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _parse(cls, text: Any, parse: Callable[[Any], Any]) -> Any:
        """Parse a cell of a column."""
        return _parsed_cell(text, parse)


class Table(Record):
    """The rows of a CSV file; subclasses validate relations between rows.

    If the row class allows extra fields, the file may have further columns, read as
    text.

    Attributes:
        row: class of the rows.
        rows: in the file's order.
    """

    row: ClassVar[type[Row]]
    rows: tuple[Row, ...]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the names of the columns that are always written."""
        return tuple(cls.row.model_fields)

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Read a CSV file; ArtifactError if it is missing, damaged or invalid."""
        needed = [
            name for name, field in cls.row.model_fields.items() if field.is_required()
        ]
        rows = (
            cls.row.from_content(f"{path}, row {number}", cells)
            # Row 1 of the file is the header.
            for number, cells in enumerate(read_csv(path, needed), start=2)
        )
        return cls.from_content(path, {"rows": tuple(rows)})

    def write(self, path: FilePath) -> None:
        """Write a CSV file atomically; an extra field of any row becomes a column."""
        further = dict.fromkeys(
            name for row in self.rows for name in row.model_extra or {}
        )
        columns = (*self.columns(), *further)
        cells = (row.model_dump() for row in self.rows)
        write_csv(path, columns, [[row.get(name) for name in columns] for row in cells])


Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Array:
    """The schema of one array.

    Attributes:
        dtype: a dtype's name (`uint8`), or a NumPy kind of one letter (`u`, `i`, `f`,
            `U`).
        shape: for each dimension its size, a letter, or `*` for any size. All
            dimensions of a file with the same letter have the same size.
        low, high: least and greatest value; None for no bound. Floating-point values
            must also be finite.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class ArrayFile:
    """The schema of an .npz file.

    Attributes:
        schema: name of the schema, stored in the file.
        arrays: schemas of the arrays by name. A name with an asterisk is a pattern that
            any number of arrays may match; an array with a plain name must exist.
        relation: checks the arrays against each other; returns the problem in words, or
            "" if there is none.
        optional: schemas of arrays that a file may lack.
    """

    schema: str
    arrays: Mapping[str, Array]
    relation: Callable[[Arrays], str] = lambda arrays: ""
    optional: Mapping[str, Array] = field(default_factory=dict)

    def read(self, path: FilePath) -> dict[str, NDArray[Any]]:
        """Read a file; ArtifactError if it is missing, damaged or breaks the schema."""
        arrays = read_npz(path, self.schema)
        check(path, self.problem(arrays))
        return arrays

    def write(self, path: FilePath, arrays: Arrays) -> None:
        """Write arrays atomically; ValueError if they break the schema."""
        problem = self.problem(arrays)
        if problem:
            raise ValueError(problem)
        write_npz(path, self.schema, arrays)

    def problem(self, arrays: Arrays) -> str:
        """Describe what is wrong with arrays; empty if nothing is."""
        for name in self.arrays:
            if "*" not in name and name not in arrays:
                return f"the array {name!r} is missing"
        sizes: dict[int | str, int] = {}
        for name, array in arrays.items():
            spec = self._spec_of(name)
            problem = "is unknown" if spec is None else _problem(array, spec, sizes)
            if problem:
                return f"the array {name!r} {problem}"
        return self.relation(arrays)

    def _spec_of(self, name: str) -> Array | None:
        """Find the schema of an array by its name, or else by a pattern."""
        named = {**self.arrays, **self.optional}
        if name in named:
            return named[name]
        for pattern, spec in self.arrays.items():
            if fnmatchcase(name, pattern):
                return spec
        return None


def _problem(array: NDArray[Any], spec: Array, sizes: dict[int | str, int]) -> str:
    """Describe what is wrong with an array; empty if nothing is.

    `sizes` maps each letter to its size in the arrays checked so far, and is extended.
    """
    is_kind = len(spec.dtype) == 1
    dtype = array.dtype.kind if is_kind else array.dtype
    if dtype != spec.dtype or array.ndim != len(spec.shape):
        return (
            f"must have the type {spec.dtype!r} and {len(spec.shape)} "
            f"dimension(s), but has {array.dtype.name!r} and the shape {array.shape}"
        )
    for size, stated in zip(array.shape, spec.shape, strict=True):
        needed = stated if isinstance(stated, int) else sizes.setdefault(stated, size)
        if size != needed and stated != "*":
            return f"has the shape {array.shape}, but {stated} is {needed}"
    if array.size == 0:
        return ""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "holds values that are not finite"
    if spec.low is not None and array.min() < spec.low:
        return f"holds {array.min()}, but must be at least {spec.low}"
    if spec.high is not None and array.max() > spec.high:
        return f"holds {array.max()}, but must be at most {spec.high}"
    return ""
