"""Arrays in .npz files: the same bytes for the same content, whole or beyond memory.

The bytes depend on the content alone: entries are sorted, stored uncompressed under the
date 1980-01-01, in C order, so that a part of an array is at a known place of the file.
`numpy.load` opens the files, and NumPy reads their members here; no pickle is ever
written or loaded.
"""

import math
import os
import struct
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import MAX_BYTES, FilePath, atomic_writer, open_regular

MAX_STORED_BYTES: Final = 1 << 42
"""Size of a file of which parts are read."""

_LOCAL_HEADER = struct.Struct("<26x2H")
"""Of a member of a zip file; it ends with the lengths of the name and the extra field
behind it.
"""


def write_npz(
    path: FilePath,
    schema: str,
    arrays: Mapping[str, NDArray[Any]],
    dtypes: Mapping[str, DTypeLike] = {},
    pieces: Iterable[Mapping[str, NDArray[Any]]] = (),
) -> None:
    """Write named arrays atomically as an .npz file, some of them in pieces.

    Args:
        path: the file; the pieces lie in its folder until it is whole.
        schema: of the file, which becomes the entry `schema`.
        arrays: those that are whole; looked at after the last piece, which may have
            added some.
        dtypes: the arrays that come in pieces, each [E] with its type.
        pieces: each with a part of all of these arrays.

    Raises:
        ArtifactError: the file system refuses.
        ValueError: an array is of Python objects.
    """
    with atomic_writer(path) as stream, ExitStack() as stack:
        spools = {
            name: stack.enter_context(tempfile.TemporaryFile(dir=Path(path).parent))
            for name in dtypes
        }
        for piece in pieces:
            for name, spool in spools.items():
                spool.write(np.ascontiguousarray(piece[name], dtypes[name]).data)
        spooled = {
            # An empty file cannot be mapped.
            name: np.memmap(spool, dtypes[name], "r")
            if spool.tell()
            else np.empty(0, dtypes[name])
            for name, spool in spools.items()
        }
        entries = {**arrays, **spooled, "schema": np.array(schema)}
        archive = stack.enter_context(zipfile.ZipFile(stream, "w"))
        for name in sorted(entries):
            # As `numpy.savez`, but for the mode: its 0o600 would change every file's
            # digest.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.external_attr = 0o644 << 16
            # zip64 always, so that the layout does not depend on the size
            with archive.open(entry, "w", force_zip64=True) as member:
                array = np.asarray(entries[name], order="C")
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def opened_archive(path: FilePath) -> Iterator[zipfile.ZipFile]:
    """An archive to read from; any error while reading it becomes one sentence."""
    with open_regular(path, MAX_STORED_BYTES) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except ArtifactError:
            raise
        # Damaged bytes can raise nearly anything, from EOFError to TokenError.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ArtifactError(
                f"{path} is damaged or of another format ({reason}): write it again."
            ) from error


def check_archive(archive: zipfile.ZipFile, left_out: Collection[str] = ()) -> None:
    """Raise BadZipFile if members are too large together, or a checksum does not match.

    Checked before any parser sees the bytes: parsers are not made for damaged files.
    Members that are left out may have any size.
    """
    entries = [entry for entry in archive.infolist() if entry.filename not in left_out]
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise zipfile.BadZipFile(f"it unpacks to more than {MAX_BYTES:,} bytes")
    damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        return array


def _schema(archive: zipfile.ZipFile) -> str:
    """The schema that an archive states; empty for none."""
    name = "schema.npy"
    return str(_member(archive, name)) if name in archive.namelist() else ""


def read_npz(
    path: FilePath, schema: str, leave_out: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file of `write_npz`; what they must be is for
    `schema.ArrayFile` to say.

    A missing, truncated or corrupt file, one of another schema, and one that unpacks to
    more than MAX_BYTES raise ArtifactError. Arrays that are left out are only compared
    with their checksums.
    """
    with opened_archive(path) as archive:
        check_archive(archive, [f"{name}.npy" for name in leave_out])
        stated = _schema(archive)
        if stated != schema:
            raise ArtifactError(
                f"{path} must be a file of the schema {schema!r}, but is one of "
                f"{stated or 'no schema'!r:.80}."
            )
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        skipped = {"schema", *leave_out}
        return {
            name: _member(archive, f"{name}.npy")
            for name in names
            if name not in skipped
        }


def schema_of(path: FilePath) -> str:
    """The schema that a file states; empty if it is missing, damaged or no .npz
    file.
    """
    try:
        with opened_archive(path) as archive:
            return _schema(archive)
    except ArtifactError:
        return ""


def stored_array(path: FilePath, name: str) -> NDArray[Any]:
    """An array [E] of an .npz file, mapped from there: what is not asked for takes no
    memory.

    Raises ArtifactError if the file is damaged, or the array not stored so.
    """
    with opened_archive(path) as archive:
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(
                f"the array {name} must be uncompressed, as numpy.savez writes it"
            )
        stream = archive.fp
        assert stream is not None
        stream.seek(entry.header_offset)
        header = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        start = stream.seek(sum(header), os.SEEK_CUR)
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        first = stream.tell()
        if (
            len(shape) != 1
            or first - start + math.prod(shape) * dtype.itemsize != entry.file_size
        ):
            raise ValueError(f"the array {name} must have one dimension")
        return (
            np.memmap(path, dtype, "r", first, shape)
            if shape[0]
            else np.empty(0, dtype)
        )
