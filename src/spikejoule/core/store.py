"""Reading and writing files: atomic, deterministic, with errors of one sentence.

A file is written next to its destination under a hidden temporary name, flushed to the
disk, and renamed over the destination. A process that is killed half-way leaves the old
file or none. A destination that is a link (as DVC makes them) is replaced, never
written through.

`reading` opens every file: only a regular file of bounded size (a pipe would block, a
device never ends), and any failure to parse it becomes one sentence.
"""

import csv
import io
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from spikejoule.core.errors import ArtifactError, SpikejouleError

MAX_BYTES: Final = 8 << 30
"""Largest file that is read, also when unpacked."""

MAX_TEXT_BYTES: Final = 256 << 20
"""Largest text file that is read."""

FilePath = str | os.PathLike[str]


def open_regular(
    path: FilePath,
    max_bytes: int = MAX_BYTES,
    error_type: type[SpikejouleError] = ArtifactError,
) -> BinaryIO:
    """Open a regular file of at most `max_bytes`; `error_type` for any other.

    A library that opens files itself gets the path after this check.
    """
    try:
        n_bytes = Path(path).stat().st_size
        if not Path(path).is_file():
            raise error_type(f"{path} is not a regular file.")
        if n_bytes > max_bytes:
            raise error_type(
                f"{path} has {n_bytes:,} bytes, but may have {max_bytes:,}."
            )
        return open(path, "rb")
    except FileNotFoundError as error:
        raise error_type(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise error_type(f"{path} cannot be read: {reason}.") from error


@contextmanager
def reading(
    path: FilePath,
    error_type: type[SpikejouleError] = ArtifactError,
    max_bytes: int = MAX_BYTES,
) -> Iterator[BinaryIO]:
    """Open a file for a parser; any exception within becomes an `error_type`.

    Damaged bytes make parsers raise nearly anything, from EOFError to TokenError.
    """
    with open_regular(path, max_bytes, error_type) as stream:
        try:
            yield stream
        except SpikejouleError:
            raise
        except MemoryError as error:  # also of a file that declares a huge array
            raise error_type(f"{path} does not fit into memory ({error}).") from error
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            advice = ": write it again" if error_type is ArtifactError else ""
            raise error_type(
                f"{path} is damaged or of another format ({reason}){advice}."
            ) from error


def read_text(path: FilePath, error_type: type[SpikejouleError] = ArtifactError) -> str:
    """Read a UTF-8 text file; raises `error_type` as `reading` does."""
    with reading(path, error_type, MAX_TEXT_BYTES) as stream:
        return stream.read().decode("utf-8")


@contextmanager
def atomic_writer(path: FilePath) -> Iterator[BinaryIO]:
    """Open a binary stream that becomes `path` if the block ends without an error.

    Parent folders are created. Raises ArtifactError if the file system refuses, or if
    `path` is a folder, a device or a pipe, which the rename would replace.
    """
    destination = Path(path)
    if not destination.name:
        raise ArtifactError(f"{path} is not the path of a file.")
    temporary = destination.with_name(f".{destination.name}.{secrets.token_hex(8)}.tmp")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and not destination.is_file():
            raise ArtifactError(f"{path} cannot be written: it is not a regular file.")
        try:
            with open(temporary, "xb") as stream:
                yield stream
                # Without it, a crash of the machine could leave an empty file.
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, destination)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written: {error.strerror or error}."
        ) from error


def write_bytes(path: FilePath, data: bytes | memoryview) -> None:
    """Write bytes atomically."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_text(path: FilePath, text: str) -> None:
    """Write text atomically as UTF-8, with its line ends unchanged."""
    write_bytes(path, text.encode("utf-8"))


def json_text(content: Mapping[str, Any]) -> str:
    """Format JSON: sorted keys, two-space indent, floats as repr, final newline.

    NumPy scalars become Python numbers. Raises ValueError for NaN and infinity, which
    JSON lacks, and TypeError for values that JSON cannot hold.
    """
    text = json.dumps(
        content,
        sort_keys=True,
        indent=2,
        allow_nan=False,
        ensure_ascii=False,
        default=plain_number,
    )
    return f"{text}\n"


def write_json(path: FilePath, content: Mapping[str, Any]) -> None:
    """Write `json_text(content)` atomically."""
    write_text(path, json_text(content))


def read_json(path: FilePath) -> dict[str, Any]:
    """Read a JSON object; ArtifactError for a missing, damaged or other file."""
    with reading(path, max_bytes=MAX_TEXT_BYTES) as stream:
        content = json.loads(stream.read().decode("utf-8"))
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path} must hold a JSON object, but holds a {type(content).__name__}."
        )
    return content


def number_in(content: Mapping[str, Any], name: str, path: FilePath) -> float:
    """Return a number of the JSON object in a file; ArtifactError if there is none."""
    value = content.get(name)
    if not isinstance(value, int | float):
        raise ArtifactError(f"{path} has no number {name}: run `dvc repro`.")
    return value


def write_csv(
    path: FilePath, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    r"""Write a CSV file atomically: a header, floats as repr, lines ended by ``\n``.

    Raises ValueError for NaN and infinity.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [
            value.item() if isinstance(value, np.generic) else value for value in row
        ]
        if not all(math.isfinite(value) for value in cells if isinstance(value, float)):
            raise ValueError(f"a number that is not finite cannot be written: {cells}")
        writer.writerow(cells)
    write_text(path, buffer.getvalue())


def read_csv(path: FilePath, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file as mappings from column to text.

    Raises ArtifactError for a missing or damaged file, a row of another length than
    the header, and a file that lacks one of `columns`.
    """
    with reading(path, max_bytes=MAX_TEXT_BYTES) as stream:
        text = io.TextIOWrapper(stream, "utf-8", newline="")
        header, *rows = [*csv.reader(text, strict=True)] or [[]]
        missing = [name for name in columns if name not in header]
        if missing:
            raise ArtifactError(
                f"{path} lacks the column {', '.join(missing)}: write it again."
            )
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise ValueError(
                    f"row {number} has {len(row)} cells, the header {len(header)}"
                )
        return [dict(zip(header, row, strict=True)) for row in rows]


def plain_number(value: Any) -> Any:
    """Convert a NumPy number to a Python number; TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not a plain value: {value!r}")
