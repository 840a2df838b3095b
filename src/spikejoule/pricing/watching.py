"""Count what happens in a running model: hooks see what enters and leaves its modules.

Only sums per sample are kept (`places`): what enters layers with weights, each unit
times its fan-out, and what neurons emit.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikejoule.core.errors import DataError
from spikejoule.network.nodes import Shape
from spikejoule.pricing.amounts import Amounts
from spikejoule.pricing.functions import UNSEEN, FunctionWatch, unwatched
from spikejoule.pricing.layers import (
    ADAPTIVE,
    AVERAGES,
    DROPOUT,
    DROPPING,
    MERGING,
    MOVING,
    NORMS,
    POOLING,
    VIEWING,
    WEIGHTED,
    unit_dimensions,
)
from spikejoule.pricing.neurons import Known
from spikejoule.pricing.omissions import Omissions
from spikejoule.pricing.parts import INPUT, ModelParts, Part, Role
from spikejoule.pricing.places import ModulePlace, Places
from spikejoule.pricing.products import Operand, Product
from spikejoule.pricing.tensors import (
    ANY_LAYOUT,
    BatchLayout,
    ModuleLayout,
    TensorContents,
    contents_of,
    find_tensor,
    first_tensor,
    memory_of,
    reading_of,
)
from spikejoule.pricing.traces import UNKNOWN, Trace, Traces


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a counted module.

    Attributes:
        part: the module.
        x, out: the tensors it took and returned, as the model has them.
        received, emitted: their contents as [T, B, units...]; neurons receive what has
            the shape of what they emit.
    """

    part: Part
    x: Tensor
    out: Tensor
    received: Tensor
    emitted: Tensor


class Sent(NamedTuple):
    """What a source sends to a place in a call."""

    source: str
    contents: TensorContents

    def add_to(self, place: ModulePlace) -> None:
        """Add it to the sources of a place."""
        amounts = place.sources.setdefault(self.source, Amounts())
        amounts.add(self.contents.spikes, self.contents.nonzero)


