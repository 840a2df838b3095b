"""Arrays and index ranges as the kernels want them."""

import functools
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.compiling.emit import LANES

CACHE_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros whose first element begins a cache line, so that vectors do not straddle two."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(kind).reshape(shape)


def padded(size: int, multiple: int = LANES) -> int:
    """The smallest multiple of whole vectors that holds `size` elements."""
    return -(-size // multiple) * multiple


@functools.lru_cache(maxsize=64)
def even_parts(total: int, parts: int) -> NDArray[np.int64]:
    """Bounds of contiguous parts that differ by one at most, int64 [parts + 1]."""
    bounds: NDArray[np.int64] = np.arange(parts + 1, dtype=np.int64) * total // parts
    return bounds
