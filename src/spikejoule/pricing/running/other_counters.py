"""Counts of other tools in the same run, to the last digit.

These tools look at each call of a layer, or each product, by itself; this project
counts what a population emits.

neurobench     Effective_ACs, Effective_MACs and Dense of NeuroBench 2.3: a call has
               spikes if its whole input is in {-1, 0, 1}, and a weight of zero is no
               synapse. A layer that a simulator calls twice counts twice: snnTorch does
               so with recurrent weights of neurons that reset to zero, which receive
               the spikes of the step before.
spikingjelly   SynOpCounter of SpikingJelly 2.0: a product counts if one side is zeros
               and ones only. A sum of two spikes (SEW) is 2, so the product after it is
               left out.
torch          FlopCounterMode: two operations per product, also for products with zero
               padding; biases are left out.

NeuroBench and SpikingJelly sum partly in float32: above 2**24 their last digits are
lost.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from spikejoule.compare.inputs import AnalysisInputs, OtherCount
from spikejoule.core.errors import ParameterError
from spikejoule.pricing.modules.layers import WEIGHTED, plain, unit_dimensions
from spikejoule.pricing.torch_private import TorchDispatchMode

Counts = Counter[str]
Tool = Literal["neurobench", "spikingjelly", "torch"]
CountOperation = Callable[[Any, tuple[Any, ...], Any], Counts]

NAMES: Final = {
    "neurobench": "NeuroBench",
    "spikingjelly": "SpikingJelly",
    "torch": "PyTorch",
}
# Operations that multiply matrices, and which arguments these are.
_MATRICES: Final = {"mm": (0, 1), "addmm": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2)}


@contextmanager
def count_as(tool: str, model: nn.Module) -> Iterator[Counts]:
    """Count as another tool does: ``with count_as("torch", model) as counts: ...``.

    Args:
        tool: ``neurobench``, ``spikingjelly`` or ``torch``.
        model: spiking or not.

    Returns:
        the counts of all calls inside, by the tool's names.

    Raises:
        ParameterError: the tool is not known.
    """
    if tool not in NAMES:
        raise ParameterError(f"tool is {tool!r}; allowed are {', '.join(NAMES)}")
    totals: Counts = Counter()
    with ExitStack() as stack:
        if tool == "neurobench":
            _hook_layers(model, totals, stack)
        else:
            count = _spikingjelly if tool == "spikingjelly" else _torch
            stack.enter_context(_OperationsOf(model, count, totals, stack))
        yield totals


def beside_ours(
    counts: dict[Tool, Counts], inputs: AnalysisInputs
) -> tuple[OtherCount, ...]:
    """Return the counts of other tools, each with the count here that it matches."""
    dense = inputs.activity.dense_operations_per_inference
    events = inputs.activity.synaptic_events_per_inference
    ours = {
        "Effective_ACs": ("synaptic events", events),
        "Effective_MACs": (
            "multiply-accumulates",
            inputs.value_macs_per_inference or 0,
        ),
        "Dense": ("dense operations", dense),
        "synaptic operations": ("synaptic events", events),
        "flops": ("dense operations without padding, two each", 2 * dense),
    }
    assert inputs.n_images is not None
    return tuple(
        OtherCount(NAMES[tool], quantity, total / inputs.n_images, *ours[quantity])
        for tool, totals in counts.items()
        for quantity, total in totals.items()
    )


def _hook_layers(model: nn.Module, totals: Counts, stack: ExitStack) -> None:
    """Add NeuroBench's counts of all layers with weights, until `stack` closes."""

    def add(layer: nn.Module, args: Any, out: Tensor) -> None:
        totals.update(_neurobench(layer, args[0]))

    for layer in model.modules():
        if isinstance(layer, WEIGHTED):
            stack.callback(layer.register_forward_hook(add).remove)


def _neurobench(layer: Any, x: Tensor) -> Counts:
    has_spikes = bool(((x == 0) | (x.abs() == 1)).all())
    effective = _synapses(layer, x != 0, layer.weight != 0)
    dense = _synapses(layer, torch.ones_like(x), torch.ones_like(layer.weight))
    return Counter(
        {
            "Dense": dense,
            "Effective_ACs": effective if has_spikes else 0,
            "Effective_MACs": 0 if has_spikes else effective,
        }
    )


def _synapses(layer: Any, x: Tensor, weight: Tensor) -> int:
    """Count the products of an input of 0 and 1 with weights of 0 and 1."""
    unit_shape = x.shape[x.ndim - unit_dimensions(layer) :]
    counting = plain(layer, weight.double())
    return int(counting.forward(x.double().reshape(-1, *unit_shape)).sum())


class _OperationsOf(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation that PyTorch runs inside a model."""

    def __init__(
        self, model: nn.Module, count: CountOperation, totals: Counts, stack: ExitStack
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._count = count
        self._totals = totals
        self._is_inside = False
        for handle in (
            model.register_forward_pre_hook(self._enter),
            model.register_forward_hook(self._leave, always_call=True),
        ):
            stack.callback(handle.remove)

    def _enter(self, model: nn.Module, args: Any) -> None:
        self._is_inside = True

    def _leave(self, model: nn.Module, args: Any, out: Any) -> None:
        self._is_inside = False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if self._is_inside:
            self._totals.update(self._count(function, args, out))
        return out


def _spikingjelly(function: Any, args: tuple[Any, ...], out: Any) -> Counts:
    name = function.__name__.partition(".")[0]
    if name in _MATRICES:
        left, right = (args[place] for place in _MATRICES[name])
        operations = _products_of_spikes(torch.matmul, left, right)
    elif name == "convolution":
        x, weight, _, *settings = args

        def without_bias(x: Tensor, weight: Tensor) -> Tensor:
            return torch.convolution(x, weight, None, *settings)

        operations = _products_of_spikes(without_bias, x, weight)
    else:
        return Counter()
    return Counter({"synaptic operations": operations})


def _products_of_spikes(
    multiply: Callable[[Tensor, Tensor], Tensor], left: Tensor, right: Tensor
) -> int:
    """Count the products of a side of zeros and ones; 0 if neither side is one."""
    are_spikes = [bool(((x == 0) | (x == 1)).all()) for x in (left, right)]
    if not any(are_spikes):
        return 0
    # A spike meets every number on the other side.
    counts = [
        (x if is_spikes else torch.ones_like(x)).double()
        for x, is_spikes in zip((left, right), are_spikes, strict=True)
    ]
    return int(multiply(*counts).sum())


def _torch(function: Any, args: tuple[Any, ...], out: Any) -> Counts:
    count = flop_registry.get(function.overloadpacket)
    return Counter() if count is None else Counter({"flops": count(*args, out_val=out)})
