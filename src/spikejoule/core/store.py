"""Writing and reading of artifacts: atomic, the same bytes for the same content, one check.

A file is written beside its destination under a hidden temporary name, flushed to the disk, and
then renamed over the destination, so a process that is killed half-way leaves either the old file
or none. A destination that is a link (as DVC makes them) is replaced, never written through.

Every file is opened by `open_regular`: a regular file of a bounded size, or an error in one
sentence. (A pipe would be waited for without end, a device never ends.)
"""

import csv
import io
import json
import math
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import numpy as np

from spikejoule.core.errors import ArtifactError, SpikejouleError

MAX_BYTES: Final = 8 << 30
"""Size of a file whose content goes into memory, unpacked."""

MAX_TEXT_BYTES: Final = 256 << 20
"""Size of a file of text."""

MAX_VALUES: Final = 5_000_000
MAX_DEPTH: Final = 64
"""How many plain values a file may hold, and how deep one in another."""

MAX_INTEGER_BITS: Final = 1024

FilePath = str | os.PathLike[str]


def open_regular(
    path: FilePath,
    max_bytes: int = MAX_BYTES,
    error_type: type[SpikejouleError] = ArtifactError,
) -> BinaryIO:
    """Open a file for reading, if it is a regular one of at most `max_bytes`.

    Raises `error_type` in one sentence otherwise. For a library that opens files itself, close the
    stream and give it the path; what a compressed file unpacks to is the reader's to bound.
    """
    try:
        # Without waiting for whoever would write to a pipe.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
    except OSError as error:
        raise cannot_read(path, error, error_type) from error
    except ValueError as error:
        raise error_type(f"{path} cannot be the name of a file ({error}).") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size <= max_bytes:
        return open(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise error_type(f"{path} is no regular file.")
    raise error_type(f"{path} has {found.st_size:,} bytes, but may have {max_bytes:,}.")


def read_bytes(
    path: FilePath,
    max_bytes: int = MAX_BYTES,
    error_type: type[SpikejouleError] = ArtifactError,
) -> bytes:
    """The content of a regular file; `error_type` in one sentence if it cannot be had."""
    with open_regular(path, max_bytes, error_type) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise cannot_read(path, error, error_type) from error


def read_text(path: FilePath, error_type: type[SpikejouleError] = ArtifactError) -> str:
    """The content of a file of text in UTF-8; `error_type` in one sentence if it is none."""
    try:
        return read_bytes(path, MAX_TEXT_BYTES, error_type).decode("utf-8")
    except UnicodeDecodeError as error:
        raise error_type(f"{path} is no text in UTF-8 ({error}).") from error


@contextmanager
def atomic_writer(path: FilePath) -> Iterator[BinaryIO]:
    """Open a binary stream whose content becomes `path` only if the block ends without an error.

    Parent folders are created. Raises ArtifactError if the file system refuses, or if `path` is a
    device or a pipe, which would be replaced.
    """
    destination = Path(path)
    temporary = destination.with_name(f".{destination.name}.{secrets.token_hex(8)}.tmp")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and not (destination.is_file() or destination.is_dir()):
            raise ArtifactError(f"{path} cannot be written: it is no regular file.")
        stream = open(temporary, "xb")  # noqa: SIM115 (closed below, before the rename)
    except OSError as error:
        raise cannot_write(destination, error) from error
    except ValueError as error:
        raise ArtifactError(f"{path} cannot be the name of a file ({error}).") from error
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


def write_bytes(path: FilePath, data: bytes | memoryview) -> None:
    """Write `data` to `path` atomically."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_text(path: FilePath, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: FilePath, content: Mapping[str, Any]) -> None:
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
        default=plain_number,
    )
    write_text(path, text + "\n")


def read_json(path: FilePath) -> dict[str, Any]:
    """Read a JSON object; a missing, damaged or other file raises ArtifactError."""
    data = read_bytes(path, MAX_TEXT_BYTES)
    try:
        content = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}): write it again.") from error
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path} must hold a JSON object, but holds a {type(content).__name__}."
        )
    for _ in plain_leaves(path, content):
        pass
    return content


def plain_leaves(path: FilePath, content: Any) -> Iterator[Any]:
    """What a file's lists and mappings hold in the end, keys included.

    Raises ArtifactError for more than MAX_VALUES values, for more than MAX_DEPTH of them one in
    another (or one in itself), for text that no file and no terminal takes, and for whole numbers
    that Python does not print.
    """
    # A list of its own in place of recursion: a hostile file is as deep as it likes.
    waiting, n_values = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        n_values += 1
        if n_values > MAX_VALUES or depth > MAX_DEPTH:
            limit = f"{MAX_VALUES:,} values" if n_values > MAX_VALUES else f"{MAX_DEPTH} levels"
            raise ArtifactError(f"{path} holds more than {limit} of values.")
        if isinstance(value, Mapping):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, str) and not value.isascii() and _has_surrogates(value):
            raise ArtifactError(f"{path} holds text with half a character, {value!r:.80}.")
        elif isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            raise ArtifactError(f"{path} holds a number of more than {MAX_INTEGER_BITS:,} bits.")
        else:
            yield value


def write_csv(path: FilePath, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
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


def read_csv(path: FilePath, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file: one mapping from column to text a row, empty cells as empty text.

    A missing file, one that is no CSV file in UTF-8, a row of another length than the header, and
    a file that lacks one of `columns` raise ArtifactError.
    """
    data = read_bytes(path, MAX_TEXT_BYTES)
    try:
        text = io.StringIO(data.decode("utf-8"), newline="")
        header, *rows = [*csv.reader(text, strict=True)] or [[]]
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


def plain_number(value: Any) -> Any:
    """A NumPy number as a Python number, for JSON; TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain value: {value!r}")


def cannot_write(path: FilePath, error: OSError) -> ArtifactError:
    """The error of a file that the file system does not take."""
    return ArtifactError(f"{path} cannot be written: {error.strerror or error}.")


def cannot_read(
    path: FilePath, error: OSError, error_type: type[SpikejouleError] = ArtifactError
) -> SpikejouleError:
    """The error of a file that the file system does not give."""
    if isinstance(error, FileNotFoundError) and error_type is ArtifactError:
        return ArtifactError(
            f"{path} does not exist: run the stage that writes it, or name another file."
        )
    return error_type(f"{path} cannot be read: {error.strerror or error}.")


def _csv_cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written to a CSV file")
        return repr(value)
    return value


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
