"""Both passes of a chain as a function that PyTorch differentiates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.engine.differentiable.chain import Chain
from spikejoule.engine.differentiable.kernels.structures import Records
from spikejoule.engine.differentiable.passes import (
    AllowedShapes,
    KeptPass,
    LayerArrays,
    Needed,
    Passes,
)
from spikejoule.engine.differentiable.plan import Plan

Value = Tensor | float
"""A constant of neurons: one number, or one for each unit, with the layer's shape."""

SPIKE_TYPES = (torch.float32, torch.float64, torch.uint8, torch.bool)
"""Types of dense spikes."""


@dataclass(frozen=True)
class LayerValues:
    """Weights and constants of one layer; each tensor may require a gradient.

    Attributes:
        weight: [units, sources], or that of a `Conv2d`; None for `Currents`.
        bias: [units] or [channels]; None without.
        recurrent: [units, units], for a recurrent layer.
        keep: fraction of the potential left after a step.
        gain: factor on the input; not 0.
        threshold: above 0; ignored for neurons that never fire.
    """

    weight: Tensor | None
    bias: Tensor | None = None
    recurrent: Tensor | None = None
    keep: Value = 1.0
    gain: Value = 1.0
    threshold: Value = 1.0


@dataclass(frozen=True)
class ChainOutputs:
    """What a pass returns.

    Attributes:
        spikes: of the last layer, 0 or 1, [T, B, *shape]; None unless recorded.
        potentials: the same for its potentials.
        counts: spikes of the input and of every layer, over all steps and samples.
        events: returns the spikes of a layer by its number, or of the input, number 0;
            None for an input of currents.
    """

    spikes: Tensor | None
    potentials: Tensor | None
    counts: tuple[int, ...]
    events: Callable[[int], EventList | None]


class EventFunction:
    """Runs a chain on spikes, and differentiates it, with the event engine's kernels.

    It holds no parameters, only memory that its passes share; one instance serves one
    thread.

    Args:
        chain: the layers.
        dtype: `torch.float32` or `torch.float64`, of all tensors.

    Raises:
        ArtifactError: the layers do not fit each other.
    """

    def __init__(self, chain: Chain, dtype: torch.dtype = torch.float32) -> None:
        self.chain = chain
        self.dtype = dtype
        plan = Plan.of(chain, torch.empty(0, dtype=dtype).numpy().dtype)
        self._passes = Passes(plan)

    def __call__(
        self, inputs: Tensor | EventList, layers: Sequence[LayerValues]
    ) -> ChainOutputs:
        """Run all steps of a batch.

        What the backward pass needs is kept until the outputs are released.

        Args:
            inputs: spikes, zeros and ones [T, B, *in_shape], float32, float64, uint8 or
                bool; or their events. If the first layer has `Currents`, the currents
                [T, B, *in_shape], which may require a gradient.
            layers: values of each layer.

        Raises:
            ArtifactError: spikes other than 0 and 1, or a tensor with the wrong shape
                or type.
        """
        self._check_inputs(inputs)
        self._check_layers(layers)
        run = _Run(self.chain, self._passes, inputs, self.dtype)
        currents = inputs if self.chain.takes_currents else None
        values = [value for layer in layers for value in _values_of(layer)]
        apply: Any = _Differentiable.apply
        spikes, potentials = apply(run, currents, *values)
        return ChainOutputs(spikes, potentials, run.counts, run.events)

    @property
    def shapes(self) -> tuple[AllowedShapes, ...]:
        """Which shapes the values of each layer may have, by name; None without."""
        return self._passes.shapes

    def _check_inputs(self, inputs: Tensor | EventList) -> None:
        """Raise ArtifactError unless the input fits the chain."""
        chain = self.chain
        if isinstance(inputs, EventList):
            if inputs.currents is not None or inputs.n_inputs != chain.sizes[0]:
                raise ArtifactError(
                    f"the events are of {inputs.n_inputs} units; the model takes "
                    f"spikes of {chain.sizes[0]}"
                )
            return
        allowed = (self.dtype,) if chain.takes_currents else SPIKE_TYPES
        shape = tuple(inputs.shape)
        n_units = math.prod(shape[2:])
        if len(shape) < 3 or n_units != chain.sizes[0] or not math.prod(shape):
            raise ArtifactError(
                f"the input has the shape {shape}; the model takes (steps, samples, "
                f"{', '.join(map(str, chain.in_shape))})"
            )
        if inputs.dtype not in allowed or inputs.device.type != "cpu":
            names = ", ".join(str(kind) for kind in allowed)
            raise ArtifactError(
                f"the input is {inputs.dtype} on {inputs.device}; the model takes "
                f"{names} on the CPU"
            )
        if inputs.requires_grad and not chain.takes_currents:
            raise ArtifactError("input spikes require a gradient; they have none")

    def _check_layers(self, layers: Sequence[LayerValues]) -> None:
        """Raise ArtifactError unless the values fit the chain."""
        shapes = self._passes.shapes
        for number, (layer, allowed) in enumerate(
            zip(layers, shapes, strict=True), start=1
        ):
            for name, of_value in allowed.items():
                value = getattr(layer, name)
                if isinstance(value, float | int):
                    continue
                shape = None if value is None else tuple(value.shape)
                if shape not in of_value:
                    raise ArtifactError(
                        f"layer {number}: {name} has the shape {shape}; allowed: "
                        f"{', '.join(map(str, of_value))}"
                    )
                if value is not None and (
                    value.dtype != self.dtype or value.device.type != "cpu"
                ):
                    raise ArtifactError(
                        f"layer {number}: {name} is {value.dtype} on {value.device}; "
                        f"it must be {self.dtype} on the CPU"
                    )


