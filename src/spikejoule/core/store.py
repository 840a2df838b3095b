"""Writing and reading of artifacts: atomic, the same bytes for the same content, one
check.

A file is written next to its destination under a hidden temporary name, flushed to the
disk, and then renamed over the destination, so a process that is killed half-way leaves
either the old file or none. A destination that is a link (as DVC makes them) is
replaced, never written through.

Every file is opened by `open_regular`: a regular file of a bounded size, or an error in
one sentence. (A pipe would be waited for without end, a device never ends.)
"""

import csv
import io
import json
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from spikejoule.core.errors import ArtifactError, SpikejouleError, shown

MAX_BYTES: Final = 8 << 30
"""Size of a file whose content goes into memory, unpacked."""

MAX_TEXT_BYTES: Final = 256 << 20
"""Size of a file of text."""

FilePath = str | os.PathLike[str]


def open_regular(
    path: FilePath,
    max_bytes: int = MAX_BYTES,
    error_type: type[SpikejouleError] = ArtifactError,
) -> BinaryIO:
    """Open a file for reading, if it is a regular one of at most `max_bytes`.

    Raises `error_type` in one sentence otherwise. For a library that opens files
    itself, close the stream and give it the path; what a compressed file unpacks to is
    the reader's to bound.
    """
    try:
        n_bytes = Path(path).stat().st_size
        if not Path(path).is_file():
            raise error_type(f"{path} is no regular file.")
        if n_bytes > max_bytes:
            raise error_type(
                f"{path} has {n_bytes:,} bytes, but may have {max_bytes:,}."
            )
        return open(path, "rb")
    except FileNotFoundError as error:
        advice = ": run the stage that writes it, or name another file"
        raise error_type(
            f"{path} does not exist{advice if error_type is ArtifactError else ''}."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise error_type(f"{path} cannot be read: {reason}.") from error
    except TypeError as error:
        raise error_type(
            f"the path of a file is needed, not a {type(path).__name__}."
        ) from error


def read_text(path: FilePath, error_type: type[SpikejouleError] = ArtifactError) -> str:
    """The content of a file of text in UTF-8; `error_type` in one sentence if it is
    none.
    """
    with open_regular(path, MAX_TEXT_BYTES, error_type) as stream:
        try:
            return stream.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise error_type(f"{path} is no text in UTF-8 ({error}).") from error


@contextmanager
def atomic_writer(path: FilePath) -> Iterator[BinaryIO]:
    """Open a binary stream whose content becomes `path` only if the block ends without
    an error.

    Parent folders are created. Raises ArtifactError if the file system refuses, or if
    `path` is none, a folder, or a device or pipe, which would be replaced.
    """
    try:
        destination = Path(path)
        temporary = destination.with_name(
            f".{destination.name}.{secrets.token_hex(8)}.tmp"
        )
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{shown(path)} is not the path of a file.") from error
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if destination.exists() and not destination.is_file():
            raise ArtifactError(f"{path} cannot be written: it is no regular file.")
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, destination)
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written: {error.strerror or error}."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: FilePath, data: bytes | memoryview) -> None:
    """Write `data` to `path` atomically."""
    with atomic_writer(path) as stream:
        stream.write(data)


def write_text(path: FilePath, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def json_text(content: Mapping[str, Any]) -> str:
    """`content` as JSON: sorted keys, two-space indent, floats as repr, final newline.

    NumPy scalars become Python numbers. Raises ValueError for NaN and infinity, which
    JSON lacks, and TypeError for what JSON cannot hold.
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
    """Read a JSON object; a missing, damaged or other file raises ArtifactError."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is not valid JSON ({error}): write it again."
        ) from error
    if not isinstance(content, dict):
        raise ArtifactError(
            f"{path} must hold a JSON object, but holds a {type(content).__name__}."
        )
    return content


def write_csv(
    path: FilePath, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Write a CSV file atomically: a header, floats as repr, lines ended by a line
    feed.

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
    """Read a CSV file: one mapping from column to text a row, empty cells as empty
    text.

    A missing file, one that is no CSV file in UTF-8, a row of another length than the
    header, and a file that lacks one of `columns` raise ArtifactError.
    """
    try:
        text = io.StringIO(read_text(path), newline="")
        header, *rows = [*csv.reader(text, strict=True)] or [[]]
        missing = [name for name in columns if name not in header]
        if missing:
            raise ArtifactError(
                f"{path} lacks the column {', '.join(missing)}: write it again."
            )
        return [dict(zip(header, row, strict=True)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise ArtifactError(
            f"{path} is not a valid CSV file ({error}): write it again."
        ) from error


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, the first to the left and the others to the
    right.
    """
    sides = ["<", *">" * (len(header) - 1)]
    columns = [
        [f"{cell:{side}{max(map(len, column))}}" for cell in column]
        for side, column in zip(sides, zip(header, *rows, strict=True), strict=True)
    ]
    return "\n".join(
        "  " + "  ".join(row).rstrip() for row in zip(*columns, strict=True)
    )


def plain_number(value: Any) -> Any:
    """A NumPy number as a Python number, for JSON; TypeError for anything else."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain value: {value!r}")
