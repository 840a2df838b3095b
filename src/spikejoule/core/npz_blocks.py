"""Arrays of an .npz file beyond memory: written piece by piece, and read where they are wanted.

The files are those of :func:`spikejoule.core.files.write_npz`, byte for byte: stored without
compression, so that a part of an array lies at a known place of the file.
"""

import hashlib
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.files import (
    DAMAGED_NPZ_ERRORS,
    SCHEMA_KEY,
    atomic_archive,
    cannot_read,
    cannot_write,
    npz_entry,
)

BLOCK_BYTES = 1 << 22
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class Spool:
    """An array [E] that grows on the disk, beside the file that it will be a part of."""

    def __init__(self, folder: Path, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)

    def append(self, values: NDArray[Any]) -> None:
        """Add values, which must be of the array's type already."""
        if values.dtype != self.dtype:
            raise ValueError(f"values are {values.dtype}, but the array is {self.dtype}")
        self._file.write(np.ascontiguousarray(values).data)
        self.size += values.size

    def write_to(self, member: IO[bytes]) -> None:
        """Write the array as an .npy file."""
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.size,),
        }
        np.lib.format.write_array_header_1_0(member, header)
        self._file.seek(0)
        while block := self._file.read(BLOCK_BYTES):
            member.write(block)

    def close(self) -> None:
        """Give the place on the disk back."""
        self._file.close()


def write_spooled(
    path: str | os.PathLike[str],
    schema: str,
    dtypes: Mapping[str, DTypeLike],
    pieces: Iterable[Mapping[str, NDArray[Any]]],
    others: "dict[str, NDArray[Any]]",
) -> None:
    """Write an .npz file, atomically, of which some arrays come in pieces.

    Args:
        path: the file; the pieces lie in its folder until it is whole.
        schema: as of `write_npz`.
        dtypes: the arrays that come in pieces, each [E] with its type.
        pieces: each with a part of all of these arrays.
        others: the other arrays; looked at after the last piece, which may have added some.

    Raises:
        ArtifactError: the file system refuses.
    """
    folder = Path(path).parent
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            spools = {name: Spool(folder, dtype) for name, dtype in dtypes.items()}
            for spool in spools.values():
                stack.callback(spool.close)
            for piece in pieces:
                for name, spool in spools.items():
                    spool.append(piece[name])
        except OSError as error:
            raise cannot_write(path, error) from error
        entries = {**others, SCHEMA_KEY: np.array(schema)}
        with atomic_archive(path) as archive:
            for name in sorted([*entries, *spools]):
                with archive.open(npz_entry(name), "w", force_zip64=True) as member:
                    if name in spools:
                        spools[name].write_to(member)
                    else:
                        np.lib.format.write_array(
                            member, np.asarray(entries[name], order="C"), allow_pickle=False
                        )


class StoredArray:
    """An array [E] of an .npz file, of which parts are read.

    Attributes:
        dtype: of its elements.
        size: E.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        """Find the array; ArtifactError if the file is damaged, or the array not stored so."""
        self._path = Path(path)
        not_stored = ArtifactError(
            f"{path} must hold the array {name!r} in one dimension and uncompressed (as "
            "numpy.savez writes it): write it again."
        )
        try:
            with zipfile.ZipFile(path) as archive:
                entry = archive.getinfo(f"{name}.npy")
            with open(path, "rb") as stream:
                stream.seek(entry.header_offset)
                local = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                stream.seek(local[-2] + local[-1], os.SEEK_CUR)
                start = stream.tell()
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise not_stored
                if np.lib.format.read_magic(stream) != (1, 0):
                    raise ValueError(f"the array {name} has an unknown header")
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                self._first = stream.tell()
        except DAMAGED_NPZ_ERRORS as error:
            raise _damaged(path, error) from error
        n_bytes = math.prod(shape) * dtype.itemsize
        if len(shape) != 1 or dtype.hasobject or self._first - start + n_bytes != entry.file_size:
            raise not_stored
        self.dtype, self.size = dtype, int(shape[0])

    def read(self, first: int, last: int) -> NDArray[Any]:
        """The elements from `first` up to and without `last`."""
        with open(self._path, "rb") as stream:
            return self._read(stream, first, last)

    def read_many(self, firsts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[Any]:
        """Parts one after another: of each the first element and how many there are."""
        out = np.empty(int(lengths.sum()), dtype=self.dtype)
        place = 0
        with open(self._path, "rb", buffering=0) as stream:
            for first, length in zip(firsts.tolist(), lengths.tolist(), strict=True):
                out[place : place + length] = self._read(stream, first, first + length)
                place += length
        return out

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The whole array, a few megabytes at a time."""
        step = BLOCK_BYTES // self.dtype.itemsize
        with open(self._path, "rb") as stream:
            for first in range(0, self.size, step):
                yield self._read(stream, first, min(first + step, self.size))

    def _read(self, stream: IO[bytes], first: int, last: int) -> NDArray[Any]:
        stream.seek(self._first + first * self.dtype.itemsize)
        found = np.fromfile(stream, dtype=self.dtype, count=last - first)
        if found.size != last - first:
            raise ArtifactError(f"{self._path} is shorter than when it was opened.")
        return found


def check_stored(path: str | os.PathLike[str]) -> str:
    """Read a whole .npz file a block at a time, and compare it with its checksums.

    Returns the SHA-256 (hexadecimal) of names and contents of its arrays. Raises ArtifactError for
    a file that is missing or damaged.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                digest.update(f"{name}\n".encode())
                with archive.open(name) as member:
                    while block := member.read(BLOCK_BYTES):
                        digest.update(block)
    except FileNotFoundError as error:
        raise cannot_read(path, error) from error
    except DAMAGED_NPZ_ERRORS as error:
        raise _damaged(path, error) from error
    return digest.hexdigest()


def schema_of(path: str | os.PathLike[str]) -> str:
    """The schema that a file states; empty for one that is missing or no .npz file."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{SCHEMA_KEY}.npy") as member:
            return str(np.lib.format.read_array(member, allow_pickle=False))
    except DAMAGED_NPZ_ERRORS:
        return ""


def read_members(path: str | os.PathLike[str], leave_out: Iterable[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file but for some, `schema` among them; ArtifactError if damaged."""
    left_out = {f"{name}.npy" for name in leave_out}
    try:
        with zipfile.ZipFile(path) as archive:
            arrays: dict[str, NDArray[Any]] = {}
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise zipfile.BadZipFile(f"{name} is there twice")
                if entry.filename not in left_out:
                    with archive.open(entry) as member:
                        arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError as error:
        raise cannot_read(path, error) from error
    except DAMAGED_NPZ_ERRORS as error:
        raise _damaged(path, error) from error
    return arrays


def _damaged(path: str | os.PathLike[str], error: BaseException) -> ArtifactError:
    return ArtifactError(f"{path} is damaged or not an .npz file ({error}): write it again.")
