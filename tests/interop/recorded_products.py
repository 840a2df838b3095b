"""Count all products of a running model from the operations that PyTorch runs.

Matrix products and convolutions are seen below modules and functions, and each is run
again on counts: what is sent on one side, ones on the other. It counts without any code
of spikejoule.
"""

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from spikejoule.pricing.torch_private import TorchDispatchMode

MATRICES = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}
"""Operations that multiply matrices, and which arguments these are."""
# Sinabs and Norse make spikes of floating point numbers with these.
MAKE_SPIKES = ("floor", "heaviside")


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors in nested containers."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    if not isinstance(values, list | tuple):
        return []
    return [x for value in values for x in tensors_in(value)]


class ProductRecord(TorchDispatchMode):
    """Counts products while a model runs.

    What is made of parameters only is a weight. Whole numbers are spikes, and 2 is two
    of them, unless they are averages or products of two activations: these are values,
    as are all other numbers.

    Attributes:
        events: of spikes that meet a weight, a value or another spike.
        macs: of values, not zero, that meet a weight or a value.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.events = 0
        self.macs = 0
        # The memory of tensors, which views share.
        self._weights: WeakSet[Any] = WeakSet()
        self._values: WeakSet[Any] = WeakSet()
        for x in (*model.parameters(), *model.buffers()):
            if x.layout != torch.strided:
                continue  # a sparse tensor has no memory of its own
            self._weights.add(x.untyped_storage())
        # This path runs an attention module as one operation, which hides its products.
        torch.backends.mha.set_fastpath_enabled(False)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.__name__.partition(".")[0]
        kinds = [self._kind(x) for x in tensors_in((args, kwargs))]
        made = tensors_in(result)
        if kinds and {*kinds} == {"weights"}:
            self._weights.update(x.untyped_storage() for x in made)
            return result
        makes_values = name == "mean" or "avg_pool" in name
        makes_values |= "values" in kinds and name not in MAKE_SPIKES
        if name in MATRICES:
            left, right = (args[place] for place in MATRICES[name])
            makes_values |= self._count(torch.matmul, left, right)
        elif name == "convolution":
            x, weight, _, *settings = args

            def convolved(x: Tensor, weight: Tensor) -> Tensor:
                return torch.convolution(x, weight, None, *settings)

            self._count(convolved, x, weight)
        elif name.startswith("_scaled_dot_product"):
            makes_values = True
            self._count_attention(*args[:3])
        for x in made:
            self._weights.discard(x.untyped_storage())
            if makes_values and x.is_floating_point():
                self._values.add(x.untyped_storage())
        return result

    def _count_attention(self, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Count both products of an operation that does both at once.

        A softmax makes no score zero, unless it is masked, which is not recorded.
        """
        self._count(torch.matmul, queries, keys.mT)
        scores = torch.ones(*queries.shape[:-1], keys.shape[-2])
        self._values.add(scores.untyped_storage())
        self._count(torch.matmul, scores, values)

    def _kind(self, x: Tensor) -> str:
        if x.untyped_storage() in self._weights:
            return "weights"
        is_value = x.is_floating_point() and x.untyped_storage() in self._values
        return "values" if is_value else "others"

    def _count(self, product: Any, left: Tensor, right: Tensor) -> bool:
        """Count a product; return whether both sides are activations."""
        sides = (left.float(), right.float())
        kinds = [self._kind(left), self._kind(right)]
        are_spikes = [
            kind == "others" and bool((x == x.round()).all())
            for kind, x in zip(kinds, sides, strict=True)
        ]
        counts = [torch.ones_like(x) for x in sides]
        for side, x in enumerate(sides):
            if are_spikes[side]:
                counts[side] = x.abs()
        if not any(are_spikes):
            sender = 1 if kinds[0] == "weights" else 0
            counts[sender] = (sides[sender] != 0).float()
        amount = int(product(*counts).sum(dtype=torch.float64))
        if any(are_spikes):
            self.events += amount
        else:
            self.macs += amount
        return "weights" not in kinds
