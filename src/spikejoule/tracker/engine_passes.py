"""Passes of an accelerated model, counted from the engine's events.

The places, and all their counts, are those of the model itself in the same passes.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from spikejoule.accelerating.accelerated import Accelerated
from spikejoule.accelerating.passes import EnginePass
from spikejoule.accelerating.stages import Stage, plain_call
from spikejoule.core.errors import ParameterError
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.events import EventList
from spikejoule.network.nodes import Shape
from spikejoule.pricing.counting.modules import ModuleCounter, Sent
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.neurons import Known, Population
from spikejoule.pricing.modules.parts import INPUT, Part
from spikejoule.pricing.running.samples import TimeAxis
from spikejoule.pricing.tensors.amounts import Counts
from spikejoule.pricing.tensors.contents import TensorContents, contents_of
from spikejoule.pricing.watching.watch import Watch
from spikejoule.tracker.passes import Passes, check_precision


@dataclass(frozen=True, eq=False)
class Signal:
    """What a population, or pooling, sends in a pass.

    Attributes:
        source: the name of its place.
        shape: of one sample and step.
        events: its spikes; None for real numbers.
        values: these, [T, B, *shape]; None for spikes.
    """

    source: str
    shape: Shape
    events: EventList | None = None
    values: Tensor | None = None

    @cached_property
    def by_unit(self) -> Counts:
        """The spikes of each unit in each sample, [B, n]."""
        assert self.events is not None
        return class_counts(self.events)

    @property
    def dense(self) -> Tensor:
        """What is sent in each step, [T, B, *shape]."""
        if self.values is not None:
            return self.values
        assert self.events is not None
        dense: Tensor = torch.from_numpy(self.events.to_dense())
        return dense.transpose(0, 1).reshape(*dense.shape[1::-1], *self.shape)


class EventCounter:
    """Counts a pass of the engine at the places of a watch.

    Args:
        watch: of the model.
        passed: the pass.
    """

    def __init__(self, watch: Watch, passed: EnginePass) -> None:
        self._watch = watch
        self._calls: ModuleCounter = watch.calls
        self._passed = passed
        self._shapes = passed.shapes

    def count(self) -> None:
        """Count all stages of the model."""
        passed = self._passed
        sent = Signal(INPUT, self._shapes[0], passed.outputs.events(0), passed.values)
        if self._calls.input_shape is None:
            self._calls.input_shape = sent.shape
        for number, stage in enumerate(passed.plan.stages, start=1):
            if stage.pooling is not None:
                sent = self._pool(self._watch.part(stage.pooling.module), sent)
            if stage.connection is not None:
                part = self._watch.part(stage.connection.module)
                place = self._enter(part, part.layer, sent.shape, self._shapes[number])
                self._receive(place, sent)
                sent = Signal(place.name, place.out_shape)
            if stage.neurons is not None:
                sent = self._fire(number, stage, sent)

    def _enter(
        self,
        part: Part,
        layer: nn.Module,
        in_shape: Shape,
        out_shape: Shape,
        side: str = "",
    ) -> ModulePlace:
        """Return the place of a module, or of weights that neurons hold."""
        passed = self._passed
        # Only the shape of what it receives is read, so it needs no memory.
        received = torch.zeros(()).expand(passed.n_steps, passed.n_samples, *in_shape)
        name = f"{part.name}.{side}" if side else part.name
        population = None if side else part.population
        return self._calls.places.enter(name, layer, received, out_shape, population)

    def _receive(self, place: ModulePlace, sent: Signal) -> None:
        """Count what enters a place."""
        if sent.values is None:
            self._calls.add_events(place, sent.source, sent.by_unit)
            return
        had_values = self._calls.has_sent_values(place, sent.source)
        contents = contents_of(sent.values, had_values)
        self._calls.note_values(place, sent.source, contents)
        self._calls.add_received(place, Sent(sent.source, contents), sent.values)

    def _pool(self, part: Part, sent: Signal) -> Signal:
        """Count pooling; return what it sends."""
        dense = sent.dense
        pool = plain_call(part.layer, nn.AvgPool2d, nn.LPPool2d)
        with torch.no_grad():
            pooled = torch.unflatten(pool(dense.flatten(0, 1)), 0, dense.shape[:2])
        shape = tuple(pooled.shape[2:])
        place = self._enter(part, part.layer, sent.shape, shape)
        self._receive(place, sent)
        are_values = self._calls.emits_values(place, self._calls.traces.of(dense))
        self._calls.add_emitted(place, contents_of(pooled, are_values))
        return Signal(place.name, shape, values=pooled)

    def _fire(self, number: int, stage: Stage, sent: Signal) -> Signal:
        """Count the neurons of a stage; return their spikes."""
        assert stage.neurons is not None
        part = self._watch.part(stage.neurons.module)
        population = self._population(part, stage)
        inner = self._inner(part) if population.is_wiring else part
        shape = self._shapes[number]
        units = self._enter(inner, inner.layer, shape, shape)
        if population.input is None and inner is part:
            units.source(sent.source)
            if sent.source == INPUT:
                self._receive(units, sent)
        fired = Signal(units.name, shape, self._passed.outputs.events(number))
        self._emit(units, fired)
        self._count_own_weights(part, population, sent, fired, units)
        return fired

    def _population(self, part: Part, stage: Stage) -> Population:
        """Return what neurons are; refuse those that cannot be counted."""
        population = part.population
        if population is None:
            raise ParameterError(_unknown(part))
        is_recurrent = stage.cell.recurrent is not None
        if is_recurrent and "recurrent" not in population.own_layers:
            raise ParameterError(
                f"track does not count the recurrent weights of {part.name} "
                f"({type(part.module).__name__}) in an accelerated model: track the "
                "model itself."
            )
        return population

    def _inner(self, part: Part) -> Part:
        """Return the neurons inside a wiring.

        Raises ParameterError if there are none that are known.
        """
        for module in part.module.children():
            inner = self._watch.part(module)
            if inner.population is not None:
                return inner
        raise ParameterError(_unknown(part))

    def _emit(self, units: ModulePlace, fired: Signal) -> None:
        """Count what neurons emit: spikes, or the potentials of a readout."""
        if units.fires:
            by_sample = fired.by_unit.sum(axis=1)
            self._calls.add_emitted(units, TensorContents(by_sample, by_sample))
            return
        recorded = self._passed.plan.recorded(self._passed.outputs)
        potentials = recorded["potentials"].detach()
        self._calls.add_emitted(units, contents_of(potentials, are_values=True))

    def _count_own_weights(
        self,
        part: Part,
        population: Population,
        sent: Signal,
        fired: Signal,
        units: ModulePlace,
    ) -> None:
        """Count what enters weights that neurons hold themselves."""
        for side, layer in population.own_layers.items():
            entering = sent if side == "input" else fired
            place = self._enter(part, layer, entering.shape, fired.shape, side)
            self._receive(place, entering)
            if not population.is_wiring:
                units.source(place.name)


def _unknown(part: Part) -> str:
    kind = type(part.module).__name__
    return (
        f"track does not know the neurons of {part.name}: give it "
        f"neurons={{{kind}: Population(...)}}."
    )


class EnginePassCounter:
    """Counts the passes of an accelerated model.

    Attributes:
        training, apart: passes that train, and all others.
    """

    def __init__(self, fast: Accelerated, known: Known, time_axis: TimeAxis) -> None:
        self.training = Passes(fast.model, known)
        self.apart = Passes(fast.model, known)
        self._fast = fast
        self._time_axis = time_axis

    def hooked(self) -> ExitStack:
        """Observe the model, until the returned stack is closed."""
        observing = ExitStack()
        observing.enter_context(self._fast.observed(self._count))
        return observing

    def _count(self, passed: EnginePass) -> None:
        """Count a pass.

        Raises:
            ParameterError: it is in mixed precision, has another time axis than was
                said, or neurons that are not known.
        """
        check_precision(self._fast)
        axis = "none" if passed.layout.time is None else passed.layout.time
        if axis in (0, 1, "none") and axis != self._time_axis:
            raise ParameterError(
                f"time_axis is {self._time_axis!r}, but the accelerated model takes "
                f"samples with time_axis={axis!r}."
            )
        trains = self._fast.training and torch.is_grad_enabled()
        passes = self.training if trains else self.apart
        passes.begin(passed.n_samples, passed.n_steps, 0)
        EventCounter(passes.watch, passed).count()
        passes.n_steps = max(passes.n_steps, passed.n_steps)
        passes.end()
