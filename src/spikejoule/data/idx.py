"""The IDX file format of MNIST: a type, the dimensions, then unsigned bytes, possibly gzipped.

The format is described at the end of the page of the data set, Y. LeCun, C. Cortes and
C. J. C. Burges, "The MNIST database of handwritten digits" (1998): two zero bytes, a byte for the
type (8 = unsigned byte), a byte for the number of dimensions, each dimension as a big-endian
32-bit number, and then the elements in C order.
"""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, n_dimensions: int) -> tuple[NDArray[np.uint8], str]:
    """Read an IDX file of unsigned bytes, gzipped if its name ends in .gz.

    Returns the array, of `n_dimensions` dimensions, and the SHA-256 (hexadecimal) of the
    uncompressed content. Raises DataError for a file that is missing, truncated, corrupt, or holds
    something else.
    """
    content = _uncompressed(path)
    shape = _shape(path, content, n_dimensions)
    n_header_bytes = 4 + 4 * n_dimensions
    n_expected = math.prod(shape)
    n_found = len(content) - n_header_bytes
    if n_found != n_expected:
        raise DataError(
            f"{path} is {'truncated' if n_found < n_expected else 'too long'}: its header "
            f"announces {' x '.join(map(str, shape))} = {n_expected:,} bytes, but {n_found:,} "
            "follow."
        )
    elements = np.frombuffer(content, dtype=np.uint8, offset=n_header_bytes)
    return elements.reshape(shape).copy(), hashlib.sha256(content).hexdigest()


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return the content of an (uncompressed) IDX file that holds an array of unsigned bytes."""
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.astype(np.uint8, casting="safe").tobytes()


def _uncompressed(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is a truncated or corrupt gzip file ({error}).") from error


def _shape(path: Path, content: bytes, n_dimensions: int) -> tuple[int, ...]:
    n_header_bytes = 4 + 4 * n_dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, n_dimensions))
    if content[:4] != magic:
        raise DataError(
            f"{path} must be an IDX file of unsigned bytes in {n_dimensions} dimension(s), which "
            f"begins with the bytes {magic.hex(' ')}, but it begins with "
            f"{content[:4].hex(' ') or 'nothing'}."
        )
    if len(content) < n_header_bytes:
        raise DataError(f"{path} is truncated: its header must be {n_header_bytes} bytes long.")
    return struct.unpack_from(f">{n_dimensions}I", content, 4)
