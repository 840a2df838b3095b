"""What PyTorch has no public way for. Seen in PyTorch 2.13.

`tests/pricing/test_torch_private.py` fails if a newer one has changed it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode

COMPUTING_METHODS: Final = ("forward", "_conv_forward")
"""The methods in which PyTorch's layers compute; convolutions have two."""

_OVERRIDES: Final[Any] = torch.overrides
"""This module is not typed."""


def buffers_of(module: nn.Module) -> dict[str, Tensor | None]:
    """Return the dictionary of a module's buffers: `named_buffers` leaves out None."""
    return module._buffers


def parameters_of(module: nn.Module) -> Mapping[str, Tensor | None]:
    """Return the dictionary of a module's parameters, without a generator."""
    return module._parameters


def version_of(x: Tensor) -> int:
    """Return how often a tensor was changed in place."""
    return x._version


def without_function_modes() -> AbstractContextManager[Any]:
    """Call functions of PyTorch that no TorchFunctionMode sees."""
    return torch._C.DisableTorchFunction()


def is_innermost(mode: TorchFunctionMode) -> bool:
    """Whether a mode is the first that sees a function; others may be around it."""
    return _OVERRIDES._get_current_function_mode() is mode
