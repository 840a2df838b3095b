"""How kernels are compiled, and where the machine code is kept: plain arrays in and
out.

emit     LLVM instructions from Python, arithmetic on vectors, arrays of whole vectors
bits     what a mask selects
streams  random numbers

The cache is keyed by the content of this folder, not by the path or age of its files: a
queued experiment that runs from a temporary checkout finds the same machine code, and
an edited kernel never meets a stale caller. It lies in the first of these folders that
can be written: ``$NUMBA_CACHE_DIR``, the user's cache directory,
``var/cache/spikejoule`` of the environment (a container's or a service's home is often
read-only).
"""

import functools
import hashlib
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, cast

import numba
import platformdirs
from llvmlite import binding, ir
from numba import types
from numba.core import caching, cgutils
from numba.extending import intrinsic
from numba.np.ufunc.parallel import _launch_threads as start_threads

logger = logging.getLogger(__name__)

Function = Callable[..., Any]
"""A compiled function: numba infers the types of its arguments from each call."""

# Between two kernels the OpenMP threads of numba wait in a loop, by default long enough
# to starve whoever else wants the processor: with one other busy process training took
# ten times as long. About half a millisecond bridges the pauses of a training step.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

_FLAGS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
    "no_cfunc_wrapper": True,
}


@functools.cache
def _sources_digest() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    # Surrogates are emitted into kernels, and stand beside the rest of the model.
    kernels = sorted(package.glob("*/kernels"))
    folders = [Path(__file__).parent, *kernels, package / "network" / "surrogates"]
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
    """Places the cache of every kernel in one folder named after the kernels'
    content.
    """

    def __init__(self, function: Function, root: Path) -> None:
        self._root = root
        self._py_file = function.__code__.co_filename
        self._name = f"{function.__module__}.{function.__code__.co_firstlineno}"

    @classmethod
    def from_function(
        cls, py_func: Callable[..., Any], py_file: str
    ) -> "_ContentLocator | None":
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

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """As numba does. Who links what is loaded needs all that it needs, which numba
        forgets.
        """
        result = super().rebuild(target_context, payload)
        result.library._reload_init.update(result.reload_init)
        return result


class _ContentCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _ContentCacheImplementation

    def save_overload(self, sig: Any, data: Any) -> None:
        """As numba does. A full disk costs the next process its time, and this one
        nothing.
        """
        try:
            super().save_overload(sig, data)
        except OSError:
            _warn_of_missing_cache()


@functools.cache
def _warn_of_missing_cache() -> None:
    """Say once that every process has to compile."""
    logger.warning(
        "kernels are compiled anew in every process (about 15 s), since none of "
        "these folders can "
        "be written: %s; $NUMBA_CACHE_DIR names another",
        ", ".join(str(root) for root in _cache_roots()),
    )


def compiled(function: Function, **flags: Any) -> Function:
    """Compile a function that Python calls, and whose code each compiled caller
    contains.
    """
    dispatcher = numba.njit(**_FLAGS, **flags)(function)
    try:
        dispatcher._cache = _ContentCache(function)
    except RuntimeError:
        _warn_of_missing_cache()
    return cast(Function, dispatcher)


def compiled_inline(function: Function) -> Function:
    """Take over the lines of a function into each of its compiled callers."""
    return cast(Function, numba.njit(inline="always", **_FLAGS)(function))


def compiled_apart(function: Function) -> Any:
    """Compile a function once for all compiled callers, which refer to its code.

    Else each caller would contain it, and so would theirs, and each would be as long to
    compile. It is for kernels to call, and not for Python. No references to arrays are
    counted in it, which takes time: it can neither allocate an array nor return one.
    """
    apart = _Apart(function, _nrt=False)

    def define(typing_context, *kinds):
        taken = _without_literals(kinds)

        def codegen(context, builder, signature, arguments):
            status, value = apart.call(context, builder, taken, arguments)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return value

        returned = apart.result_for(taken).signature.return_type
        return returned(*kinds), codegen

    return _intrinsic(define, function)


def compiled_parallel(function: Function) -> Function:
    """Compile a function of a place and more; it is called with the number of places
    instead.

    ``function(n, *arguments)`` is ``function(k, *arguments)`` for each k below n,
    int64, shared out over the threads, whether Python or a kernel calls it. It returns
    nothing, and is compiled apart.
    """
    apart = _Apart(function)

    def define(typing_context, n_places, *kinds):
        taken = (types.int64, *_without_literals(kinds))
        apart.result_for(taken)

        def codegen(context, builder, signature, arguments):
            count = context.cast(builder, arguments[0], n_places, types.int64)
            _share_out(context, builder, apart, taken, count, arguments[1:])
            return context.get_dummy_value()

        return types.void(n_places, *kinds), codegen

    # A global of its own and no variable of this function, whose value would be part of
    # the key under which numba keeps the machine code.
    names = {"share_out": _intrinsic(define, function)}
    call = FunctionType(_share_out_arguments.__code__, names)
    call.__module__ = function.__module__
    call.__qualname__ = f"{function.__qualname__}.shared_out"
    call.__doc__ = function.__doc__
    return compiled(call)


