"""Arrays in .npz files: the same bytes for the same content, whole or beyond memory.

The bytes depend on the content alone: entries are sorted, stored uncompressed under the date
1980-01-01, in C order, so that a part of an array lies at a known place of the file. `numpy.load`
opens the files, and NumPy reads their members here; no pickle is ever written or loaded.
"""

import hashlib
import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import (
    MAX_BYTES,
    FilePath,
    atomic_writer,
    cannot_write,
    open_regular,
)

SCHEMA_KEY: Final = "schema"
"""The entry that names a file's schema."""

MAX_STORED_BYTES: Final = 1 << 42
"""Size of a file of which parts are read."""

_BLOCK_BYTES = 1 << 22
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_CREATED_ON_UNIX = 3


def write_npz(path: FilePath, schema: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays atomically as an .npz file, with its schema as the entry `schema`.

    Raises ValueError for arrays of Python objects, ArtifactError if the file system refuses.
    """
    _write(path, schema, arrays, {})


def write_spooled(
    path: FilePath,
    schema: str,
    dtypes: Mapping[str, DTypeLike],
    pieces: Iterable[Mapping[str, NDArray[Any]]],
    others: dict[str, NDArray[Any]],
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
            spools = {
                name: _Spool(stack.enter_context(tempfile.TemporaryFile(dir=folder)), dtype)
                for name, dtype in dtypes.items()
            }
            for piece in pieces:
                for name, spool in spools.items():
                    spool.append(piece[name])
        except OSError as error:
            raise cannot_write(path, error) from error
        _write(path, schema, others, spools)


class _Spool:
    """An array [E] that grows in a file of its own."""

    def __init__(self, file: IO[bytes], dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._file = file

    def append(self, values: NDArray[Any]) -> None:
        if values.dtype != self.dtype:
            raise ValueError(f"values are {values.dtype}, but the array is {self.dtype}")
        self._file.write(np.ascontiguousarray(values).data)
        self.size += values.size

    def write_to(self, member: IO[bytes]) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.size,),
        }
        np.lib.format.write_array_header_1_0(member, header)
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            member.write(block)


def _write(
    path: FilePath,
    schema: str,
    arrays: Mapping[str, NDArray[Any]],
    spools: Mapping[str, _Spool],
) -> None:
    if SCHEMA_KEY in arrays:
        raise ValueError(f"the name {SCHEMA_KEY!r} is taken by the schema itself")
    entries = {**arrays, SCHEMA_KEY: np.array(schema)}
    with atomic_writer(path) as stream:
        archive = zipfile.ZipFile(stream, "w")
        try:
            for name in sorted([*entries, *spools]):
                # As `numpy.savez`, but for the mode: its 0o600 would change every file's digest.
                entry = zipfile.ZipInfo(f"{name}.npy")
                entry.create_system = _CREATED_ON_UNIX
                entry.external_attr = 0o644 << 16
                # zip64 always, so that the layout does not depend on the size
                with archive.open(entry, "w", force_zip64=True) as member:
                    if name in spools:
                        spools[name].write_to(member)
                    else:
                        array = np.asarray(entries[name], order="C")
                        np.lib.format.write_array(member, array, allow_pickle=False)
            archive.close()
        except BaseException:
            # Not closed: an archive that an interruption has cut short would raise a ValueError of
            # its own in the interruption's place.
            archive.fp = None
            raise


@contextmanager
def _opened(path: FilePath, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    """An archive to read from; whatever its bytes make zipfile or NumPy raise is one sentence."""
    with open_regular(path, max_bytes) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                names = archive.namelist()
                if len(set(names)) < len(names):
                    raise zipfile.BadZipFile("an array is there twice")
                yield archive
        except ArtifactError:
            raise
        # Damaged bytes make them raise nearly anything, from EOFError to TokenError.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ArtifactError(
                f"{path} is damaged or not an .npz file ({reason}): write it again."
            ) from error


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):
            raise ValueError(f"{entry.filename} goes on after its array")
    return array


def read_npz(
    path: FilePath, schema: str, leave_out: Iterable[str] = (), max_bytes: int = MAX_BYTES
) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of `write_npz`; what they must be is for `schema.ArrayFile` to say.

    A missing, truncated or corrupt file, one of another schema, and one that unpacks to more than
    `max_bytes` raise ArtifactError. Arrays that are left out count for nothing, and their bytes
    are not compared with their checksums (see `stored_digest`).
    """
    left_out = {f"{name}.npy" for name in leave_out}
    with _opened(path, MAX_STORED_BYTES if left_out else max_bytes) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename not in left_out]
        if sum(entry.file_size for entry in entries) > max_bytes:
            raise ArtifactError(f"{path} unpacks to more than {max_bytes:,} bytes.")
        # Before NumPy sees a byte: its parser was not made for damaged headers.
        damaged = None if left_out else archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
        arrays = {entry.filename.removesuffix(".npy"): _member(archive, entry) for entry in entries}
    found = arrays.pop(SCHEMA_KEY, np.array(""))
    if found.shape != () or str(found) != schema:
        raise ArtifactError(
            f"{path} must be a file of the schema {schema!r}, but is one of "
            f"{str(found) or 'no schema'!r:.80}."
        )
    return arrays


