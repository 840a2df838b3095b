"""Arrays in .npz files: the same bytes for the same content, and never a pickle.

Entries are sorted, stored uncompressed under the date 1980-01-01, in C order, so the
bytes depend on the content alone. `numpy.load` opens the files too. A member of
objects, which would be a pickle, is neither written nor read.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import MAX_BYTES, FilePath, atomic_writer, reading

_SCHEMA = "schema.npy"
_MAX_SCHEMA_BYTES = 4096

# An archive may unpack to so many times its size, and some more: files written here are
# not compressed, and a file made to fill the memory unpacks to a thousand times.
_MAX_COMPRESSION = 32
_ALWAYS_ALLOWED_BYTES = 64 << 20


def write_npz(path: FilePath, schema: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays, and `schema` as a further entry, atomically.

    Raises:
        ArtifactError: the file system refuses.
        ValueError: an array holds Python objects.
    """
    entries = {**arrays, "schema": np.array(schema)}
    with atomic_writer(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(entries):
            # As `numpy.savez`, but for the mode: its 0o600 would change every digest.
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.external_attr = 0o644 << 16
            # zip64 always, so the layout does not depend on the size
            with archive.open(entry, "w", force_zip64=True) as member:
                array = np.asarray(entries[name], order="C")
                np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def checked_archive(path: FilePath) -> Iterator[zipfile.ZipFile]:
    """Open a zip file and verify its size and checksums, or raise ArtifactError.

    Parsers are not made for damaged files, so this comes before any of them.
    """
    with reading(path) as stream:
        start = stream.read(2)
        if start and start != b"PK":
            raise ArtifactError(
                f"{path} is neither a checkpoint nor an .npz file: it is not a zip "
                "archive."
            )
        with zipfile.ZipFile(stream) as archive:
            _check_sizes(archive)
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
            yield archive


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that would unpack to far more than it holds."""
    entries = archive.infolist()
    stored = sum(entry.compress_size for entry in entries)
    most = min(MAX_BYTES, _MAX_COMPRESSION * stored + _ALWAYS_ALLOWED_BYTES)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > most:
        raise zipfile.BadZipFile(
            f"it unpacks to {unpacked:,} bytes, and {most:,} are allowed"
        )
    for entry in entries:
        if entry.filename == _SCHEMA and entry.file_size > _MAX_SCHEMA_BYTES:
            raise zipfile.BadZipFile(
                f"its schema takes {entry.file_size:,} bytes, and "
                f"{_MAX_SCHEMA_BYTES:,} are allowed"
            )


def read_npz(path: FilePath, schema: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file that `write_npz` wrote; `ArrayFile` checks them.

    Raises ArtifactError for a missing, damaged or too large file, and another schema.
    """
    with checked_archive(path) as archive:
        names = archive.namelist()
        # First, since members of another file may not be readable at all.
        stated = "no schema"
        if _SCHEMA in names:
            names.remove(_SCHEMA)
            stated = str(_member(archive, _SCHEMA))
        if stated != schema:
            raise ArtifactError(
                f"{path} must be a file of the schema {schema!r}, but is one of "
                f"{stated!r:.80}."
            )
        return {name.removesuffix(".npy"): _member(archive, name) for name in names}


def schema_of(path: FilePath) -> str:
    """Read the schema of a file; empty if it is missing, damaged or not an .npz."""
    try:
        with reading(path) as stream, zipfile.ZipFile(stream) as archive:
            _check_sizes(archive)
            return str(_member(archive, _SCHEMA))
    except ArtifactError:
        return ""


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def in_parts(
    parts: Mapping[str, Mapping[str, NDArray[Any]]],
) -> dict[str, NDArray[Any]]:
    """Name the arrays of some parts ``PART.NAME``."""
    return {
        f"{part}.{name}": array
        for part, arrays in parts.items()
        for name, array in arrays.items()
    }


def part_of(arrays: Mapping[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part by their own names; see `in_parts`."""
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 (hexadecimal) of names and contents, such as of weights."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
