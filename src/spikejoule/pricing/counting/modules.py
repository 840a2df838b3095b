"""Count calls: what enters layers with weights, and what units emit.

Only sums per sample are kept (`places`): what enters layers with weights, each unit
times its fan-out, and what neurons emit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from spikejoule.network.nodes import Shape
from spikejoule.pricing.counting.places import ModulePlace, Places
from spikejoule.pricing.modules.axes import BatchLayout
from spikejoule.pricing.modules.layers import (
    MAKE_VALUES,
    NORMS,
    POOLING,
    WEIGHTED,
    OverTime,
)
from spikejoule.pricing.modules.parts import INPUT, Part
from spikejoule.pricing.tensors.amounts import Counts
from spikejoule.pricing.tensors.contents import TensorContents, contents_of, reading_of
from spikejoule.pricing.tensors.traces import Trace, Traces


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a counted module.

    Attributes:
        part: the module.
        x, out: the tensors it took and returned, as the model has them.
        received, emitted: their contents as [T, B, units...]; neurons receive what has
            the shape of what they emit.
        took_whole_time: whether it took all steps at once, on an axis of their own.
    """

    part: Part
    x: Tensor
    out: Tensor
    received: Tensor
    emitted: Tensor
    took_whole_time: bool


class Sent(NamedTuple):
    """What a source sends to a place in a call."""

    source: str
    contents: TensorContents

    def add_to(self, place: ModulePlace) -> None:
        """Add it to the sources of a place."""
        contents = self.contents
        place.receives_values |= not contents.is_whole
        place.peak = max(place.peak, contents.peak)
        place.source(self.source).add(contents.spikes, contents.nonzero)


