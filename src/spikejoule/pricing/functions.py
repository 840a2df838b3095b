"""Functions that run outside counted modules: name those that may compute something.

A model that calls `torch.matmul` or `x * 2` itself does work that no module hook sees.
"""

from typing import Any
from weakref import WeakSet

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.pricing.layers import RESCALING, UNNAMED, WRITING
from spikejoule.pricing.tensors import find_tensor

COUNTED_MODULE = ""
"""In `FunctionWatch.running`: a counted module, whose functions are not named."""


class FunctionWatch(TorchFunctionMode):
    """Name functions that are not counted, after the module that calls them.

    A function called directly by a container is named itself.

    Attributes:
        unknown: receives the names.
        requantises: whether rescaling by one number needs no name: an integer network
            rescales each unit, which is counted with the units.
        running: the modules that run now, outermost first, in words.
        known: in an integer network the memory of module inputs, and of what functions
            that need no name make of them.
    """

    def __init__(self, unknown: dict[str, str], requantises: bool) -> None:
        super().__init__()
        self.unknown = unknown
        self.requantises = requantises
        self.running: list[str] = []
        self.known: WeakSet[Any] = WeakSet()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        result = function(*args, **keywords)
        name = getattr(function, "__name__", "")
        # `x[...] = 0` returns None: what it writes is its argument.
        writes = bool(self.running) and name in WRITING
        written = find_tensor(args if writes else result)
        if written is None or COUNTED_MODULE in self.running:
            return result
        arguments = (*args, *keywords.values())
        inputs = [value for value in arguments if isinstance(value, Tensor)]
        name = name.strip("_")
        if writes or not self._needs_no_name(name, inputs):
            self._add(name)
        elif self.requantises and any(
            x.untyped_storage() in self.known for x in inputs
        ):
            self.known.add(written.untyped_storage())
        return result

    def _needs_no_name(self, name: str, inputs: list[Tensor]) -> bool:
        if name in UNNAMED:
            return True
        is_by_one_number = sum(x.numel() > 1 for x in inputs) <= 1
        return self.requantises and name in RESCALING and is_by_one_number

    def _add(self, function: str) -> None:
        """Name the module that runs, or the function where only containers do."""
        if self.running:
            words = self.running[-1]
        else:
            words = f"{function} (a function, and no module)"
        self.unknown.setdefault(words.partition(" (")[0], words)

    def follow(self, module: nn.Module, words: str) -> list[RemovableHandle]:
        """Hook a module, so that `running` has its words while it runs."""

        def enter(_: nn.Module, args: Any) -> None:
            self.running.append(words)
            x = find_tensor(args)
            if self.requantises and x is not None:
                self.known.add(x.untyped_storage())

        def leave(*_: Any) -> None:
            self.running.pop()

        return [
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave),
        ]