def _values_of(layer: LayerValues) -> tuple[Value | None, ...]:
    """Return the fields of a layer's values."""
    return tuple(getattr(layer, field.name) for field in fields(layer))


class _Run:
    """One pass through a chain, and what its backward pass needs.

    Args:
        chain: the layers.
        passes: of the chain.
        inputs: of the batch.
        dtype: of real numbers.
    """

    def __init__(
        self,
        chain: Chain,
        passes: Passes,
        inputs: Tensor | EventList,
        dtype: torch.dtype,
    ) -> None:
        self._chain = chain
        self._passes = passes
        self._inputs = inputs
        self._dtype = dtype
        self._kept: KeptPass | None = None
        self.counts: tuple[int, ...] = ()
        if isinstance(inputs, EventList):
            self._batch_shape = (inputs.n_steps, inputs.n_samples)
        else:
            self._batch_shape = (inputs.shape[0], inputs.shape[1])

    def forward(
        self, values: Sequence[Value | None]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Run the chain; return recorded spikes and potentials."""
        chain = self._chain
        shape = (*self._batch_shape, *chain.shapes[-1])
        spikes = potentials = None
        if chain.records_spikes:
            spikes = torch.empty(shape, dtype=self._dtype)
        if chain.potentials is not None:
            potentials = torch.empty(shape, dtype=self._dtype)
        inputs = self._inputs
        kept = self._passes.forward(
            inputs if isinstance(inputs, EventList) else _array(inputs),
            self._layer_arrays(values),
            self._batch_shape,
            self._records(spikes, potentials),
        )
        self.counts = self._passes.counts(kept)
        self._kept = kept
        return spikes, potentials

    def events(self, number: int) -> EventList | None:
        """Return the spikes of a population, the input being number 0."""
        assert self._kept is not None
        return self._passes.events(self._kept, number)

    def _records(self, spikes: Tensor | None, potentials: Tensor | None) -> Records:
        nothing = torch.empty(0, dtype=self._dtype)
        return Records(
            *(
                _array(nothing if tensor is None else tensor).reshape(-1)
                for tensor in (spikes, potentials)
            )
        )

    def _layer_arrays(self, values: Sequence[Value | None]) -> list[LayerArrays]:
        """Return the arrays of each layer's values, of which there are N_VALUES."""
        arrays = []
        for first in range(0, len(values), N_VALUES):
            weight, bias, recurrent, keep, gain, threshold = (
                None if value is None else self._as_array(value)
                for value in values[first : first + N_VALUES]
            )
            assert keep is not None
            assert gain is not None
            assert threshold is not None
            arrays.append(LayerArrays(weight, bias, recurrent, keep, gain, threshold))
        return arrays

    def _as_array(self, value: Value) -> NDArray[Any]:
        if isinstance(value, Tensor):
            return _array(value)
        return _array(torch.tensor(value, dtype=self._dtype))

    def backward(
        self, spikes: Tensor | None, potentials: Tensor | None, needed: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients by the currents and by all values, in order.

        Args:
            spikes: gradient by the recorded spikes; None without.
            potentials: the same by the potentials.
            needed: which gradients are needed, in the order of those returned; others
                are None.
        """
        assert self._kept is not None
        needs_currents, *of_values = needed
        by_layer = [
            Needed(*of_values[first : first + N_VALUES])
            for first in range(0, len(of_values), N_VALUES)
        ]
        currents = None
        if needs_currents:
            currents = torch.empty(
                (*self._batch_shape, *self._chain.in_shape), dtype=self._dtype
            )
        into, _ = self._records(currents, None)
        slopes = self._records(spikes, potentials)
        layers = self._passes.backward(self._kept, slopes, into, by_layer)
        gradients = [
            getattr(layer, field.name) for layer in layers for field in fields(layer)
        ]
        return currents, *(
            None if gradient is None else torch.from_numpy(gradient)
            for gradient in gradients
        )


N_VALUES = len(fields(LayerArrays))


def _array(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's values as a contiguous array, bools as bytes."""
    if tensor.dtype == torch.bool:
        tensor = tensor.view(torch.uint8)
    array: NDArray[Any] = tensor.detach().contiguous().numpy()
    return array


class _Differentiable(torch.autograd.Function):
    """The passes of a run, for PyTorch."""

    @staticmethod
    def forward(
        ctx: Any, run: _Run, currents: Tensor | None, *values: Value | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Run the chain."""
        ctx.set_materialize_grads(False)
        ctx.run = run
        return run.forward(values)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, spikes: Tensor | None, potentials: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradient by each argument of `forward`."""
        return None, *ctx.run.backward(spikes, potentials, ctx.needs_input_grad[1:])
