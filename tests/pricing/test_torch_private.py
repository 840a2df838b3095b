"""What `torch_private` takes from PyTorch still works."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spikejoule.pricing.tensors.nested import has_memory
from spikejoule.pricing.torch_private import (
    COMPUTING_METHODS,
    TorchDispatchMode,
    buffers_of,
    is_innermost,
    parameters_of,
    version_of,
    without_function_modes,
)


class Seen(TorchFunctionMode):
    """Notes the names of functions."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


class Dispatched(TorchDispatchMode):
    """Notes the names of operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_modes() -> None:
    with Seen() as outer, Seen() as inner:
        assert is_innermost(inner)
        assert not is_innermost(outer)
        with without_function_modes():
            torch.add(torch.ones(1), 1)
        assert not outer.names
        assert not inner.names
        torch.relu(torch.ones(1))
    assert "relu" in inner.names
    assert "relu" in outer.names
    assert not is_innermost(inner)
    with Dispatched() as dispatched:
        torch.ones(1).add(1)
    assert "add" in dispatched.names


def test_a_buffer_that_is_none_is_in_the_dictionary() -> None:
    module = nn.Module()
    module.register_buffer("state", None)
    assert buffers_of(module) == {"state": None}
    module.state = torch.ones(2)
    assert buffers_of(module)["state"] is module.state


def test_a_module_keeps_its_parameters_in_a_dictionary() -> None:
    layer = nn.Linear(2, 1, bias=False)
    assert parameters_of(layer)["weight"] is layer.weight
    assert parameters_of(layer)["bias"] is None


def test_a_change_in_place_is_a_new_version() -> None:
    x = torch.zeros(2)
    before = version_of(x)
    x.add_(1)
    assert version_of(x) > before


def test_convolutions_compute_in_two_methods() -> None:
    assert all(hasattr(nn.Conv2d, name) for name in COMPUTING_METHODS)


def test_tensors_without_memory() -> None:
    """Sparse ones, and those of one sample within `vmap`."""
    inside: list[bool] = []

    def double(x: Tensor) -> Tensor:
        inside.append(has_memory(x))
        return 2 * x

    torch.vmap(double)(torch.ones(2, 3))
    assert inside == [False]
    assert not has_memory(torch.eye(2).to_sparse())
    assert has_memory(torch.ones(2))
    assert has_memory(torch.ones(2, device="meta"))
