"""Counts of other tools in the same run, to the last digit.

These tools look at each call of a layer by itself; this project counts what a
population emits.

neurobench     Effective_ACs, Effective_MACs and Dense of NeuroBench 2.3: a call has
               spikes if its whole input is in {-1, 0, 1}, and a weight of zero is no
               synapse. A layer that a simulator calls twice counts twice: snnTorch does
               so with recurrent weights of neurons that reset to zero, which receive
               the spikes of the step before.
spikingjelly   SynOpCounter of SpikingJelly 2.0: a call counts if its input is zeros and
               ones only. A sum of two spikes (SEW) is 2, so the call after it is left
               out.
torch          FlopCounterMode: two operations per product of a dense layer, also for
               products with zero padding; biases are left out.

NeuroBench and SpikingJelly sum partly in float32: above 2**24 their last digits are
lost.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikejoule.core.errors import ParameterError
from spikejoule.pricing.layers import WEIGHTED, plain, unit_dimensions

Counts = Counter[str]


def _neurobench(module: Any, x: Tensor, out: Tensor) -> Counts:
    has_spikes = bool(((x == 0) | (x.abs() == 1)).all())
    effective = _synapses(module, x != 0, module.weight != 0)
    dense = _synapses(module, torch.ones_like(x), torch.ones_like(module.weight))
    return Counter(
        {
            "Dense": dense,
            "Effective_ACs": effective if has_spikes else 0,
            "Effective_MACs": 0 if has_spikes else effective,
        }
    )


def _spikingjelly(module: Any, x: Tensor, out: Tensor) -> Counts:
    has_spikes = bool(((x == 0) | (x == 1)).all())
    operations = 0
    if has_spikes:
        operations = _synapses(module, x, torch.ones_like(module.weight))
    return Counter({"synaptic operations": operations})


def _torch(module: Any, x: Tensor, out: Tensor) -> Counts:
    # A transposed convolution places its kernel at each input, not at each output.
    places = x if "Transpose" in type(module).__name__ else out
    return Counter({"flops": 2 * places.numel() * module.weight[0].numel()})


def _synapses(module: Any, x: Tensor, weight: Tensor) -> int:
    """Count the products of an input of 0 and 1 with weights of 0 and 1."""
    unit_shape = x.shape[x.ndim - unit_dimensions(module) :]
    layer = plain(module, weight.double())
    return int(layer.forward(x.double().reshape(-1, *unit_shape)).sum())


COUNTERS: Final[dict[str, Callable[[Any, Tensor, Tensor], Counts]]] = {
    "neurobench": _neurobench,
    "spikingjelly": _spikingjelly,
    "torch": _torch,
}


@contextmanager
def count_as(tool: str, model: nn.Module) -> Iterator[Counts]:
    """Count as another tool does: ``with count_as("torch", model) as counts: ...``.

    Args:
        tool: ``neurobench``, ``spikingjelly`` or ``torch``.
        model: spiking or not; its layers with weights are counted.

    Returns:
        the counts of all calls inside, by the tool's names.

    Raises:
        ParameterError: the tool is not known.
    """
    if tool not in COUNTERS:
        raise ParameterError(f"tool is {tool!r}; allowed are {', '.join(COUNTERS)}")
    count = COUNTERS[tool]
    totals: Counts = Counter()

    def add(layer: nn.Module, args: Any, out: Tensor) -> None:
        totals.update(count(layer, args[0], out))

    with ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, WEIGHTED):
                stack.callback(layer.register_forward_hook(add).remove)
        yield totals