def _share_out_arguments(*arguments):
    """What Python calls of a function that is compiled for many places."""
    share_out(*arguments)  # type: ignore[name-defined]  # noqa: F821


def _intrinsic(define: Any, function: Function) -> Any:
    """What kernels call by the function's name and parameters."""
    first = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    functools.update_wrapper(define, function)
    parameters = inspect.signature(function).parameters.values()
    define.__signature__ = inspect.Signature([first, *parameters])
    return intrinsic(define)


def _without_literals(kinds: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(types.unliteral(kind) for kind in kinds)


class _Apart:
    """A function whose callers find its code by a name, which is the same in every
    process.
    """

    by_name: ClassVar[dict[str, "_Apart"]] = {}

    def __init__(self, function: Function, **flags: Any) -> None:
        self._module = function.__module__
        self.name = f"{self._module}.{function.__qualname__}"
        self._dispatcher: Any = compiled(function, no_cpython_wrapper=True, **flags)
        self.by_name[self.name] = self

    def result_for(self, kinds: tuple[Any, ...]) -> Any:
        """What numba knows of the function for arguments of some types, compiled or
        loaded.
        """
        self._dispatcher.compile(kinds)
        return self._dispatcher.overloads[kinds]

    def call(
        self,
        context: Any,
        builder: Any,
        kinds: tuple[Any, ...],
        arguments: Sequence[Any],
    ) -> Any:
        """Emit a call; returns its status and result."""
        provide = functools.partial(_provide, self._module, self.name, kinds)
        described = provide()
        # Whoever loads the caller from the cache provides the function first.
        context.active_code_library._reload_init.add(provide)
        kind = context.call_conv.get_function_type(
            described.restype, described.argtypes
        )
        function = cgutils.get_or_insert_function(
            builder.module, kind, f"{self.name}{kinds}"
        )
        return context.call_conv.call_function(
            builder, function, described.restype, described.argtypes, arguments
        )


def _provide(module: str, name: str, kinds: tuple[Any, ...]) -> Any:
    """Let LLVM find a function that is compiled apart; returns numba's description of
    it.
    """
    importlib.import_module(module)
    result = _Apart.by_name[name].result_for(kinds)
    address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
    binding.add_symbol(f"{name}{kinds}", address)
    return result.fndesc


_INDEX = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def _share_out(
    context: Any,
    builder: Any,
    apart: _Apart,
    kinds: tuple[Any, ...],
    count: Any,
    arguments: Sequence[Any],
) -> None:
    """Emit a loop over places that numba's threads share out, as they do that of a
    ``prange``.
    """
    start_threads()
    context.active_code_library._reload_init.add(start_threads)
    given = cgutils.alloca_once_value(
        builder, cgutils.make_anonymous_struct(builder, arguments)
    )
    failed = cgutils.alloca_once_value(builder, cgutils.false_byte)

    # A thread is given its first place, as an address, and what is the same for all.
    arrays = _BYTES.as_pointer()
    sizes = _INDEX.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [arrays, sizes, sizes, _BYTES])
    part = ir.Function(
        builder.module, kind, builder.module.get_unique_name(f"{apart.name}.part")
    )
    part.linkage = "internal"
    inner = ir.IRBuilder(part.append_basic_block())
    first, its_given, its_failed = (
        inner.load(inner.gep(part.args[0], [ir.Constant(_INDEX, k)])) for k in range(3)
    )
    values = inner.load(inner.bitcast(its_given, given.type))
    values = [inner.extract_value(values, k) for k in range(len(arguments))]
    with cgutils.for_range(inner, inner.load(part.args[1]), intp=_INDEX) as loop:
        place = inner.add(inner.ptrtoint(first, _INDEX), loop.index)
        status, _ = apart.call(context, inner, kinds, [place, *values])
        with cgutils.if_unlikely(inner, status.is_error):
            inner.store(cgutils.true_byte, its_failed)
    inner.ret_void()

    def memory(*values: Any) -> Any:
        return cgutils.alloca_once_value(builder, cgutils.pack_array(builder, values))

    shared = (builder.bitcast(of, _BYTES) for of in (given, failed))
    passed = [
        part,
        memory(ir.Constant(_BYTES, None), *shared),
        memory(count),
        memory(*(ir.Constant(_INDEX, step) for step in (1, 0, 0))),
        ir.Constant(_BYTES, None),
    ]
    kind = ir.FunctionType(_INDEX, [])
    threads = cgutils.get_or_insert_function(builder.module, kind, "get_num_threads")
    kind = ir.FunctionType(ir.VoidType(), [_BYTES] * 5 + [_INDEX] * 3)
    loop_of_threads = cgutils.get_or_insert_function(
        builder.module, kind, "numba_parallel_for"
    )
    numbers = [
        ir.Constant(_INDEX, 0),
        ir.Constant(_INDEX, 3),
        builder.call(threads, []),
    ]
    passed = [builder.bitcast(of, _BYTES) for of in passed]
    builder.call(loop_of_threads, passed + numbers)
    with cgutils.if_unlikely(
        builder, cgutils.is_not_null(builder, builder.load(failed))
    ):
        context.call_conv.return_user_exc(
            builder, MemoryError, ("no memory for a thread",)
        )
