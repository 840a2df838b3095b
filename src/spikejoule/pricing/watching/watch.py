"""Count what happens in a running model: decide what counts each module and function.

`FunctionWatch` sees both. A `ModuleCounter` counts calls of modules, and functions that
do what a module does (`like_modules`); a `ProductCounter` counts other products in
functions.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn, no_grad

from spikejoule.core.errors import DataError, ParameterError
from spikejoule.pricing.counting.modules import Call, ModuleCounter
from spikejoule.pricing.counting.places import ModulePlace, Places
from spikejoule.pricing.counting.products import ProductCounter
from spikejoule.pricing.counting.repeated import RepeatedCalls
from spikejoule.pricing.functions.calls import FunctionCall
from spikejoule.pricing.functions.kinds import (
    DROPPING,
    EXPOSING,
    JOINING,
    MERGING,
    MOVING,
    VIEWING,
)
from spikejoule.pricing.functions.like_modules import LIKE_MODULES, FunctionParts
from spikejoule.pricing.functions.origins import Origins
from spikejoule.pricing.functions.watch import UNSEEN, FunctionWatch
from spikejoule.pricing.modules.axes import BatchLayout
from spikejoule.pricing.modules.layers import DROPOUT, POOLING, WEIGHTED
from spikejoule.pricing.modules.neurons import Known
from spikejoule.pricing.modules.parts import Functions, ModelParts, Omission, Part, Role
from spikejoule.pricing.tensors.nested import (
    find_tensor,
    first_tensor,
    memory_of,
    tensors_in,
)
from spikejoule.pricing.tensors.traces import UNKNOWN
from spikejoule.pricing.watching.omissions import omissions
from spikejoule.pricing.watching.unknown_neurons import UnknownNeurons

MOVED_FRACTION: Final = 0.005
"""Of a sample's spikes at a place, the part that rounding may move."""
_COMPILER: Final = "torch._dynamo"


