"""Name the PyTorch functions that may compute something outside counted modules.

A model that calls `torch.matmul` or `x * 2` itself does work that no module hook sees.
The report names this work as not counted.
"""

from typing import Any
from weakref import WeakSet

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.pricing.layers import RESCALING, UNNAMED, WRITING
from spikejoule.pricing.tensors import find_tensor

COUNTED_MODULE = ""
"""In `FunctionWatch.running`: a module whose functions are not named.

It is counted itself, or changes no number.
"""


class FunctionWatch(TorchFunctionMode):
    """Watch all PyTorch functions, and name the callers of those that are not counted.

    The caller is the running module of an unknown class. Where only containers run, the
    function itself is named.

    Attributes:
        unknown: receives the descriptions, by name.
        requantises: whether the network computes in integers. Rescaling by one number
            then needs no name: it is counted for each unit.
        running: descriptions of the modules that run now, without containers, outermost
            first; `COUNTED_MODULE` for one whose functions are not named.
        known: in an integer network, the memory of module inputs and of all that is
            made from it by functions that need no name. A module that returns such
            memory is not named.
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
        """Whether a function only moves or adds numbers, or rescales integers."""
        if name in UNNAMED:
            return True
        is_by_one_number = sum(x.numel() > 1 for x in inputs) <= 1
        return self.requantises and name in RESCALING and is_by_one_number

    def _add(self, function: str) -> None:
        """Name the innermost running module, or the function if only containers run."""
        if self.running:
            words = self.running[-1]
        else:
            words = f"{function} (a function, and no module)"
        name = words.partition(" (")[0]
        self.unknown.setdefault(name, words)

    def follow(self, module: nn.Module, words: str) -> list[RemovableHandle]:
        """Hook a module, so that `running` contains `words` while it runs.

        Args:
            module: any module but a container.
            words: its description, "name (class)", or `COUNTED_MODULE`.
        """

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
