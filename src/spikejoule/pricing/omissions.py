"""What of a model was not counted: functions, and weights that no count contains."""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from spikejoule.pricing.functions import FunctionWatch
from spikejoule.pricing.layers import WEIGHTED
from spikejoule.pricing.parts import Functions, Part
from spikejoule.pricing.tensors import memory_of


class Omissions:
    """Find what was not counted.

    Attributes:
        functions: the functions of the model.
        ran: the modules that are counted.
        used: the memory of their weights.
    """

    def __init__(self, functions: FunctionWatch, ran: Iterable[nn.Module]) -> None:
        self.functions = functions
        self.ran = {*ran}
        # A layer that shares its weight with a layer that ran is no omission.
        self.used = {
            memory_of(module.weight)
            for module in self.ran
            if isinstance(module, WEIGHTED)
        }

    def by_name(self, parts: Iterable[Part]) -> dict[str, str]:
        """Return in words what was not counted, by the names of parts and weights."""
        words = {
            part.name: part.words_with(names)
            for part, names in self.functions.named.items()
        }
        for part in parts:
            for name, reason in self._unused(part):
                words.setdefault(name, f"{name} ({reason})")
        return words

    def _unused(self, part: Part) -> Iterator[tuple[str, str]]:
        """Yield a part, or its weights, that no count contains, with a reason."""
        module: Any = part.layer
        class_name = type(module).__name__
        weights = {
            name: weight
            for name, weight in module._parameters.items()
            if weight is not None
        }
        if part.functions is Functions.DESCRIBED:
            for name, weight in weights.items():
                is_used = memory_of(weight) in self.used
                if weight.ndim > 1 and self._is_read(weight) and not is_used:
                    reason = "a matrix, which its Population does not name"
                    yield f"{part.name}.{name}", reason
        elif not any(self._is_read(weight) for weight in weights.values()):
            if part.functions is Functions.NAMED and weights:
                yield part.name, f"{class_name}, which has parameters"
            is_layer = isinstance(module, WEIGHTED) and module not in self.ran
            if is_layer and memory_of(module.weight) not in self.used:
                yield part.name, f"{class_name}, never called"

    def _is_read(self, weight: Tensor) -> bool:
        """Whether a function outside counted modules has read a weight."""
        return weight.untyped_storage() in self.functions.origins.read
