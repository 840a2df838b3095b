"""What other tools count in the same run, to the last digit.

They take each call of a layer by itself, where this project takes what a population
gives:

neurobench     Effective_ACs, Effective_MACs and Dense of NeuroBench 2.3: a call is of
               spikes where all that enters lies in {-1, 0, 1}, and a weight of zero is
               no synapse. What a simulator calls twice counts twice, such as snnTorch's
               recurrent weights of a neuron that is reset to zero; they take the spikes
               of the step before.
spikingjelly   SynOpCounter of SpikingJelly 2.0: a call of zeros and ones counts, any
               other is left out, such as that of the layer behind an addition (SEW) of
               which one sum is 2.
torch          FlopCounterMode: two operations for each product of a dense layer, those
               with the zeros of a padding, too; biases are left out.

NeuroBench and SpikingJelly add up in float32 here and there; above 2**24 their last
digits go.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikejoule.core.errors import ParameterError
from spikejoule.pricing.layers import WEIGHTED, plain, unit_dimensions

Found = Counter[str]


def _neurobench(module: Any, x: Tensor, out: Tensor) -> Found:
    is_of_spikes = bool(((x == 0) | (x.abs() == 1)).all())
    effective = _synapses(module, x != 0, module.weight != 0)
    every = _synapses(module, torch.ones_like(x), torch.ones_like(module.weight))
    return Counter(
        {
            "Dense": every,
            "Effective_ACs": effective if is_of_spikes else 0,
            "Effective_MACs": 0 if is_of_spikes else effective,
        }
    )


def _spikingjelly(module: Any, x: Tensor, out: Tensor) -> Found:
    is_of_spikes = bool(((x == 0) | (x == 1)).all())
    reached = (
        _synapses(module, x, torch.ones_like(module.weight)) if is_of_spikes else 0
    )
    return Counter({"synaptic operations": reached})


def _torch(module: Any, x: Tensor, out: Tensor) -> Found:
    places = x if "Transpose" in type(module).__name__ else out
    return Counter({"flops": 2 * places.numel() * module.weight[0].numel()})


def _synapses(module: Any, entering: Tensor, weight: Tensor) -> int:
    """The products of what enters, 0 or 1, with weights of 0 or 1, added up."""
    shape = entering.shape[entering.ndim - unit_dimensions(module) :]
    return int(
        plain(module, weight.double())
        .forward(entering.double().reshape(-1, *shape))
        .sum()
    )


COUNTERS: Final[dict[str, Callable[[Any, Tensor, Tensor], Found]]] = {
    "neurobench": _neurobench,
    "spikingjelly": _spikingjelly,
    "torch": _torch,
}


@contextmanager
def count_as(tool: str, model: nn.Module) -> Iterator[Found]:
    """Count what runs inside as a tool does:
    ``with count_as("torch", model) as found: ...``.

    Args:
        tool: ``neurobench``, ``spikingjelly`` or ``torch``.
        model: whose layers with weights are counted, spiking or not.

    Returns:
        the counts over all calls, by the names that the tool gives them.

    Raises:
        ParameterError: the tool is not known.
    """
    if tool not in COUNTERS:
        raise ParameterError(f"tool is {tool!r}; allowed are {', '.join(COUNTERS)}")
    found: Found = Counter()
    with ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, WEIGHTED):
                handle = layer.register_forward_hook(
                    lambda layer, args, out: found.update(
                        COUNTERS[tool](layer, args[0], out)
                    )
                )
                stack.callback(handle.remove)
        yield found
