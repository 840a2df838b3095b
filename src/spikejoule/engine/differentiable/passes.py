"""Both passes of a chain on arrays: memory, packing, and calls of the kernels."""

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import aligned_zeros, even_parts
from spikejoule.core.errors import ArtifactError
from spikejoule.data.events import offsets_of
from spikejoule.encoding.events import EventList, source_type
from spikejoule.engine.differentiable.kernels import backward, forward
from spikejoule.engine.differentiable.kernels.packing import (
    Transposition,
    take,
    transpose,
)
from spikejoule.engine.differentiable.kernels.structures import (
    CURRENTS,
    DENSE,
    EVENTS,
    N_SUMS,
    Batch,
    Gradients,
    Inputs,
    Kept,
    Records,
    Tables,
)
from spikejoule.engine.differentiable.plan import Plan, ValuePlaces, unpacking_of
from spikejoule.network.nodes import Shape

Array = NDArray[Any]

AllowedShapes = dict[str, tuple[Shape | None, ...]]

GROUP_SAMPLES = 4
"""Most samples whose weight gradients are added together: each row of the gradient is
then loaded once for all their spikes. It changes no result."""

GROUP_BYTES = 1 << 18
"""Memory for their deltas, so that the second-level cache holds these with the rest."""

SMALL = 1 << 14
"""Weights that one thread copies sooner than two."""


@dataclass(frozen=True)
class LayerArrays:
    """The values of one layer, or their gradients, as `function.LayerValues`.

    Attributes:
        weight, bias, recurrent: contiguous; None without.
        keep, gain, threshold: of one number, or one for each unit.
    """

    weight: Array | None
    bias: Array | None
    recurrent: Array | None
    keep: Array
    gain: Array
    threshold: Array


class Needed(NamedTuple):
    """Which values of a layer need a gradient; fields of :class:`LayerArrays`."""

    weight: bool
    bias: bool
    recurrent: bool
    keep: bool
    gain: bool
    threshold: bool

    @property
    def has_constants(self) -> bool:
        """Whether a constant of the neurons needs one."""
        return self.keep or self.gain or self.threshold


@dataclass(frozen=True)
class LayerGradients:
    """Gradients by the values of a layer, as :class:`LayerArrays`; None: not needed."""

    weight: Array | None = None
    bias: Array | None = None
    recurrent: Array | None = None
    keep: Array | None = None
    gain: Array | None = None
    threshold: Array | None = None


@dataclass(frozen=True)
class Memory:
    """What a forward pass leaves, and the size of its batch.

    Attributes:
        parameters: all weights, flat.
        kept: potentials and spikes.
        batch: its size, and its lanes.
    """

    parameters: Array
    kept: Kept
    batch: Batch


@dataclass(frozen=True, eq=False)
class KeptPass:
    """A forward pass for which a backward pass may follow.

    Attributes:
        memory: what it has left; free for another pass when this record is released.
        inputs: of the batch.
        layers: values of the layers.
    """

    memory: Memory
    inputs: Inputs
    layers: Sequence[LayerArrays]


