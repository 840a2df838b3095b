"""What numba has no public way for: its cache, its threads, what a kernel needs first.

Seen in numba 0.68; pyproject.toml allows 0.63 to 0.68.
`tests/compiling/test_numba_private.py` fails if another version differs.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from llvmlite import ir
from numba.core import caching, cgutils
from numba.np.ufunc.parallel import _launch_threads as start_threads
from numba.np.unsafe.ndarray import to_fixed_tuple as to_fixed_tuple

Function = Callable[..., Any]

WITHOUT_REFERENCE_COUNTS: Final[dict[str, Any]] = {"_nrt": False}
"""An option of `numba.njit`: the function can neither allocate nor return an array."""

_INDEX = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()


def cache_in(
    dispatcher: Any,
    function: Function,
    folder: Path,
    digest: str,
    warn: Callable[[], None],
) -> None:
    """Keep the machine code of a dispatcher in a folder.

    Args:
        dispatcher: what `numba.njit` has made of the function.
        function: the function.
        folder: where the code of all functions with this digest is kept.
        digest: identifies the sources.
        warn: is called where the folder cannot be written; nothing is cached then.
    """

    class Locator(_Locator):
        _folder = folder
        _digest = digest

    class Implementation(_Implementation):
        _locator_classes: ClassVar[list[Any]] = [Locator]

    class Cache(caching.FunctionCache):  # type: ignore[misc]
        _impl_class = Implementation

        def save_overload(self, sig: Any, data: Any) -> None:
            """Save machine code; on a full disk, warn instead of failing."""
            try:
                super().save_overload(sig, data)
            except OSError:
                warn()

    try:
        dispatcher._cache = Cache(function)
    except RuntimeError:
        # numba found no folder to write to.
        warn()


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Tells numba in which folder the cache of a function is."""

    _folder: ClassVar[Path]
    _digest: ClassVar[str]

    def __init__(self, function: Function) -> None:
        self._py_file = function.__code__.co_filename
        self._name = f"{function.__module__}.{function.__code__.co_firstlineno}"

    @classmethod
    def from_function(cls, py_func: Function, py_file: str) -> "_Locator | None":
        locator = cls(py_func)
        with suppress(OSError):
            locator.ensure_cache_path()
            return locator
        return None

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._digest

    def get_disambiguator(self) -> str:
        return self._name


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Load machine code, with the functions that it needs before it can run.

        numba calls these functions (`call_before_loading`) when it loads a kernel, but
        does not record them in the loaded library. A caller that is compiled against
        the loaded kernel would then be cached without them.
        """
        result = super().rebuild(target_context, payload)
        result.library._reload_init.update(result.reload_init)
        return result


def call_before_loading(context: Any, provide: Callable[[], Any]) -> None:
    """Let a process that loads the code being compiled call a function before.

    numba pickles the function with the code.
    """
    context.active_code_library._reload_init.add(provide)


def call_on_threads(
    context: Any, builder: Any, part: Any, count: Any, arguments: Sequence[Any]
) -> None:
    """Emit a call of the function behind numba's `prange`, `numba_parallel_for`.

    It is written for NumPy's generalised ufuncs: each thread gets a table of pointers,
    each advanced by its own step times the first index of the thread, and the number of
    indices.

    Args:
        context: of the code being compiled.
        builder: of its instructions.
        part: the function that a thread runs: LLVM's `void(i8**, i64*, i64*, i8*)`.
        count: how many indices the threads share.
        arguments: addresses that are the same for all threads: their step is 0. Before
            them comes a null pointer with a step of one byte, whose address is the
            thread's first index.
    """
    start_threads()
    # A process that loads the caller from the cache needs the threads, too.
    call_before_loading(context, start_threads)

    def memory(*values: Any) -> Any:
        return cgutils.alloca_once_value(builder, cgutils.pack_array(builder, values))

    no_data = ir.Constant(_BYTES, None)
    pointers = memory(no_data, *(builder.bitcast(each, _BYTES) for each in arguments))
    steps = memory(*(ir.Constant(_INDEX, step) for step in (1, *[0] * len(arguments))))
    get_threads = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_INDEX, []), "get_num_threads"
    )
    parallel_for = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [_BYTES] * 5 + [_INDEX] * 3),
        "numba_parallel_for",
    )
    addresses = (part, pointers, memory(count), steps, no_data)
    n_inner_dimensions = ir.Constant(_INDEX, 0)
    n_pointers = ir.Constant(_INDEX, 1 + len(arguments))
    builder.call(
        parallel_for,
        [
            *(builder.bitcast(address, _BYTES) for address in addresses),
            n_inner_dimensions,
            n_pointers,
            builder.call(get_threads, []),
        ],
    )
