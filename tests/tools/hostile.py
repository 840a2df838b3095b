"""Hostile artifacts, drawn by Hypothesis: a file's bytes damaged, or one place of its content.

A file is taken apart, one value of it is replaced, lost, added or moved, and it is put together
again, whatever a writer of the project would say to that.
"""

import csv
import io
import json
import math
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st

MARK = "executed"


class Pickled:
    """Where a pickle of it is loaded, a folder `MARK` comes into being."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARK,)


def _read_npz(data: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _write_npz(arrays: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items() if isinstance(arrays, Mapping) else [("x", arrays)]:
            with archive.open(f"{name}.npy", "w") as member:
                try:
                    array = np.asarray(array)
                except ValueError:
                    array = np.array(str(array))
                np.lib.format.write_array(member, array, allow_pickle=True)
    return buffer.getvalue()


def _read_torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _write_torch(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _write_csv(rows: Any) -> bytes:
    buffer = io.StringIO()
    for row in rows if isinstance(rows, list) else [rows]:
        csv.writer(buffer, lineterminator="\n").writerow(row if isinstance(row, list) else [row])
    return buffer.getvalue().encode("utf-8", "surrogatepass")


FORMATS: Mapping[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    ".csv": (lambda data: list(csv.reader(io.StringIO(data.decode(), newline=""))), _write_csv),
    ".json": (json.loads, lambda content: json.dumps(content, default=str).encode()),
    ".npz": (_read_npz, _write_npz),
    ".pth": (_read_torch, _write_torch),
    ".yaml": (
        yaml.safe_load,
        lambda content: yaml.dump(content, sort_keys=False, allow_unicode=False).encode(),
    ),
}
# Formats with a checksum for every member: damaged bytes cannot be read as other values.
CHECKED = (".npz", ".pth")


@dataclass(frozen=True)
class Hostile:
    """What to put in an artifact's place: in words, bytes (None: nothing), whether it may differ.

    `same`: if it is read at all, then as the artifact was.
    """

    words: str
    data: bytes | None
    same: bool = False


@st.composite
def hostile(draw: st.DrawFn, path: Path) -> Hostile:
    """A hostile file in the place of the artifact at `path`."""
    data = path.read_bytes()
    if path.suffix not in FORMATS or not draw(st.integers(0, 3)):
        return draw(_damaged(data, path.suffix in CHECKED))
    decode, encode = FORMATS[path.suffix]
    words, content = draw(_changed(decode(data), draw(st.integers(0, 4))))
    with warnings.catch_warnings(action="ignore"):
        return Hostile(words, encode(content))


@st.composite
def _damaged(draw: st.DrawFn, data: bytes, checked: bool) -> Hostile:
    place = draw(st.integers(0, len(data) - 1))
    flipped = bytes([data[place] ^ 1 << draw(st.integers(0, 7))])
    cases = (
        Hostile(f"cut at {place}", data[:place], checked),
        Hostile(f"flipped at {place}", data[:place] + flipped + data[place + 1 :], checked),
        Hostile(f"beginning at {place}", data[place:], checked),
        Hostile("twice", data + data, checked),
        Hostile("missing", None, True),
        Hostile("empty", b"", checked),
        Hostile("a pickle", pickle.dumps(Pickled()), True),
    )
    return draw(st.sampled_from(cases))


@st.composite
def _changed(draw: st.DrawFn, value: Any, depth: int) -> tuple[str, Any]:
    """`value` with one change in it, `depth` levels down if it is so deep."""
    if depth and isinstance(value, dict | list | tuple) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        words, inner = draw(_changed(value[key], depth - 1))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = inner
        return f"{key}.{words}", copy
    changes = next((of for kind, of in CHANGES if isinstance(value, kind)), {})
    if not changes or draw(st.booleans()):
        odd = draw(st.sampled_from(ODD))
        return f"becomes {odd!r:.20}", odd
    words, change = draw(st.sampled_from([*changes.items()]))
    try:
        return words, change(value)
    except (TypeError, ValueError):  # an array of texts, or of no dimension
        return "becomes None", None


def _of_tensor(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda tensor: torch.from_numpy(change(tensor.numpy()))


ODD = (None, True, -1, 500, 0.5, math.nan, 10**30, "", "\x1b[2J\0", [1], {"value": 1}, Pickled())
OF_ARRAYS: dict[str, Callable[[Any], Any]] = {
    "loses its last": lambda array: array[:-1],
    "has a dimension more": lambda array: array[None],
    "is NaN": lambda array: np.full(array.shape, np.nan),
    "is negative": lambda array: -1 - array.astype(np.int8),
}
CHANGES: tuple[tuple[Any, dict[str, Callable[[Any], Any]]], ...] = (
    (
        dict,
        {
            "has one more": lambda value: {**value, "unknown": 1},
            "loses its last": lambda value: dict([*value.items()][:-1]),
        },
    ),
    (
        list | tuple,
        {"is doubled": lambda value: [*value, *value], "loses its last": lambda value: value[:-1]},
    ),
    (np.ndarray, OF_ARRAYS),
    (torch.Tensor, {words: _of_tensor(change) for words, change in OF_ARRAYS.items()}),
    (int | float, {"is one more": lambda value: value + 1}),
)
"""What may take the place of a value, by its type and in words."""