class Watch:
    """The counts of a running model.

    Attributes:
        known: what is known of its modules.
        records: whether the spikes themselves are kept.
        unknown: in words, by name: what ran, or has parameters, and is not counted.
        input_shape: of what enters the first layer, of one sample and step.
        sizes: samples of each batch.
        spikes: if it `records`, what populations emitted, [B, T, n] for each call, by
            name and batch.
    """

    def __init__(self, model: nn.Module, known: Known, records: bool = False) -> None:
        self.known = known
        self.records = records
        self.input_shape: Shape | None = None
        self.sizes: list[int] = []
        self.spikes: dict[str, dict[int, list[Tensor]]] = {}
        self._model = ModelParts(model, known)
        self.unknown = self._model.unknown
        self._layout = BatchLayout(self._model.is_time_second)
        self._places = Places(known.pruned, self.unknown)
        self._traces = Traces()
        self._functions = FunctionWatch(
            known.requantises, self._count_product, self._follow
        )
        # Places whose output functions have read or changed.
        self._read_by_functions: set[str] = set()
        self._watches_functions = True
        # Layers of products by name, and names by their place in the code.
        self._product_layers: dict[str, Any] = {}
        self._product_names: dict[Any, str] = {}
        # Places, sides and sources that have sent values: their whole numbers are
        # values, too.
        self._value_sources: set[tuple[str, str, str]] = set()

    @property
    def places(self) -> dict[str, ModulePlace]:
        """All places by name, in the order in which they first ran."""
        return self._places.by_name

    @property
    def n_samples(self) -> int:
        """N."""
        return sum(self.sizes)

    @property
    def not_counted(self) -> list[str]:
        """All of `unknown`, functions that are not counted, and unused weights."""
        ran = (place.module for place in self.places.values())
        omissions = Omissions(self._functions, ran).by_name(self._model.parts.values())
        return [*(omissions | self.unknown).values()]

    @property
    def has_taken_one_step(self) -> bool:
        """Whether some neurons took only one step in the last batch."""
        return any(
            place.took_one_step for place in self.places.values() if place.population
        )

    @property
    def is_order_guessed(self) -> bool:
        """Whether samples may have been mixed up with each other."""
        return self._layout.is_order_guessed

    def has_made_no_steps(self, n_steps: int) -> bool:
        """Whether neurons took all steps of the last batch as one.

        Neurons that decide once, behind others that take all steps, have not.
        """
        if n_steps in (0, 1):
            return False
        populations = [place for place in self.places.values() if place.population]
        in_one = [place for place in populations if place.took_one_step]
        takes_time_as_units = any(place.in_shape[:1] == (n_steps,) for place in in_one)
        return takes_time_as_units or len(in_one) == len(populations)

    @contextmanager
    def batch(
        self, n_samples: int, n_steps: int, time_axis: int | None
    ) -> Iterator[None]:
        """Count what runs inside.

        Args:
            n_samples: B.
            n_steps: T in whole tensors; 0 where the model makes the steps itself.
            time_axis: in the model's input; None without one.
        """
        self._layout.begin(n_samples, n_steps, time_axis)
        with ExitStack() as stack:
            if self._model.is_compiled:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            self._hook(stack)
            yield
        for place in self.places.values():
            for sums in place.sums:
                sums.end_batch(n_samples, self.n_samples)
        self.sizes.append(n_samples)

    def _hook(self, stack: ExitStack) -> None:
        """Hook all modules until `stack` closes."""
        hooks: dict[Role, Callable[..., None]] = {
            Role.COUNTED: self._count,
            Role.PASSING: self._pass_on,
            Role.OTHER: self._name_other,
        }
        # Watching functions is slow, and the first batch shows which there are.
        self._watches_functions = not self.sizes or self._functions.has_products
        if self._watches_functions:
            self._functions.origins.begin(self._model.root)
            stack.enter_context(self._functions)
        for part in self._model.parts.values():
            handles = []
            if self._watches_functions and part.functions is not None:
                handles += self._functions.follow(part)
            if part.role is not None:
                hook = unwatched(hooks[part.role])
                handles.append(
                    part.module.register_forward_hook(
                        hook, with_kwargs=True, prepend=True
                    )
                )
            for handle in handles:
                stack.callback(handle.remove)

    def _count(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Count a call of a layer, pooling, norm, ReLU or neurons."""
        part = self._model.parts[module]
        x = first_tensor((args, kwargs))
        if self._watches_functions:
            self._check_origin(part, x)
            self._functions.origins.end_call(module, out)
        out = first_tensor(out)
        emitted = self._layout.by_step(out, part.layout)
        # Only layers and pooling change the shape of one sample and step.
        received = emitted
        if isinstance(part.layer, (*WEIGHTED, *POOLING)):
            received = self._layout.by_step(x, part.layout)
        call = Call(part, x, out, received, emitted)
        population = part.population
        if population is None:
            self._count_units(call)
            return
        # A wiring only holds weights: its neurons are a module of their own.
        units = None if population.is_wiring else self._count_units(call)
        for side, layer in population.own_layers.items():
            weights = self._count_own_weights(call, side, layer)
            if units is not None:
                units.sources.setdefault(weights.name, Amounts())

    def _count_units(self, call: Call) -> ModulePlace:
        """Count what the units of a module receive and emit."""
        part = call.part
        shapes = (call.received.shape[2:], call.emitted.shape[2:])
        place = self._places.at(part.name, part.layer, shapes, part.population)
        place.steps.add_to_all(len(call.received))
        if place.fan_out is not None:
            self._receive(place, call.x, call.received)
        else:
            self._note_source(place, call)
        if isinstance(part.layer, WEIGHTED):
            # Sums are no output of their own: the neurons after them count theirs.
            self._traces.set(call.out, place.name, are_values=True)
        else:
            self._emit(place, call)
        return place

    def _note_source(self, place: ModulePlace, call: Call) -> None:
        """Note where units without synapses get their input from."""
        source = self._source_of(place, call.x).source
        population = call.part.population
        has_input_weights = population is not None and population.input is not None
        if not source or has_input_weights:
            return
        place.sources.setdefault(source, Amounts())
        if source == INPUT:
            by_step = self._layout.by_step(call.x, call.part.layout)
            self._receive(place, call.x, by_step)

    def _count_own_weights(self, call: Call, side: str, layer: Any) -> ModulePlace:
        """Count what enters weights that neurons hold themselves.

        Args:
            call: of the neurons.
            side: ``input`` for weights between their input and them, ``recurrent`` for
                weights between them.
            layer: these weights as a layer.
        """
        x = call.x if side == "input" else call.out
        entering = self._layout.by_step(x, call.part.layout)
        out_shape: Shape = call.received.shape[2:]
        if layer.weight.ndim == 2:
            out_shape = (*out_shape[:-1], len(layer.weight))
        place = self._places.at(
            f"{call.part.name}.{side}", layer, (entering.shape[2:], out_shape)
        )
        place.steps.add_to_all(len(entering))
        self._receive(place, x, entering)
        return place

    def _source_of(self, place: ModulePlace, x: Tensor) -> Trace:
        """Return the trace of what enters a place.

        A tensor without a trace is the model's input in the first place that ran, and
        wherever the input has entered before.
        """
        trace = self._traces.of(x)
        if trace.source:
            return trace
        if self.input_shape is None or INPUT in place.sources:
            return self._traces.set(x, INPUT, trace.are_values)
        return trace

    def _receive(self, place: ModulePlace, x: Tensor, by_step: Tensor) -> None:
        """Count what enters a place, and the synapses or windows it reaches there."""
        sent = self._sent_into(place, x, by_step)
        contents = sent.contents
        place.receives_values |= not contents.is_whole
        place.peak = max(place.peak, contents.peak)
        if place.fan_out is not None:
            place.count_reached(contents, by_step)
        sent.add_to(place)

    def _sent_into(
        self, place: ModulePlace, x: Tensor, by_step: Tensor, side: str = "left"
    ) -> Sent:
        """Return what enters a place, or one side of it, and from where."""
        trace = self._source_of(place, x)
        if not trace.source:
            # A function has computed it: give what it made a source, which later
            # readers of the same tensor share.
            trace = self._traces.set(x, f"before {place.name}", trace.are_values)
        source = trace.source
        if source == INPUT and self.input_shape is None:
            self.input_shape = by_step.shape[2:]
        # Once values, always values: a batch whose values all happen to be whole must
        # not be counted as spikes.
        had_values = (place.name, side, source) in self._value_sources
        contents = trace.contents
        reading = reading_of(x, by_step)
        if reading is None or reading != trace.reading:
            contents = None
        if contents is None or (had_values and contents.is_whole):
            contents = contents_of(by_step, trace.are_values or had_values)
        if not contents.is_whole:
            self._value_sources.add((place.name, side, source))
        return Sent(source, contents)

    def _emit(self, place: ModulePlace, call: Call) -> None:
        """Count what leaves a place for other places."""
        population = place.population
        if population is None:
            # Averages and normalised sums are values, even those that happen to be
            # whole.
            are_values = place.receives_values or self._traces.of(call.x).are_values
            are_values |= isinstance(place.module, (*NORMS, *AVERAGES, *ADAPTIVE))
        else:
            are_values = population.graded or not population.fires
        contents = contents_of(call.emitted, are_values)
        place.emits_values |= not (contents.is_whole or place.fires)
        place.emits_nearly_whole |= contents.is_nearly_whole and place.fires
        place.emitted.add(contents.spikes, contents.nonzero)
        reading = reading_of(call.out, call.emitted)
        trace = Trace(place.name, are_values, reading, contents)
        self._traces.put(call.out, trace)
        if self.records and place.fires:
            batches = self.spikes.setdefault(place.name, {})
            spikes = call.emitted.flatten(2).transpose(0, 1).float().cpu()
            batches.setdefault(len(self.sizes), []).append(spikes)

    def _pass_on(self, module: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Give the output of a module that changes no number the trace of its input.

        Dropout in training scales what it keeps: those numbers are values.
        """
        trace = self._traces.of(first_tensor((args, kwargs)))
        if trace is UNKNOWN or not isinstance(out, Tensor):
            return
        drops = isinstance(module, DROPOUT) and module.training and module.p > 0
        if drops or self._traces.of(out) is UNKNOWN:
            self._traces.set(out, trace.source, trace.are_values or drops)

    def _name_other(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Name a module that returns what no function and no module has made."""
        returned = find_tensor(out)
        if returned is None or not self._watches_functions:
            return
        if not self._functions.origins.are_seen(returned):
            part = self._model.parts[module]
            self.unknown.setdefault(part.name, part.words)
            self._functions.origins.add([returned], depends=True)

    def _follow(self, name: str, inputs: list[Tensor], out: Tensor) -> None:
        """Follow what a function reads, and whether it makes values."""
        name = name.strip("_")
        traces = [self._traces.of(x) for x in inputs]
        memory = memory_of(out)
        is_new = all(memory_of(x) != memory for x in inputs)
        if name in MERGING and inputs:
            self._layout.note_merge(inputs[0], out)
        if is_new or name not in VIEWING:
            self._read_by_functions.update(trace.source for trace in traces)
        makes_values = name in MOVING and any(trace.are_values for trace in traces)
        if is_new and (makes_values or name == DROPPING):
            self._traces.set(out, "", are_values=True)

    def fold_norms(self) -> None:
        """Fold norms into the layers before them, after the last batch."""
        self._places.fold_norms(self._read_by_functions)

    def _check_origin(self, part: Part, x: Tensor) -> None:
        """Name what enters a module, if no function and no module has made it."""
        if not self._functions.origins.are_seen(x) and x.any():
            name = f"what enters {part.name}"
            self.unknown.setdefault(name, f"{name} ({UNSEEN})")

    def _count_product(
        self, part: Part, product: Product, site: tuple[Any, ...], out: Any
    ) -> bool:
        """Count a product in a function.

        Args:
            part: the module that runs it.
            product: the product.
            site: the function's name, and where it was called.
            out: what it returned; None if that is not the product.

        Returns:
            whether it is counted: its samples were found.
        """
        population = part.population
        if population is not None and any(
            memory_of(layer.weight) == memory_of(product.right)
            for layer in population.own_layers.values()
        ):
            # Its `Population` counts it.
            return True
        name = self._name_of(part, product, site)
        count = self._count_sides if product.is_of_samples else self._count_weights
        try:
            place = count(name, product, out)
        except DataError:
            return False
        if out is not None:
            self._traces.set(out, place.name, are_values=True)
        return True

    def _name_of(self, part: Part, product: Product, site: tuple[Any, ...]) -> str:
        """Name a product by its weights or, without any, by its function."""
        right = product.right
        base = self._model.weight_names.get(right.untyped_storage())
        key: Any = (base, right.storage_offset())
        if base is None:
            base = f"{part.name}.{site[0]}"
            key = (base, *site)
        if key not in self._product_names:
            n_earlier = sum(base == other[0] for other in self._product_names)
            name = base if n_earlier == 0 else f"{base} {n_earlier + 1}"
            self._product_names[key] = name
        return self._product_names[key]

    def _count_weights(self, name: str, product: Product, out: Any) -> ModulePlace:
        """Count a product with weights, as a layer."""
        if name not in self._product_layers:
            self._product_layers[name] = product.as_layer()
        layer = self._product_layers[name]
        layout = ModuleLayout(unit_dimensions(layer))
        entering = self._layout.by_step(product.x, layout)
        out_shape: Shape = (*entering.shape[2:-1], product.right.shape[-1])
        if product.layer is not None:
            out_shape = self._layout.by_step(out, layout).shape[2:]
        place = self._places.at(name, layer, (entering.shape[2:], out_shape))
        place.steps.add_to_all(len(entering))
        self._receive(place, product.x, entering)
        return place

    def _count_sides(self, name: str, product: Product, out: Any) -> ModulePlace:
        """Count a product whose two sides depend on the samples.

        A pair of spikes that meet is an event. So is a spike that meets a value, which
        is added. Values that meet values are multiplied.
        """
        x, y = product.x, product.right
        # An empty tensor: only its shape is needed.
        heads = (x[..., :0, 0].sum(-1) + y[..., :0, 0].sum(-1)).shape
        by_step = self._layout.by_step
        left = by_step(x.expand(*heads, -1, -1), ANY_LAYOUT)
        right = by_step(y.expand(*heads, -1, -1), ANY_LAYOUT)
        out_shape: Shape = (*left.shape[2:-1], right.shape[-1])
        operand = Operand.of(torch.zeros(right.shape[2:]))
        place = self._places.at(name, operand, (left.shape[2:], out_shape))
        place.steps.add_to_all(len(left))
        sent_left = self._sent_into(place, x, left)
        sent_right = self._sent_into(place, y, right, "right")
        senders = [sent_left]
        reached = sent_left.contents.spikes * right.shape[-1]
        if sent_right.contents.is_whole and sent_left.contents.is_whole:
            senders = [sent_left, sent_right]
            # An entry on the left meets each entry in its row on the right.
            by_entry = left.abs().sum(-2, dtype=torch.float64)
            by_entry *= right.abs().sum(-1, dtype=torch.float64)
            reached = by_entry.flatten(2).sum(dim=(0, 2))
        elif sent_right.contents.is_whole:
            senders = [sent_right]
            reached = sent_right.contents.spikes * left.shape[-2]
        elif not sent_left.contents.is_whole:
            place.receives_values = True
        place.reached.add(reached, reached)
        for sender in senders:
            sender.add_to(place)
        return place
