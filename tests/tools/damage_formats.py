"""The formats of the artifacts, taken apart and put together again with the same bytes.

What a writer of the project refuses to write can be written here: pickles, other types, NaN.
"""

import contextlib
import csv
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spikejoule.core.torch_files import to_plain

MARK = "executed"


class Pickled:
    """Where a pickle of it is loaded, a folder `MARK` comes into being."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (MARK,)


@dataclass(frozen=True)
class Format:
    """How bytes become content and content becomes bytes."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


def _decode_csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def _encode_csv(rows: list[list[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def _encode_json(content: Any) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _decode_npz(data: bytes) -> list[tuple[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [
            (
                entry.filename.removesuffix(".npy"),
                np.lib.format.read_array(io.BytesIO(archive.read(entry)), allow_pickle=False),
            )
            for entry in archive.infolist()
        ]


def _encode_npz(entries: list[tuple[str, Any]]) -> bytes:
    """`entries` in their order, each an array or the bytes of an .npy file."""
    buffer = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),  # of a name given twice
        zipfile.ZipFile(buffer, "w") as archive,
    ):
        for name, array in entries:
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                member.write(array if isinstance(array, bytes) else npy(array))
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    """The bytes of an .npy file; objects are pickled."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=True)
    return buffer.getvalue()


def _decode_torch(data: bytes) -> Any:
    with warnings.catch_warnings(action="ignore"):  # of what damage looks like
        return torch.load(io.BytesIO(data), weights_only=True)


def _encode_torch(content: Any) -> bytes:
    with contextlib.suppress(TypeError):  # of an object that is to be pickled
        content = to_plain(content)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


FORMATS = {
    ".csv": Format(_decode_csv, _encode_csv),
    ".json": Format(json.loads, _encode_json),
    ".npz": Format(_decode_npz, _encode_npz),
    ".pth": Format(_decode_torch, _encode_torch),
    ".yaml": Format(
        lambda data: data.decode().splitlines(keepends=True), lambda lines: "".join(lines).encode()
    ),
}