class ModuleCounter:
    """Counts calls of modules and functions.

    Attributes:
        places: what was counted.
        layout: of the tensors in this batch.
        traces: of its tensors.
        records: whether the spikes themselves are kept.
        input_shape: of what enters the first layer, of one sample and step.
        spikes: if it `records`, what populations emitted, [B, T, n] for each call, by
            name and batch.
    """

    def __init__(self, places: Places, layout: BatchLayout, records: bool) -> None:
        self.places = places
        self.layout = layout
        self.traces = Traces()
        self.records = records
        self.input_shape: Shape | None = None
        self.spikes: dict[str, dict[int, list[Tensor]]] = {}
        # Places, sides and sources that have sent values: their whole numbers are
        # values, too.
        self._value_sources: set[tuple[str, str, str]] = set()

    @property
    def n_samples(self) -> int:
        """N."""
        return sum(self.places.sizes)

    def count(self, call: Call) -> ModulePlace | None:
        """Count a call of a layer, pooling, norm, ReLU or neurons.

        Returns:
            the place of its units; None for a wiring, which has none.
        """
        population = call.part.population
        if population is None:
            return self._count_units(call)
        # A wiring only holds weights: its neurons are a module of their own.
        units = None if population.is_wiring else self._count_units(call)
        for side, layer in population.own_layers.items():
            weights = self._count_own_weights(call, side, layer)
            if units is not None:
                units.source(weights.name)
        return units

    def _count_units(self, call: Call) -> ModulePlace:
        """Count what the units of a module receive and emit."""
        part = call.part
        out_shape = call.emitted.shape[2:]
        place = self.places.enter(
            part.name, part.layer, call.received, out_shape, part.population
        )
        if place.fan_out is not None:
            self.receive(place, call.x, call.received)
            if call.took_whole_time and self.traces.of(call.x).source == INPUT:
                place.whole_inputs += 1
        else:
            self._note_source(place, call)
        if isinstance(part.layer, WEIGHTED) or place.rescales_sums:
            # Sums are no output of their own: the neurons after them count theirs.
            self.traces.set(call.out, place.name, are_values=True)
        else:
            self._emit(place, call)
        return place

    def _note_source(self, place: ModulePlace, call: Call) -> None:
        """Note where units without synapses get their input from."""
        source = self._source_of(place, call.x).source
        population = call.part.population
        has_weights = population is not None and (
            population.input is not None or population.over_time is not None
        )
        if not source or has_weights:
            return
        is_first = not place.sources
        place.source(source)
        if is_first and isinstance(place.module, NORMS):
            place.rescales_sums = self.places.layer_before(place) is not None
        if source == INPUT:
            by_step = self.layout.by_step(call.x, call.part.layout)
            self.receive(place, call.x, by_step)

    def _count_own_weights(self, call: Call, side: str, layer: Any) -> ModulePlace:
        """Count what enters weights that neurons hold themselves.

        Args:
            call: of the neurons.
            side: ``input`` for weights between their input and them, ``over_time`` for
                those between steps, ``recurrent`` for weights between them.
            layer: these weights as a layer.
        """
        x = call.out if side == "recurrent" else call.x
        entering = self.layout.by_step(x, call.part.layout)
        out_shape: Shape = call.received.shape[2:]
        if side != "over_time" and layer.weight.ndim == 2:
            out_shape = (*out_shape[:-1], len(layer.weight))
        name = f"{call.part.name}.{side}"
        place = self.places.enter(name, layer, entering, out_shape)
        if isinstance(layer, OverTime):
            self._receive_over_time(place, layer, x, entering)
        else:
            self.receive(place, x, entering)
        return place

    def _receive_over_time(
        self, place: ModulePlace, layer: OverTime, x: Tensor, by_step: Tensor
    ) -> None:
        """Count what enters weights between steps; later inputs may reach fewer."""
        sent = self.sent_into(place, x, by_step)
        are_values = not sent.contents.is_whole
        products = layer.products(len(by_step), self.places.pruned)
        for step, n_products in zip(by_step, products, strict=True):
            contents = contents_of(step[None], are_values)
            spikes, nonzero = contents.spikes, contents.nonzero
            place.reached.add(n_products * spikes, n_products * nonzero)
        sent.add_to(place)

    def _source_of(self, place: ModulePlace, x: Tensor) -> Trace:
        """Return the trace of what enters a place.

        A tensor without a trace is the model's input in the first place that ran, and
        wherever the input has entered before.
        """
        trace = self.traces.of(x)
        if trace.source:
            return trace
        if self.input_shape is None or INPUT in place.sources:
            return self.traces.set(x, INPUT, trace.are_values)
        return trace

    def receive(self, place: ModulePlace, x: Tensor, by_step: Tensor) -> None:
        """Count what enters a place, and the synapses or windows it reaches there."""
        self.add_received(place, self.sent_into(place, x, by_step), by_step)

    def add_received(
        self, place: ModulePlace, sent: Sent, by_step: Tensor | Sequence[Tensor]
    ) -> None:
        """Add what enters a place: a tensor [T, B, units...], or its steps."""
        contents = sent.contents
        if place.fan_out is not None:
            place.count_reached(contents, by_step)
            if self.places.notes_fired and not isinstance(place.module, POOLING):
                place.note_fired(by_step, contents.is_binary)
        sent.add_to(place)

    def add_events(self, place: ModulePlace, source: str, by_unit: Counts) -> None:
        """Add spikes that enter a place, given those of each unit, [B, n]."""
        by_sample = by_unit.sum(axis=1)
        had_values = self.has_sent_values(place, source)
        contents = TensorContents(by_sample, by_sample, is_whole=not had_values)
        if place.fan_out is not None:
            place.count_events(by_unit, by_sample)
        Sent(source, contents).add_to(place)

    def has_sent_values(
        self, place: ModulePlace, source: str, side: str = "left"
    ) -> bool:
        """Whether a source has sent values to a place: then it always does.

        A batch whose values all happen to be whole must not be counted as spikes.
        """
        return (place.name, side, source) in self._value_sources

    def note_values(
        self,
        place: ModulePlace,
        source: str,
        contents: TensorContents,
        side: str = "left",
    ) -> None:
        """Note that a source has sent values to a place, if it has."""
        if not contents.is_whole:
            self._value_sources.add((place.name, side, source))

    def sent_into(
        self, place: ModulePlace, x: Tensor, by_step: Tensor, side: str = "left"
    ) -> Sent:
        """Return what enters a place, or one side of it, and from where."""
        trace = self._source_of(place, x)
        if not trace.source:
            # A function has computed it: give what it made a source, which later
            # readers of the same tensor share.
            trace = self.traces.set(x, f"before {place.name}", trace.are_values)
        source = trace.source
        if source == INPUT and self.input_shape is None:
            self.input_shape = by_step.shape[2:]
        had_values = self.has_sent_values(place, source, side)
        contents = trace.contents
        reading = reading_of(x, by_step)
        if reading is None or reading != trace.reading:
            contents = None
        if contents is None or (had_values and contents.is_whole):
            contents = contents_of(by_step, trace.are_values or had_values)
        self.note_values(place, source, contents, side)
        return Sent(source, contents)

    def emits_values(self, place: ModulePlace, received: Trace) -> bool:
        """Whether what units emit are values, even those that happen to be whole."""
        population = place.population
        if population is not None:
            return population.graded or not population.fires
        are_values = place.receives_values or received.are_values
        return are_values or isinstance(place.module, (*NORMS, *MAKE_VALUES))

    def add_emitted(self, place: ModulePlace, contents: TensorContents) -> None:
        """Add what leaves a place."""
        place.emits_values |= not (contents.is_whole or place.fires)
        place.emits_nearly_whole |= contents.is_nearly_whole and place.fires
        place.emitted.add(contents.spikes, contents.nonzero)

    def _emit(self, place: ModulePlace, call: Call) -> None:
        """Count what leaves a place for other places."""
        are_values = self.emits_values(place, self.traces.of(call.x))
        contents = contents_of(call.emitted, are_values)
        self.add_emitted(place, contents)
        reading = reading_of(call.out, call.emitted)
        trace = Trace(place.name, are_values, reading, contents)
        self.traces.put(call.out, trace)
        if self.records and place.fires:
            batches = self.spikes.setdefault(place.name, {})
            spikes = call.emitted.flatten(2).transpose(0, 1).float().cpu()
            batches.setdefault(len(self.places.sizes), []).append(spikes)