class Passes:
    """Runs the passes of one chain.

    Args:
        plan: tables of the chain.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free: list[Memory] = []
        self._lanes: Gradients | None = None

    def forward(
        self,
        values: Array | EventList,
        layers: Sequence[LayerArrays],
        batch_shape: tuple[int, int],
        records: Records,
    ) -> KeptPass:
        """Run all steps of a batch.

        Args:
            values: dense spikes or currents, contiguous [T, B, ...]; or events.
            layers: values of each layer.
            batch_shape: T and B.
            records: receive the output.

        Raises:
            ArtifactError: dense spikes other than 0 and 1.
        """
        memory = self._memory(*batch_shape)
        inputs = self._inputs(values, memory)
        kept_pass = KeptPass(memory, inputs, layers)
        weakref.finalize(kept_pass, self._free.append, memory)
        for places, of_layer in zip(self._plan.values, layers, strict=True):
            _pack(places, of_layer, memory)
        lanes = memory.batch.bounds.size - 1
        wrong = np.zeros(lanes, np.uint8)
        arrays = (
            _plain(self._tables(memory)),
            tuple(memory.kept),
            tuple(inputs),
            tuple(memory.batch),
            tuple(records),
        )
        forward.run_lane(lanes, arrays, wrong)
        if wrong.any():
            raise ArtifactError("spikes must be 0 or 1; other values were found")
        return kept_pass

    def counts(self, kept_pass: KeptPass) -> tuple[int, ...]:
        """Return the spikes of the input and of every layer."""
        inputs = kept_pass.inputs
        memory = kept_pass.memory
        n_steps = memory.batch.n_steps
        lanes = np.arange(memory.batch.bounds.size - 1)
        # A lane's first row begins where its spikes do, and its last row ends there.
        firsts = memory.batch.bounds[:-1] * n_steps + lanes
        ends = memory.batch.bounds[1:] * n_steps + lanes
        offsets = memory.kept.offsets
        counts = (offsets[:, ends] - offsets[:, firsts]).sum(axis=1).tolist()
        if inputs.kind == EVENTS:
            counts[0] = inputs.sources.size
        if inputs.kind == CURRENTS:
            counts[0] = 0
        return tuple(counts)

    def events(self, kept_pass: KeptPass, number: int) -> EventList | None:
        """Return the spikes of a population, the input being number 0.

        None for an input of currents.
        """
        memory = kept_pass.memory
        n_units = self._plan.chain.sizes[number]
        if number > 0:
            return _joined_lanes(memory, number, n_units)
        inputs = kept_pass.inputs
        if inputs.kind == DENSE:
            return _joined_lanes(memory, 0, n_units)
        if inputs.kind == CURRENTS:
            return None
        batch = memory.batch
        return EventList(
            inputs.sources, inputs.offsets, batch.n_samples, batch.n_steps, n_units
        )

    @cached_property
    def shapes(self) -> tuple[AllowedShapes, ...]:
        """Which shapes the values of each layer may have, by name."""
        plan = self._plan
        allowed: list[AllowedShapes] = []
        for number, layer in enumerate(plan.chain.layers):
            out_shape = plan.chain.shapes[number + 1]
            connection = plan.layout.forward[number].connection
            has_synapses = not (number == 0 and plan.chain.takes_currents)
            weight = connection.weight_shape if has_synapses else None
            bias = (None, connection.weight_shape[:1]) if has_synapses else (None,)
            n_units = math.prod(out_shape)
            constants = ((), (1,), out_shape)
            allowed.append(
                {
                    "weight": (weight,),
                    "bias": bias,
                    "recurrent": ((n_units, n_units) if layer.recurrent else None,),
                    "keep": constants,
                    "gain": constants,
                    "threshold": constants,
                }
            )
        return tuple(allowed)

    def _memory(self, n_steps: int, n_samples: int) -> Memory:
        """Take memory of an earlier pass that is free, or make some."""
        lanes = min(numba.get_num_threads(), n_samples)
        bounds = even_parts(n_samples, lanes)
        for number, memory in enumerate(self._free):
            batch = memory.batch
            if (batch.n_steps, batch.n_samples) == (n_steps, n_samples) and (
                batch.bounds.size == bounds.size
            ):
                return self._free.pop(number)
        # Memory of other sizes is not needed again soon.
        self._free.clear()
        plan = self._plan
        return Memory(
            parameters=aligned_zeros((plan.layout.size,), plan.dtype),
            kept=plan.new_kept(n_samples, n_steps, lanes),
            batch=Batch(n_samples, n_steps, bounds),
        )

    def _inputs(self, values: Array | EventList, memory: Memory) -> Inputs:
        kept = memory.kept
        if isinstance(values, EventList):
            sources = values.sources.astype(self._plan.source_type, copy=False)
            nothing = np.empty(0, self._plan.dtype)
            return Inputs(EVENTS, nothing, sources, values.offsets, 0)
        kind = CURRENTS if self._plan.chain.takes_currents else DENSE
        return Inputs(kind, values.reshape(-1), kept.sources, kept.offsets[0], 1)

    def _tables(self, memory: Memory) -> Tables:
        tables = self._plan.tables
        chain = tables.chain._replace(parameters=memory.parameters)
        return tables._replace(chain=chain)

    def backward(
        self,
        kept_pass: KeptPass,
        slopes: Records,
        currents: Array,
        needed: Sequence[Needed],
    ) -> list[LayerGradients]:
        """Return the gradients by the values of every layer.

        Args:
            kept_pass: the forward pass.
            slopes: gradient by its records.
            currents: receives the gradient by currents; empty if they need none.
            needed: of each layer.
        """
        memory = kept_pass.memory
        plan = self._plan
        tables = self._tables(memory)
        parts = _parts(tables.transposed)
        places = plan.transposed_from
        take(parts, parts, memory.parameters, places, tables.transposed)
        lanes = memory.batch.bounds.size - 1
        gradients = self._gradients(lanes)._replace(
            currents=currents,
            has_constants=np.array([layer.has_constants for layer in needed], np.int64),
        )
        arrays = (
            _plain(tables),
            tuple(memory.kept),
            tuple(kept_pass.inputs),
            tuple(memory.batch),
            tuple(slopes),
            tuple(gradients),
            self._group(memory.batch.n_steps),
        )
        backward.add_lane(lanes, arrays)
        by_neuron = gradients.neurons.sum(axis=0)
        return [
            _unpack(places, layer, of_layer, gradients.parameters, by_neuron)
            for places, layer, of_layer in zip(
                plan.values, kept_pass.layers, needed, strict=True
            )
        ]

    def _group(self, n_steps: int) -> int:
        """Return how many samples add their gradients together."""
        plan = self._plan
        deltas = plan.elements * n_steps * plan.dtype.itemsize
        return max(1, min(GROUP_BYTES // deltas, GROUP_SAMPLES))

    def _gradients(self, lanes: int) -> Gradients:
        """Return memory for the gradients of so many lanes."""
        if self._lanes is None or len(self._lanes.parameters) != lanes:
            plan = self._plan
            self._lanes = Gradients(
                parameters=aligned_zeros((lanes, plan.layout.size), plan.dtype),
                neurons=aligned_zeros((lanes, N_SUMS * plan.elements), plan.dtype),
                currents=np.empty(0, plan.dtype),
                has_constants=np.empty(0, np.int64),
            )
        return self._lanes


def _joined_lanes(memory: Memory, number: int, n_units: int) -> EventList:
    """Copy the spikes of a population, of which each lane has written its own."""
    batch = memory.batch
    sources = [np.empty(0, source_type(n_units))]
    lengths = []
    for lane, (first, end) in enumerate(
        pairwise((batch.bounds * batch.n_steps).tolist())
    ):
        # A lane has one offset more than it has rows.
        offsets = memory.kept.offsets[number, first + lane : end + lane + 1]
        sources.append(memory.kept.sources[offsets[0] : offsets[-1]])
        lengths.append(np.diff(offsets))
    return EventList(
        np.concatenate(sources, dtype=source_type(n_units)),
        offsets_of(np.concatenate(lengths)),
        batch.n_samples,
        batch.n_steps,
        n_units,
    )


def _plain(tables: Tables) -> tuple[Any, ...]:
    """Return plain tuples: numba looks up their types faster."""
    return (tuple(tables.chain), *tables[1:])


def _plain_task(task: Transposition) -> tuple[Any, ...]:
    return tuple(tuple(x) if isinstance(x, tuple) else x for x in task)


def _parts(numbers: Array) -> int:
    return 1 if numbers.size < SMALL else numba.get_num_threads()


def _pack(places: ValuePlaces, layer: LayerArrays, memory: Memory) -> None:
    """Copy the values of a layer to where the kernels read them."""
    flat = memory.parameters
    if layer.weight is not None:
        _pack_weights(layer.weight, places.weight, flat)
    if layer.recurrent is not None:
        assert places.recurrent is not None
        _pack_weights(layer.recurrent, places.recurrent, flat)
    bias = places.bias
    bias.view(flat)[...] = 0 if layer.bias is None else layer.bias.reshape(bias.axes)
    rows = places.rows(memory.kept.constants)
    elements = places.elements
    # A constant of each unit has the shape of the layer.
    rows[0, elements] = layer.keep.reshape(-1)
    rows[1, elements] = layer.gain.reshape(-1)
    if places.dynamics.surrogate is None:
        return
    threshold = layer.threshold.reshape(-1)
    rows[2, elements] = threshold
    # The next larger number fires if the threshold itself does not.
    fires_at = threshold
    if not places.dynamics.fires_at_threshold:
        fires_at = np.nextafter(fires_at, fires_at.dtype.type(np.inf))
    rows[3, elements] = fires_at


def _unpack(
    places: ValuePlaces,
    layer: LayerArrays,
    needed: Needed,
    lanes: Array,
    by_neuron: Array,
) -> LayerGradients:
    """Return the gradients of a layer."""
    by_input, by_keep, by_gain, by_threshold = places.rows(by_neuron)[
        :, places.elements
    ]
    weight = bias = recurrent = keep = gain = threshold = None
    if needed.weight:
        assert layer.weight is not None
        weight = _unpack_weights(layer.weight, places.weight, lanes)
    if needed.bias:
        assert layer.bias is not None
        bias = by_input.reshape(layer.bias.size, -1).sum(axis=1)
    if needed.recurrent:
        assert layer.recurrent is not None
        assert places.recurrent is not None
        recurrent = _unpack_weights(layer.recurrent, places.recurrent, lanes)
    if needed.keep:
        keep = _as_value(by_keep, layer.keep)
    if needed.gain:
        gain = _as_value(by_gain / layer.gain.reshape(-1), layer.gain)
    if needed.threshold:
        threshold = _as_value(by_threshold, layer.threshold)
    return LayerGradients(weight, bias, recurrent, keep, gain, threshold)


def _pack_weights(weights: Array, packing: Transposition, flat: Array) -> None:
    parts = _parts(weights)
    transpose(parts, parts, weights.reshape(-1), _plain_task(packing), flat)


def _unpack_weights(weights: Array, packing: Transposition, lanes: Array) -> Array:
    parts = _parts(weights)
    out = np.empty(weights.shape, weights.dtype)
    task = _plain_task(unpacking_of(packing, lanes))
    transpose(parts, parts, lanes.reshape(-1), task, out.reshape(-1))
    return out


def _as_value(by_unit: Array, value: Array) -> Array:
    """Return the gradient of a constant from that of each unit."""
    if value.size == 1:
        return np.full(value.shape, by_unit.sum(), value.dtype)
    return by_unit.reshape(value.shape)
