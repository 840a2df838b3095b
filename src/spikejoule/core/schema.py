"""Typed schemas of files, shared by their writers and readers.

A `Record` is a JSON object, a `Table` a CSV file with a row for each of its records, an
`ArrayFile` an .npz file. Fields carry ranges, and validators the relations between
them. A file that breaks either is refused in one sentence that names it; a writer that
would break them fails.

A field that is newer than existing files has the default None, in tables too: in an
older file the value is unknown, and everything else is read as usual.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spikejoule.core.errors import ArtifactError, check, first_problem
from spikejoule.core.npz import read_npz, write_npz
from spikejoule.core.store import FilePath, read_csv, read_json, write_csv, write_json

Percent = Annotated[float, Field(ge=0, le=100)]
# Below what int64 and float64 hold exactly, with room for a product with a window.
Count = Annotated[int, Field(ge=0, le=2**53)]
NotNegative = Annotated[float, Field(ge=0)]
# A century: more would overflow where dates are added.
Seconds = Annotated[float, Field(ge=0, le=3.2e9)]
Text = Annotated[str, Field(min_length=1)]
PlainValue = str | int | float | bool | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# Cells of a table: an empty one is None.
_EmptyIsNone = BeforeValidator(lambda value: None if value == "" else value)
MaybeNotNegative = Annotated[NotNegative | None, _EmptyIsNone]
MaybeCount = Annotated[Count | None, _EmptyIsNone]


class Record(BaseModel):
    """Named values: immutable, without conversions, NaN or unknown names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Read a JSON file; ArtifactError if it is missing, damaged or misfits."""
        return cls.from_content(path, read_json(path))

    @classmethod
    def from_content(cls, path: FilePath, content: Mapping[str, Any]) -> Self:
        """Validate a file's content; ArtifactError, which names `path`, if it fails."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ArtifactError(
                f"{path}: {first_problem(error)}: write it again."
            ) from error

    def write(self, path: FilePath) -> None:
        """Write a JSON file atomically; fields that were never set are left out."""
        write_json(path, self.model_dump(mode="json", exclude_unset=True))


class Row(Record):
    """A row of a table: its fields are the columns; cells are parsed from text."""

    model_config = ConfigDict(strict=False)


class Table(Record):
    """Rows of one class; subclasses add relations between them.

    A row class that allows extra fields makes a table with further columns of text.
    """

    row: ClassVar[type[Row]]
    rows: tuple[Row, ...]

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Return the names of the columns that are always written."""
        return tuple(cls.row.model_fields)

    @classmethod
    def read(cls, path: FilePath) -> Self:
        """Read a CSV file; ArtifactError if it is missing, damaged or misfits."""
        needed = [
            name for name, field in cls.row.model_fields.items() if field.is_required()
        ]
        rows = (
            cls.row.from_content(f"{path}, row {number}", cells)
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
        shape: a number or a letter for each dimension; `*` is any size. Equal letters
            are equal sizes, throughout the file.
        low, high: least and greatest value; None for no bound. Floating-point numbers
            are finite.
    """

    dtype: str
    shape: tuple[int | str, ...]
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class ArrayFile:
    """The schema of an .npz file.

    Attributes:
        schema: its name, stored in the file.
        arrays: every array by its name; a name with an asterisk is a pattern for any
            number of arrays.
        relation: describes what is wrong between the arrays; else returns "".
        optional: arrays that a file may lack.
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

    `sizes` holds the sizes of the letters that earlier arrays had, and gets new ones.
    """
    is_kind = len(spec.dtype) == 1
    found = array.dtype.kind if is_kind else array.dtype
    if found != spec.dtype or array.ndim != len(spec.shape):
        return (
            f"must have the type {spec.dtype!r} and {len(spec.shape)} "
            f"dimension(s), but has {array.dtype.name!r} and the shape {array.shape}"
        )
    for size, letter in zip(array.shape, spec.shape, strict=True):
        needed = letter if isinstance(letter, int) else sizes.setdefault(letter, size)
        if size != needed and letter != "*":
            return f"has the shape {array.shape}, but {letter} is {needed}"
    if array.size == 0:
        return ""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "holds values that are not finite"
    if spec.low is not None and array.min() < spec.low:
        return f"holds {array.min()}, but must be at least {spec.low}"
    if spec.high is not None and array.max() > spec.high:
        return f"holds {array.max()}, but must be at most {spec.high}"
    return ""