def schema_of(path: FilePath) -> str:
    """The schema that a file states; empty for one that is missing or no .npz file."""
    try:
        with _opened(path, MAX_STORED_BYTES) as archive:
            return str(_member(archive, archive.getinfo(f"{SCHEMA_KEY}.npy")))
    except ArtifactError:
        return ""


def stored_digest(path: FilePath) -> str:
    """Read a whole .npz file a block at a time, and compare it with its checksums.

    Returns the SHA-256 (hexadecimal) of names and contents of its arrays. Raises ArtifactError for
    a file that is missing or damaged.
    """
    digest = hashlib.sha256()
    with _opened(path, MAX_STORED_BYTES) as archive:
        for name in sorted(archive.namelist()):
            digest.update(f"{name}\n".encode())
            with archive.open(name) as member:
                while block := member.read(_BLOCK_BYTES):
                    digest.update(block)
    return digest.hexdigest()


class StoredArray:
    """An array [E] of an .npz file, of which parts are read.

    Attributes:
        dtype: of its elements.
        size: E.
    """

    def __init__(self, path: FilePath, name: str) -> None:
        """Find the array; ArtifactError if the file is damaged, or the array not stored so."""
        self._path = Path(path)
        with _opened(path, MAX_STORED_BYTES) as archive:
            entry = archive.getinfo(f"{name}.npy")
            stream = archive.fp
            assert stream is not None
            stream.seek(entry.header_offset)
            local = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
            start = stream.seek(local[-2] + local[-1], os.SEEK_CUR)
            shape: tuple[int, ...] = ()
            dtype: np.dtype[Any] = np.dtype(object)
            if entry.compress_type == zipfile.ZIP_STORED:
                if np.lib.format.read_magic(stream) != (1, 0):
                    raise ValueError(f"the array {name} has an unknown header")
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            self._first = stream.tell()
        n_bytes = self._first - start + math.prod(shape) * dtype.itemsize
        if len(shape) != 1 or dtype.hasobject or n_bytes != entry.file_size:
            raise ArtifactError(
                f"{path} must hold the array {name!r} in one dimension and uncompressed (as "
                "numpy.savez writes it): write it again."
            )
        self.dtype, self.size = dtype, int(shape[0])

    def read_many(self, firsts: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[Any]:
        """Parts one after another: of each the first element and how many there are."""
        out = np.empty(int(lengths.sum()), dtype=self.dtype)
        place = 0
        with open_regular(self._path, MAX_STORED_BYTES) as stream:
            for first, length in zip(firsts.tolist(), lengths.tolist(), strict=True):
                out[place : place + length] = self._read(stream, first, first + length)
                place += length
        return out

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The whole array, a few megabytes at a time."""
        step = _BLOCK_BYTES // self.dtype.itemsize
        with open_regular(self._path, MAX_STORED_BYTES) as stream:
            for first in range(0, self.size, step):
                yield self._read(stream, first, min(first + step, self.size))

    def _read(self, stream: IO[bytes], first: int, last: int) -> NDArray[Any]:
        stream.seek(self._first + first * self.dtype.itemsize)
        found = np.fromfile(stream, dtype=self.dtype, count=last - first)
        if found.size != last - first:
            raise ArtifactError(f"{self._path} is shorter than when it was opened.")
        return found