class Watch:
    """The counts of a running model.

    Attributes:
        known: what is known of its modules.
        layout: of the tensors in this batch.
        last_counted: the part that was counted last; None before.
        calls: counts what enters and leaves the modules.
        unknown: by name: what ran, or has parameters, and is not counted.
    """

    def __init__(
        self,
        model: nn.Module,
        known: Known,
        records: bool = False,
        needs_samples: bool = True,
    ) -> None:
        """Start without counts.

        Args:
            model: the model.
            known: what is known of its modules.
            records: whether the spikes themselves are kept.
            needs_samples: whether a tensor without an axis of samples is refused.
        """
        self.known = known
        self._model = ModelParts(model, known)
        self.unknown = self._model.unknown
        self.last_counted: Part | None = None
        self.layout = BatchLayout(self._model.is_time_second, needs_samples)
        self._places = Places(known.pruned, self.unknown)
        self.calls = ModuleCounter(self._places, self.layout, records)
        self._traces = self.calls.traces
        self.repeated = RepeatedCalls(self.calls, model)
        self._origins = Origins(model, self._model.weight_names)
        self._products = ProductCounter(self.calls, self._origins)
        self._function_parts = FunctionParts()
        self._functions = FunctionWatch(
            self._origins,
            known.requantises,
            self._count_function,
            self._follow,
            self._end_call,
        )
        self._unknown_neurons = UnknownNeurons(self._traces)
        self._functions.before_writing = self.repeated.count
        # Modules whose results do not depend on the samples.
        self._run_once: set[nn.Module] = set()
        # Numbers in the model's input.
        self._input_size = 0
        # Places whose output functions have read or changed.
        self._read_by_functions: set[str] = set()

    @property
    def places(self) -> dict[str, ModulePlace]:
        """All places by name, in the order in which they first ran."""
        return self._places.by_name

    def part(self, module: nn.Module) -> Part:
        """Return a module as a part of the model."""
        return self._model.parts[module]

    @property
    def rows(self) -> Places:
        """The places, whose batches can be merged into rows."""
        return self._places

    @property
    def not_counted(self) -> list[Omission]:
        """All of `unknown`, functions that are not counted, and unused weights."""
        ran = {place.module for place in self.places.values()} | self._run_once
        parts = self._model.parts.values()
        named = omissions(self._functions, self._unknown_neurons, parts, ran)
        return [*(named | self.unknown).values()]

    def has_made_no_steps(self, n_steps: int) -> bool:
        """Whether neurons took all steps of the last batch as one.

        Neurons that decide once, behind others that take all steps, have not.
        """
        if n_steps in (0, 1) or self.layout.is_lost:
            return False
        populations = [place for place in self.places.values() if place.population]
        in_one = [place for place in populations if place.took_one_step]
        takes_time_as_units = any(place.in_shape[:1] == (n_steps,) for place in in_one)
        return takes_time_as_units or len(in_one) == len(populations)

    def more_than_possible(self, n_steps: int) -> str:
        """Say what the last batch did more often than samples of some steps allow.

        Empty if nothing did. A model that makes steps itself, but is given the steps of
        the samples, runs all of them in each of its own.

        Args:
            n_steps: of the samples, 2 or more.
        """
        number = len(self._places.sizes) - 1
        neurons = [place for place in self.places.values() if place.fires]
        for place in neurons:
            # Neurons behind several modules may run once behind each.
            n_updates = int(place.steps.of_batch(number).max())
            if n_updates > n_steps * max(len(place.sources), 1):
                return f"updates each neuron of {place.name} {n_updates} times"
        have_time_as_units = all(place.in_shape[:1] == (n_steps,) for place in neurons)
        for place in self.places.values():
            if place.whole_inputs >= (2 if have_time_as_units else n_steps):
                return (
                    f"passes the whole input to {place.name} {place.whole_inputs} times"
                )
        return ""

    @property
    def is_split_doubtful(self) -> bool:
        """Whether the last batch leaves doubt whose counts are whose.

        Samples shared an axis with other things, or a module ran so often that it may
        have taken one sample after another.
        """
        last = len(self._places.sizes) - 1
        n_samples = self._places.sizes[last]
        steps = [
            int(place.steps.of_batch(last).max()) for place in self.places.values()
        ]
        ran = [number for number in steps if number]
        may_take_one_by_one = max(ran) >= n_samples * min(ran) if ran else False
        return n_samples > 1 and (self.layout.is_doubtful or may_take_one_by_one)

    def agrees_with(self, alone: "Watch", number: int) -> bool:
        """Whether a sample of the last batch has the counts of its run alone.

        Batches of other sizes round sums in another order, which may move a few spikes.

        Args:
            alone: has counted this sample.
            number: of the sample in the batch.
        """
        if self.places.keys() != alone.places.keys():
            return False
        last = len(self._places.sizes) - 1
        for name, place in self.places.items():
            found = place.units_of(last)[:, number]
            expected = alone.places[name].units_of(0)[:, 0]
            if (abs(found - expected) > MOVED_FRACTION * expected).any():
                return False
        return True

    @contextmanager
    def batch(
        self, n_samples: int, n_steps: int, time_axis: int | None
    ) -> Iterator[None]:
        """Count what runs inside; arguments as for `begin`."""
        self.begin(n_samples, n_steps, time_axis)
        self.note_weights()
        with self._hooked():
            yield

    def begin(self, n_samples: int, n_steps: int, time_axis: int | None) -> None:
        """Begin a batch.

        Args:
            n_samples: B.
            n_steps: T in whole tensors; 0 where the model makes the steps itself.
            time_axis: in the model's input; None without one.
        """
        self.layout.begin(n_samples, n_steps, time_axis)
        self._places.sizes.append(n_samples)
        self.repeated.begin()
        for place in self.places.values():
            place.whole_inputs = 0

    def note_weights(self) -> None:
        """Note that the model holds only weights and zeros, before a batch."""
        self._origins.begin(self._model.root)

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Follow the model's modules."""
        with ExitStack() as stack:
            stack.enter_context(_uncompiled())
            parts = self._model.parts.values()
            followed = [part for part in parts if part.functions is not None]
            for handle in self._functions.follow(followed):
                stack.callback(handle.remove)
            yield

    @contextmanager
    def begun_call(self, inputs: Any) -> Iterator[None]:
        """Count a call of the model that a hook on it has seen begin.

        Args:
            inputs: positional and named arguments of the model.
        """
        self._input_size = first_tensor(inputs).numel()
        root = self._model.parts[self._model.root]
        with (
            self._hooked(),
            self._functions.calling(self._model.call, inputs),
        ):
            if root.functions is not None:
                self._functions.enter_late(root, inputs)
            yield

    def run(self, *inputs: Any) -> Any:
        """Call the model in a batch, on samples."""
        self._input_size = first_tensor(inputs).numel()
        with self._functions.calling(self._model.call, inputs):
            return self._model.root(*inputs)

    def _end_call(self, part: Part, inputs: Any, out: Any) -> None:
        """Do what a part that has run asks for."""
        if part.role is Role.COUNTED:
            self.last_counted = part
            self._count(part, inputs, out)
        elif part.role is Role.PASSING:
            self._pass_on(part, inputs, out)
        elif part.role is Role.OTHER:
            self._name_other(part, out)
            self._unknown_neurons.note(part, inputs, out)

    def _count(self, part: Part, inputs: Any, out: Any) -> None:
        """Count a call of a layer, pooling, norm, ReLU or neurons."""
        x = first_tensor(inputs)
        if part.population is None and self._origins.is_constant(x):
            # Like a function of weights only, it runs once, before any inference.
            self._run_once.add(part.layer)
            self._origins.note_weight(first_tensor(out), [x])
            return
        if not self._origins.has_known_origin(x) and x.any():
            # No function and no module has made it.
            name = f"what enters {part.name}"
            self.unknown.setdefault(name, Omission(name, reason=UNSEEN))
        returned = tensors_in(out)
        self._origins.note_if_new(returned, depends=True)
        if part.population is not None:
            self._origins.end_neurons(part.module)
        out = returned[0] if returned else first_tensor(out)
        if self.repeated.takes(part, x, out):
            return
        emitted = self.layout.by_step(out, part.layout)
        # Only layers and pooling change the shape of one sample and step.
        received = emitted
        if isinstance(part.layer, (*WEIGHTED, *POOLING)):
            received = self.layout.by_step(x, part.layout)
        # A part of the input, such as one of its tokens, is not the whole input.
        took_whole_time = self.layout.has_whole_time and x.numel() == self._input_size
        call = Call(part, x, out, received, emitted, took_whole_time)
        self.repeated.note(call, self.calls.count(call))

    def _pass_on(self, part: Part, inputs: Any, out: Any) -> None:
        """Give the output of a module that changes no number the trace of its input.

        Dropout in training scales what it keeps: those numbers are values.
        """
        trace = self._traces.of(first_tensor(inputs))
        if trace is UNKNOWN or not isinstance(out, Tensor):
            return
        module: Any = part.module
        drops = isinstance(module, DROPOUT) and module.training and module.p > 0
        if drops:
            self._origins.note_if_new([out], depends=True)
        if drops or self._traces.of(out) is UNKNOWN:
            self._traces.set(out, trace.source, trace.are_values or drops)

    def _name_other(self, part: Part, out: Any) -> None:
        """Name a module that returns what no function and no module has made."""
        returned = find_tensor(out)
        if returned is not None and not self._origins.has_known_origin(returned):
            self.unknown.setdefault(part.name, part.omission())
            self._origins.note_if_new([returned], depends=True)

    def _follow(self, call: FunctionCall) -> None:
        """Follow what a function reads, and what kind of numbers it makes or writes."""
        name, inputs, out = call.name, call.inputs, call.out
        if out is None:
            return
        traces = [self._traces.of(x) for x in inputs]
        memory = memory_of(out)
        is_new = all(memory_of(x) != memory for x in inputs)
        if name in EXPOSING and not is_new:
            self._traces.forget_contents(out)
        if name in MERGING and inputs:
            self.layout.note_merge(inputs[0], out)
        if name in JOINING and is_new:
            self.layout.note_join(out)
        if name not in LIKE_MODULES and (is_new or name not in VIEWING):
            self._note_read(inputs)
        makes_values = name in MOVING and any(trace.are_values for trace in traces)
        if call.written:
            # A tensor that held values before keeps its trace.
            makes_values &= not self._traces.of(out).are_values
        is_made = is_new or bool(call.written)
        if (is_new and name in DROPPING) or (is_made and makes_values):
            self._traces.set(out, "", are_values=True)

    def _count_function(self, call: FunctionCall) -> bool:
        """Count a function; False if it is neither products nor like a module."""
        with no_grad():
            is_counted = self._products.count(call) or self._count_as_module(call)
        if not is_counted and call.name in LIKE_MODULES:
            self._note_read(call.inputs)
        return is_counted

    def _count_as_module(self, call: FunctionCall) -> bool:
        """Count a function as the module that does the same, if there is one."""
        is_known = call.part.functions is Functions.DESCRIBED or self.known.requantises
        part = None if is_known else self._function_parts.of(call)
        out = find_tensor(call.result)
        is_followed = 0 < len(call.inputs) == len(call.tensors)
        if part is None or out is None or not is_followed:
            return False
        # What it reads besides is a number, or statistics: smaller, and weights.
        x, *others = sorted(call.inputs, key=Tensor.numel, reverse=True)
        if not all(map(self._origins.is_weight, others)):
            return False
        try:
            self._count(part, (x,), out)
        except DataError:
            # Its samples were not found.
            return False
        return True

    def _note_read(self, tensors: list[Tensor]) -> None:
        """Note whose output a function reads that is no place itself."""
        self._read_by_functions.update(self._traces.of(x).source for x in tensors)

    def finish(self) -> None:
        """Choose what sends, and fold norms into the layers before, at the end."""
        self._places.choose_sides()
        self._places.fold_norms(self._read_by_functions)


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Run what `torch.compile` has made as it was written: else it runs no hooks.

    Raises:
        ParameterError: the model fails, and calls `torch.compile` for the first time.
    """
    if _COMPILER in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    # To import the compiler takes seconds, and nothing is compiled without it.
    try:
        yield
    except Exception as error:
        if _COMPILER in sys.modules:
            raise ParameterError(
                "the model calls torch.compile while it runs: run it before it is "
                "counted, or do not compile it."
            ) from error
        raise
