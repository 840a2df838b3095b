"""How kernels are compiled with numba, and where their machine code is cached.

emit     LLVM instructions emitted from Python, vectors, arrays of whole vectors
bits     listing the set bits of masks
streams  random numbers

numba_private  what numba has no public way for

Each kernel gets one of four decorators: `compiled`, `compiled_inline`,
`compiled_apart` or `compiled_parallel`.

The cache key is the content of all kernel sources. numba's own key, the path and age of
one file, would compile again in every checkout, as for a queued experiment that runs in
a temporary one, and would keep a caller when only the kernel it calls has changed. The
cache folder is ``$NUMBA_CACHE_DIR`` or the user's cache directory.
"""

import functools
import hashlib
import importlib
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import numba
import platformdirs
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikejoule.compiling import numba_private

logger = logging.getLogger(__name__)

Function = Callable[..., Any]
"""A compiled function: numba infers the types of its arguments from each call."""

# Between two kernels, numba's OpenMP threads wait in a busy loop, by default so long
# that other processes starve: beside one other busy process, training took ten times as
# long. About half a millisecond covers the pauses within a training step.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Kernels run without Python's global lock, and divide by zero as NumPy does, without a
# check. Of all fast-math rules only "contract" is allowed, which fuses a product and a
# sum; others could reorder additions. No C code calls kernels, so they need no wrapper
# for it.
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
    # Surrogates are emitted into kernels, but are in the model's package.
    surrogates = package / "network" / "surrogates"
    folders = [Path(__file__).parent, surrogates, *package.rglob("kernels")]
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        name = path.relative_to(package).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _cache_root() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen or platformdirs.user_cache_dir("spikejoule"))


@functools.cache
def _warn_of_missing_cache() -> None:
    """Warn once per process that kernels cannot be cached."""
    logger.warning(
        "kernels are compiled anew in every process (about 15 s), because %s cannot be "
        "written; set $NUMBA_CACHE_DIR to another folder",
        _cache_root(),
    )


def compiled(function: Function, **flags: Any) -> Function:
    """Compile a function for Python; each compiled caller contains a copy of it."""
    dispatcher = numba.njit(**_FLAGS, **flags)(function)
    digest = _sources_digest()
    folder = _cache_root() / f"kernels-{digest[:16]}"
    numba_private.cache_in(dispatcher, function, folder, digest, _warn_of_missing_cache)
    return cast(Function, dispatcher)


def compiled_inline(function: Function) -> Function:
    """Copy a function's lines into each compiled caller, before types are inferred."""
    return cast(Function, numba.njit(inline="always", **_FLAGS)(function))


def compiled_apart(function: Function) -> Any:
    """Compile a function once, and let compiled callers refer to its code.

    numba compiles an ordinary callee again within each caller, and within their
    callers. With all kernels like that, the default network took 59 s of processor time
    to compile instead of 13 s. Python cannot call such a function.

    Reference counts of arrays are off in it, which saves time; it can therefore neither
    allocate an array nor return one.
    """
    name = _name_apart(function, **numba_private.WITHOUT_REFERENCE_COUNTS)

    def define(typing_context, *kinds):
        taken = _without_literals(kinds)

        def codegen(context, builder, signature, arguments):
            status, value = _call_apart(name, context, taken, builder, arguments)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return value

        returned = _result_apart(name, taken).signature.return_type
        return returned(*kinds), codegen

    return _intrinsic(define, function)


def compiled_parallel(function: Function) -> Function:
    """Compile a function whose first argument is a place, to run for many places.

    ``function(n, *arguments)`` runs ``function(k, *arguments)`` for each k below n,
    int64, on numba's threads, whether Python or a kernel calls it. It returns nothing,
    and is compiled apart. numba's own ``prange`` compiles its body within each caller.
    """
    name = _name_apart(function)

    def define(typing_context, n_places, *kinds):
        taken = (types.int64, *_without_literals(kinds))
        _result_apart(name, taken)

        def codegen(context, builder, signature, arguments):
            count = context.cast(builder, arguments[0], n_places, types.int64)
            call = functools.partial(_call_apart, name, context, taken)
            _share_out(context, builder, call, count, arguments[1:])
            return context.get_dummy_value()

        return types.void(n_places, *kinds), codegen

    # `share_out` is a global of a function made for it, not a variable of a closure:
    # numba would add the value of such a variable to the cache key, and the value of an
    # intrinsic differs in every process.
    names = {"share_out": _intrinsic(define, function)}
    call = FunctionType(_share_out_arguments.__code__, names)
    call.__module__ = function.__module__
    call.__qualname__ = f"{function.__qualname__}.shared_out"
    call.__doc__ = function.__doc__
    return compiled(call)


