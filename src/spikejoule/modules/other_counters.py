"""What other tools count in the same run, to the last digit.

They take each call of a layer by itself, where this project takes what a population gives:

neurobench     Effective_ACs, Effective_MACs and Dense of NeuroBench 2.3: a call is of spikes where
               all that enters lies in {-1, 0, 1}, and a weight of zero is no synapse. What a
               simulator calls twice counts twice, such as snnTorch's recurrent weights of a neuron
               that is reset to zero; they take the spikes of the step before.
spikingjelly   SynOpCounter of SpikingJelly 2.0: a call of zeros and ones counts, any other is left
               out, such as that of the layer behind an addition (SEW) of which one sum is 2.
torch          FlopCounterMode: two operations for each product of a dense layer, those with the
               zeros of a padding, too; biases are left out.

NeuroBench and SpikingJelly add up in float32 here and there; above 2**24 their last digits go.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikejoule.core.errors import ParameterError
from spikejoule.modules.populations import Known
from spikejoule.modules.reach import WEIGHTED, unit_dimensions
from spikejoule.modules.watching import Watch

Found = dict[str, int]


def _neurobench(module: Any, x: Tensor, out: Tensor) -> Found:
    is_of_spikes = bool(((x == 0) | (x.abs() == 1)).all())
    effective = _synapses(module, x != 0, module.weight != 0)
    return {
        "Effective_ACs": effective * is_of_spikes,
        "Effective_MACs": effective * (not is_of_spikes),
        "Dense": _synapses(module, torch.ones_like(x), torch.ones_like(module.weight)),
    }


def _spikingjelly(module: Any, x: Tensor, out: Tensor) -> Found:
    is_of_spikes = bool(((x == 0) | (x == 1)).all())
    found = _synapses(module, x, torch.ones_like(module.weight)) if is_of_spikes else 0
    return {"synaptic operations": found}


def _torch(module: Any, x: Tensor, out: Tensor) -> Found:
    weight = module.weight
    if "Transpose" in type(module).__name__:
        return {"flops": 2 * x.numel() // len(weight) * weight.numel()}
    return {"flops": 2 * out.numel() * weight[0].numel()}


def _synapses(module: Any, entering: Tensor, weight: Tensor) -> int:
    """The products of what enters, 0 or 1, with weights of 0 or 1, added up."""
    kind: Any = next(one for one in WEIGHTED if isinstance(module, one))
    layer = kind.__new__(kind)  # of torch itself, without steps, hooks and parametrisations
    layer.__dict__.update(vars(module), _parameters={"weight": weight.double(), "bias": None})
    shape = entering.shape[entering.ndim - unit_dimensions(module) :]
    return int(kind.forward(layer, entering.double().reshape(-1, *shape)).sum())


COUNTERS: Final[dict[str, Callable[[Any, Tensor, Tensor], Found]]] = {
    "neurobench": _neurobench,
    "spikingjelly": _spikingjelly,
    "torch": _torch,
}


class CountingTwice(Watch):
    """Counts as this project does, and, as the tool of this name, all calls of layers with weights.

    Attributes:
        totals: of all samples, by the names that the tool gives them.

    Raises:
        ParameterError: the tool is not known.
    """

    def __init__(self, model: nn.Module, known: Known, tool: str) -> None:
        super().__init__(model, known)
        if tool not in COUNTERS:
            raise ParameterError(f"convention is {tool!r}; allowed are {', '.join(COUNTERS)}")
        self._count, self.totals = COUNTERS[tool], Counter[str]()
        self._layers = [one for one in model.modules() if isinstance(one, WEIGHTED)]

    @contextmanager
    def batch(self, size: int, steps: int | None, order: str) -> Iterator[None]:
        """As of `Watch`."""
        with ExitStack() as stack:
            for layer in self._layers:
                stack.callback(layer.register_forward_hook(self._add).remove)
            stack.enter_context(super().batch(size, steps, order))
            yield

    def _add(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        self.totals.update(self._count(layer, args[0], out))
