"""Writing and reading of artifacts: atomic, and the same bytes for the same content.

A file is written beside its destination under a hidden temporary name, flushed to the disk, and
then renamed over the destination, so a process that is killed half-way leaves either the old file
or none. A destination that is a link (as DVC makes them) is replaced, never written through.
"""

import csv
import io
import json
import math
import os
import secrets
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError

SCHEMA_KEY = "schema"

_ZIP_CREATED_ON_UNIX = 3
DAMAGED_NPZ_ERRORS = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary stream whose content becomes `path` only if the block ends without an error.

    Parent folders are created. Raises ArtifactError if the file system refuses.
    """
    destination = Path(path)
    temporary = destination.with_name(f".{destination.name}.{secrets.token_hex(8)}.tmp")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        stream = open(temporary, "xb")  # noqa: SIM115 (closed below, before the rename)
    except OSError as error:
        raise cannot_write(destination, error) from error
    try:
        try:
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, destination)
        except OSError as error:
            raise cannot_write(destination, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write `data` to `path` atomically."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write `content` atomically: sorted keys, two-space indent, floats as repr, final newline.

    NumPy scalars become Python numbers. Raises ValueError for NaN and infinity, which JSON lacks,
    and TypeError for what JSON cannot hold.
    """
    text = json.dumps(
        content,
        sort_keys=True,
        indent=2,
        allow_nan=False,
        ensure_ascii=False,
        default=_plain_number,
    )
    write_text(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; a missing, damaged or other file raises ArtifactError."""
    try:
        content = json.loads(Path(path).read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}): write it again.") from error
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path} must hold a JSON object, but holds a {type(content).__name__}."
        )
    return content


def write_csv(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a CSV file atomically: a header, floats as repr, lines ended by a line feed.

    Raises ValueError for a row of another length than the header, and for NaN and infinity.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns: {row!r}")
        writer.writerow([_csv_cell(value) for value in row])
    write_text(path, buffer.getvalue())


def read_csv(path: str | os.PathLike[str], columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file: one mapping from column to text a row, empty cells as empty text.

    A missing file, one that is no CSV file in UTF-8, a row of another length than the header, and
    a file that lacks one of `columns` raise ArtifactError.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            header, *rows = [*csv.reader(stream, strict=True)] or [[]]
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, csv.Error) as error:
        raise ArtifactError(f"{path} is not a valid CSV file ({error}): write it again.") from error
    if len(set(header)) < len(header):
        raise ArtifactError(f"{path} has a column twice: write it again.")
    missing = [name for name in columns if name not in header]
    if missing:
        raise ArtifactError(f"{path} lacks the column {', '.join(missing)}: write it again.")
    odd = [number for number, row in enumerate(rows, start=2) if len(row) != len(header)]
    if odd:
        raise ArtifactError(
            f"{path}: row {odd[0]} has not the {len(header)} cells of the header: write it again."
        )
    return [dict(zip(header, row, strict=True)) for row in rows]


def write_npz(
    path: str | os.PathLike[str], schema: str, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write named arrays atomically as an .npz file, with its schema as the entry `schema`.

    The bytes depend on the content alone: entries are sorted, stored uncompressed under the date
    1980-01-01, in C order. `numpy.load` opens the file. Arrays of Python objects raise ValueError.
    """
    if SCHEMA_KEY in arrays:
        raise ValueError(f"the name {SCHEMA_KEY!r} is taken by the schema itself")
    entries: dict[str, NDArray[Any]] = {**arrays, SCHEMA_KEY: np.array(schema)}
    with atomic_archive(path) as archive:
        for name in sorted(entries):
            # zip64 always, so that the layout does not depend on the size
            with archive.open(npz_entry(name), "w", force_zip64=True) as member:
                np.lib.format.write_array(
                    member, np.asarray(entries[name], order="C"), allow_pickle=False
                )


@contextmanager
def atomic_archive(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """A zip archive to write to, which takes its name when the block ends without an error."""
    with atomic_writer(path) as stream:
        archive = zipfile.ZipFile(stream, "w")
        try:
            yield archive
            archive.close()
        except BaseException:
            # Not closed: an archive that an interruption has cut short would raise a ValueError of
            # its own in the interruption's place.
            archive.fp = None
            raise


def npz_entry(name: str) -> zipfile.ZipInfo:
    """What an .npz file says of one of its arrays."""
    # As `numpy.savez`, but for the mode: its 0o600 would change every file's digest.
    entry = zipfile.ZipInfo(f"{name}.npy")
    entry.create_system = _ZIP_CREATED_ON_UNIX
    entry.external_attr = 0o644 << 16
    return entry


def read_npz(path: str | os.PathLike[str], schema: str) -> dict[str, NDArray[Any]]:
    """Read every array of a file of `write_npz`; what they must be is for `array_files` to say.

    A missing, truncated or corrupt file, and one of another schema raise ArtifactError. No pickle
    is ever loaded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Before NumPy sees a byte: its parser was not made for damaged headers.
            damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"the checksum of {damaged} does not match")
            arrays: dict[str, NDArray[Any]] = {}
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise zipfile.BadZipFile(f"{name} is there twice")
                arrays[name] = _read_member(archive, entry)
    except FileNotFoundError as error:
        raise cannot_read(path, error) from error
    except DAMAGED_NPZ_ERRORS as error:
        raise ArtifactError(
            f"{path} is damaged or not an .npz file ({error}): write it again."
        ) from error
    found_schema = arrays.pop(SCHEMA_KEY, np.array(""))
    if found_schema.shape != () or str(found_schema) != schema:
        raise ArtifactError(
            f"{path} must be a file of the schema {schema!r}, but is one of "
            f"{str(found_schema) or 'no schema'!r}."
        )
    return arrays


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):
            raise ValueError(f"{entry.filename} goes on after its array")
    return array


def _csv_cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written to a CSV file")
        return repr(value)
    return value


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written to JSON: {value!r}")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def cannot_write(path: str | os.PathLike[str], error: OSError) -> ArtifactError:
    """The error of a file that the file system does not take."""
    return ArtifactError(f"{path} cannot be written: {error.strerror or error}.")


def cannot_read(path: str | os.PathLike[str], error: OSError) -> ArtifactError:
    """The error of a file that the file system does not give."""
    if isinstance(error, FileNotFoundError):
        return ArtifactError(
            f"{path} does not exist: run the stage that writes it, or name another file."
        )
    return ArtifactError(f"{path} cannot be read: {error.strerror or error}.")
