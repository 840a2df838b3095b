"""How kernels are compiled, and where the machine code is kept: plain arrays in and out.

emit     LLVM instructions from Python, arithmetic on vectors, arrays of whole vectors
bits     what a mask selects
streams  random numbers

The cache is keyed by the content of this folder, not by the path or age of its files: a queued
experiment that runs from a temporary checkout finds the same machine code, and an edited kernel
never meets a stale caller. It lies in the first of these folders that can be written:
``$NUMBA_CACHE_DIR``, the user's cache directory, ``var/cache/spikejoule`` of the environment (a
container's or a service's home is often read-only).
"""

import functools
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import numba
import platformdirs
from numba.core import caching

logger = logging.getLogger(__name__)

Function = Callable[..., Any]
"""A compiled function: numba infers the types of its arguments from each call."""

# Between two kernels the OpenMP threads of numba wait in a loop, by default long enough to starve
# whoever else wants the processor: with one other busy process training took ten times as long.
# About half a millisecond bridges the pauses of a training step.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@functools.cache
def _sources_digest() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[2]
    # Surrogates are emitted into kernels, and stand beside the rest of the model.
    kernels = sorted(package.glob("*/kernels"))
    folders = [Path(__file__).parent, *kernels, package / "model" / "surrogates"]
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        name = path.relative_to(package).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _cache_roots() -> tuple[Path, ...]:
    """Where the cache may lie, the preferred place first."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return (
        *((Path(chosen),) if chosen else ()),
        Path(platformdirs.user_cache_dir("spikejoule")),
        Path(sys.prefix) / "var" / "cache" / "spikejoule",
    )


class _ContentLocator(caching._CacheLocator):  # type: ignore[misc]
    """Places the cache of every kernel in one folder named after the kernels' content."""

    def __init__(self, function: Function, root: Path) -> None:
        self._root = root
        self._py_file = function.__code__.co_filename
        self._name = f"{function.__module__}.{function.__code__.co_firstlineno}"

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_ContentLocator | None":
        for root in _cache_roots():
            locator = cls(py_func, root)
            with suppress(OSError):
                locator.ensure_cache_path()
                return locator
        return None

    def get_cache_path(self) -> str:
        return str(self._root / f"kernels-{_sources_digest()[:16]}")

    def get_source_stamp(self) -> str:
        return _sources_digest()

    def get_disambiguator(self) -> str:
        return self._name


class _ContentCacheImplementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes: ClassVar[list[Any]] = [_ContentLocator]


class _ContentCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _ContentCacheImplementation


@functools.cache
def _warn_of_missing_cache() -> None:
    """Say once that every process has to compile."""
    logger.warning(
        "kernels are compiled anew in every process (about 30 s), since none of these folders can "
        "be written: %s; $NUMBA_CACHE_DIR names another",
        ", ".join(str(root) for root in _cache_roots()),
    )


def _compile(function: Function, **flags: Any) -> Function:
    dispatcher = numba.njit(**_FLAGS, **flags)(function)
    try:
        dispatcher._cache = _ContentCache(function)
    except RuntimeError:
        _warn_of_missing_cache()
    return cast(Function, dispatcher)


def compiled(function: Function) -> Function:
    """Compile a function that runs in the calling thread."""
    return _compile(function)


def compiled_inline(function: Function) -> Function:
    """Compile a function into each of its callers, which then keeps what it shares with it."""
    return _compile(function, forceinline=True)


def compiled_parallel(function: Function) -> Function:
    """Compile a function whose ``numba.prange`` loop is shared out over the threads.

    The loop's body may write only to arrays that are themselves arguments of the function, or else
    be a call and nothing else. numba's passes for parallel loops do not see that an array taken
    from a tuple belongs to the caller, and drop what is written to it there.
    Named tuples must be arguments of the function and hold no further tuples.
    """
    return _compile(function, parallel=True)
