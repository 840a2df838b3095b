"""Find the tensors among the arguments and results of modules and functions."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import Tensor

from spikejoule.core.errors import DataError


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
    """Return the first tensor that has memory among arguments or in an output."""
    kind = _kind_of(type(values))
    if kind is Tensor:
        return values if has_memory(values) else None
    if kind is None:
        return None
    for value in values.values() if kind is dict else values:
        found = find_tensor(value)
        if found is not None:
            return found
    return None


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
    # `isinstance` longer than to look up what was found out about the type.
    kind = _kind_of(type(values))
    if kind is Tensor:
        found.append(values)
    elif kind is list:
        for value in values:
            _collect(value, found)
    elif kind is dict:
        for value in values.values():
            _collect(value, found)


def _find_kind(kind: type) -> type | None:
    """Return what values of a type are here: a `Tensor`, list, dict, or nothing."""
    if issubclass(kind, Tensor):
        return Tensor
    if issubclass(kind, list | tuple):
        return list
    return dict if issubclass(kind, dict) else None


# Called for every argument of every function.
_kind_of: Callable[[type], type | None] = lru_cache(maxsize=1000)(_find_kind)


def memory_of(x: Tensor) -> int:
    """Return the address of a tensor's memory, which its views share."""
    return x.untyped_storage().data_ptr()
