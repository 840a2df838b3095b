"""Artifacts of arrays: one schema each, which its writer and its reader share.

A schema says of every array of an .npz file its type, its shape and its range. Sizes are letters
(N samples, L layers, ...), which stand for the same number wherever they occur in a file.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.files import read_npz, write_npz

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Array:
    """What one array must be.

    Attributes:
        dtype: a dtype's name (`uint8`), or a NumPy kind of one letter (`u`, `i`, `f`, `U`).
        shape: a number or a letter for each dimension; `*` is any size.
        low, high: least and greatest value; None for no bound. Floating-point numbers are finite.
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
        arrays: every array by its name; a name with an asterisk stands for any number of arrays.
        relation: says in words what is wrong between the arrays, or returns an empty text.
        optional: arrays that a file may lack.
    """

    schema: str
    arrays: Mapping[str, Array]
    relation: Callable[[Arrays], str] = lambda arrays: ""
    optional: Mapping[str, Array] = field(default_factory=dict)

    def read(self, path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
        """Read a file of `write`; ArtifactError if it is missing, damaged or breaks the schema."""
        arrays = read_npz(path, self.schema)
        problem = self.problem(arrays)
        if problem:
            raise ArtifactError(f"{path}: {problem}: write it again.")
        return arrays

    def write(self, path: str | os.PathLike[str], arrays: Arrays) -> None:
        """Write arrays atomically; ValueError if they break the schema."""
        problem = self.problem(arrays)
        if problem:
            raise ValueError(problem)
        write_npz(path, self.schema, arrays)

    def problem(self, arrays: Arrays) -> str:
        """What is wrong with arrays, in words; an empty text for nothing."""
        for name in self.arrays:
            if "*" not in name and name not in arrays:
                return f"the array {name!r} is missing"
        sizes: dict[str, tuple[int, str]] = {}
        for name, array in arrays.items():
            spec = self._spec(name)
            problem = (
                "is unknown"
                if spec is None
                else _form_problem(array, spec)
                or _range_problem(array, spec)
                or _size_problem(name, array, spec, sizes)
            )
            if problem:
                return f"the array {name!r} {problem}"
        return self.relation(arrays)

    def _spec(self, name: str) -> Array | None:
        known = {**self.arrays, **self.optional}
        if name in known:
            return known[name]
        patterns = (pattern for pattern in self.arrays if "*" in pattern)
        return next((self.arrays[one] for one in patterns if fnmatchcase(name, one)), None)


def _form_problem(array: NDArray[Any], spec: Array) -> str:
    is_kind = len(spec.dtype) == 1
    fits = array.dtype.kind == spec.dtype if is_kind else array.dtype == np.dtype(spec.dtype)
    if not fits or array.ndim != len(spec.shape):
        return (
            f"must have the type {spec.dtype!r} and {len(spec.shape)} dimension(s), but has "
            f"{array.dtype.name!r} and the shape {array.shape}"
        )
    return ""


def _range_problem(array: NDArray[Any], spec: Array) -> str:
    if array.size == 0:
        return ""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return "holds values that are not finite"
    if spec.low is not None and array.min() < spec.low:
        return f"holds {array.min()}, but must be at least {spec.low}"
    if spec.high is not None and array.max() > spec.high:
        return f"holds {array.max()}, but must be at most {spec.high}"
    return ""


def _size_problem(
    name: str, array: NDArray[Any], spec: Array, sizes: dict[str, tuple[int, str]]
) -> str:
    """Compare the sizes with the numbers and with the letters of arrays seen before."""
    for size, needed in zip(array.shape, spec.shape, strict=True):
        if isinstance(needed, int):
            if size != needed:
                return f"has the shape {array.shape}, but {needed} is needed where it has {size}"
        elif needed != "*":
            first, other = sizes.setdefault(needed, (size, name))
            if size != first:
                return f"has the shape {array.shape}, but {other!r} has {needed} = {first}"
    return ""
