"""Find the tensors among the arguments and results of modules and functions."""

from typing import Any, Final

from torch import Tensor

from spikejoule.core.errors import DataError

_PLAIN: Final = frozenset([int, float, bool, str, type(None)])


def first_tensor(values: Any) -> Tensor:
    """Return the first tensor among arguments or in an output.

    Raises:
        DataError: there is none.
    """
    tensor = find_tensor(values)
    if tensor is None:
        raise DataError(
            "a module takes or gives no dense tensor, and cannot be counted."
        )
    return tensor


def find_tensor(values: Any) -> Tensor | None:
    """Return the first tensor among arguments or in an output; None without one."""
    if isinstance(values, Tensor) and has_memory(values):
        return values
    return next(iter(tensors_in(values)), None)


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors among arguments or in an output that have memory."""
    return [x for x in all_tensors(values) if has_memory(x)]


def has_memory(x: Tensor) -> bool:
    """Whether a tensor has memory, by which it is known: not sparse, nor in `vmap`."""
    try:
        x.untyped_storage()
    except RuntimeError:  # NotImplementedError is one
        return False
    return True


def all_tensors(values: Any) -> list[Tensor]:
    """Return all tensors among arguments or in an output."""
    found: list[Tensor] = []
    _collect(values, found)
    return found


def _collect(values: Any, found: list[Tensor]) -> None:
    # This runs for every function: a recursive generator takes three times as long, and
    # to find out that a number is no `Tensor` takes longer than to look up its type.
    if type(values) in _PLAIN:
        return
    if isinstance(values, Tensor):
        found.append(values)
    elif isinstance(values, list | tuple):
        for value in values:
            _collect(value, found)
    elif isinstance(values, dict):
        for value in values.values():
            _collect(value, found)


def memory_of(x: Tensor) -> int:
    """Return the address of a tensor's memory, which its views share."""
    return x.untyped_storage().data_ptr()