def _share_out_arguments(*arguments):
    """Take the arguments of a function compiled for many places, from Python."""
    share_out(*arguments)  # type: ignore[name-defined]  # noqa: F821


def _intrinsic(define: Any, function: Function) -> Any:
    """Return an intrinsic with the name and the parameters of a function."""
    first = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    functools.update_wrapper(define, function)
    parameters = inspect.signature(function).parameters.values()
    define.__signature__ = inspect.Signature([first, *parameters])
    return intrinsic(define)


def _without_literals(kinds: Iterable[Any]) -> tuple[Any, ...]:
    # numba types a constant argument by its value; one version for all is enough.
    return tuple(types.unliteral(kind) for kind in kinds)


_APART: dict[str, Any] = {}
"""The dispatcher of each function compiled apart, by its name.

Callers find the function by this name, which is the same in every process, so a caller
from the cache finds it too.
"""


def _name_apart(function: Function, **flags: Any) -> str:
    """Register a function compiled apart; return its name."""
    name = f"{function.__module__}.{function.__qualname__}"
    _APART[name] = compiled(function, no_cpython_wrapper=True, **flags)
    return name


def _result_apart(name: str, kinds: tuple[Any, ...]) -> Any:
    """Compile or load a function apart for arguments of some types."""
    dispatcher = _APART[name]
    dispatcher.compile(kinds)
    return dispatcher.overloads[kinds]


def _call_apart(
    name: str,
    context: Any,
    kinds: tuple[Any, ...],
    builder: Any,
    arguments: Sequence[Any],
) -> Any:
    """Emit a call of a function compiled apart; return its status and its result."""
    module = _APART[name].__module__
    provide = functools.partial(_provide, module, name, kinds)
    described = provide()
    numba_private.call_before_loading(context, provide)
    function_type = context.call_conv.get_function_type(
        described.restype, described.argtypes
    )
    function = cgutils.get_or_insert_function(
        builder.module, function_type, f"{name}{kinds}"
    )
    return context.call_conv.call_function(
        builder, function, described.restype, described.argtypes, arguments
    )


def _provide(module: str, name: str, kinds: tuple[Any, ...]) -> Any:
    """Register the address of a function compiled apart as a symbol of LLVM.

    Returns:
        numba's description of the function.
    """
    importlib.import_module(module)
    result = _result_apart(name, kinds)
    address = result.library.get_pointer_to_function(result.fndesc.llvm_func_name)
    binding.add_symbol(f"{name}{kinds}", address)
    return result.fndesc


_INDEX = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def _share_out(
    context: Any, builder: Any, call: Function, count: Any, arguments: Sequence[Any]
) -> None:
    """Emit a loop over `count` places on numba's threads."""
    struct = cgutils.make_anonymous_struct(builder, arguments)
    shared = cgutils.alloca_once_value(builder, struct)
    failed = cgutils.alloca_once_value(builder, cgutils.false_byte)
    part = _emit_part(builder.module, call, shared.type, len(arguments))
    numba_private.call_on_threads(context, builder, part, count, (shared, failed))
    # A kernel raises nothing itself, so an error is a failed allocation.
    has_failed = cgutils.is_not_null(builder, builder.load(failed))
    with cgutils.if_unlikely(builder, has_failed):
        context.call_conv.return_user_exc(
            builder, MemoryError, ("no memory for a thread",)
        )


def _emit_part(module: Any, call: Function, shared_type: Any, n_arguments: int) -> Any:
    """Emit the function that a thread runs: a call for each of its places."""
    pointers_type = _BYTES.as_pointer()
    sizes_type = _INDEX.as_pointer()
    part_type = ir.FunctionType(
        ir.VoidType(), [pointers_type, sizes_type, sizes_type, _BYTES]
    )
    part = ir.Function(module, part_type, module.get_unique_name("part"))
    part.linkage = "internal"
    builder = ir.IRBuilder(part.append_basic_block())
    pointers, sizes, *_ = part.args
    first, shared, failed = (
        builder.load(builder.gep(pointers, [ir.Constant(_INDEX, k)])) for k in range(3)
    )
    struct = builder.load(builder.bitcast(shared, shared_type))
    arguments = [builder.extract_value(struct, k) for k in range(n_arguments)]
    with cgutils.for_range(builder, builder.load(sizes), intp=_INDEX) as loop:
        place = builder.add(builder.ptrtoint(first, _INDEX), loop.index)
        status, _ = call(builder, [place, *arguments])
        with cgutils.if_unlikely(builder, status.is_error):
            builder.store(cgutils.true_byte, failed)
    builder.ret_void()
    return part
