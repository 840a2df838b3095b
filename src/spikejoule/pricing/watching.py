"""Count what happens in a running model: hooks see what enters and leaves each of its
modules.

A module is a place, and one that runs in several shapes is several places. Of each
place only sums of each sample are kept: what enters a layer with weights, each unit
times its fan-out, and what neurons give. Whole numbers are spikes, 2 being two of them.
A place that has met any other number, or that neurons with graded spikes feed, takes
values, whose products are multiply-accumulates.

The memory of a tensor tells which place it comes from: views share it (`Flatten`,
slices of time). What a function computes in between, which is no module, has no known
source.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.network.nodes import Shape
from spikejoule.pricing.layers import (
    COUNTED,
    DROPOUT,
    NORMS,
    PASSING,
    POOLING,
    RESCALING,
    UNNAMED,
    WEIGHTED,
    WRITING,
    fan_out,
    unit_dimensions,
)
from spikejoule.pricing.neurons import PACKAGES, Known, Population
from spikejoule.pricing.tensors import (
    ANY_LAYOUT,
    MAX_EXACT_FLOAT32,
    BatchLayout,
    ModuleLayout,
    TensorContents,
    contents_of,
    find_tensor,
    first_tensor,
    nonzero_marks,
)

INPUT: Final = "input"
OUTPUT: Final = "output"


class SampleSums:
    """A count of each sample, added up over the calls of a batch, and joined over the
    batches.
    """

    def __init__(self) -> None:
        self._calls: list[Tensor] = []
        self._batches: list[NDArray[np.int64]] = []

    def add(self, amounts: Tensor) -> None:
        """Count whole numbers of each sample, [B], or one of all."""
        self._calls.append(amounts)

    def end_batch(self, n_samples: int, n_before: int) -> None:
        """Keep the sums of a batch; of samples before the first one nothing was
        counted.
        """
        if not self._batches:
            self._batches.append(np.zeros(n_before, np.int64))
        total = torch.zeros((), dtype=torch.int64)
        if self._calls:  # added up at once, which takes less time than call by call
            total = torch.stack(self._calls).to(torch.int64).sum(dim=0).cpu()
        self._batches.append(total.expand(n_samples).numpy())
        self._calls = []

    @property
    def last_batch(self) -> NDArray[np.int64]:
        """Of the samples of the last batch, [B]."""
        return self._batches[-1]

    @property
    def of_samples(self) -> NDArray[np.int64]:
        """Of all samples, [N]."""
        return np.concatenate(self._batches)


class Amounts:
    """What units give, or reach, in each sample.

    Attributes:
        spikes: sum of whole numbers.
        nonzero: units, or synapses, where something is not zero.
    """

    def __init__(self) -> None:
        self.spikes = SampleSums()
        self.nonzero = SampleSums()

    def add(self, spikes: Tensor, nonzero: Tensor) -> None:
        """Count numbers of each sample, [B]."""
        self.spikes.add(spikes)
        self.nonzero.add(nonzero)


@dataclass(eq=False)
class ModulePlace:
    """A module in one shape, and what was counted of it.

    Attributes:
        name: in the model.
        module: it; of weights that neurons hold, a layer that is made of them.
        in_shape, out_shape: of one sample and step.
        fan_out: of each unit that enters a layer or pooling, int64 [n_in].
        population: of neurons.
        has_bias: whether something constant is added to what it gives.
        steps: that it took.
        sources: the places from which it takes, in the order in which they were met,
            and what their units give it.
        reached: of a layer or pooling, synapses or windows that these units reach.
        given: what its own units give.
        takes_values: whether it has met a number that is no spike.
        gives_values: whether it has given one.
        gives_nearly: whether it is a neuron whose spikes are almost whole numbers.
        peak: the most that a unit has given it.
    """

    name: str
    module: nn.Module
    in_shape: Shape
    out_shape: Shape
    fan_out: NDArray[np.int64] | None
    population: Population | None
    steps: SampleSums = field(default_factory=SampleSums)
    sources: dict[str, Amounts] = field(default_factory=dict)
    reached: Amounts = field(default_factory=Amounts)
    given: Amounts = field(default_factory=Amounts)
    takes_values: bool = False
    gives_values: bool = False
    gives_nearly: bool = False
    peak: float = 0.0

    def __post_init__(self) -> None:
        self.has_bias = (
            isinstance(self.module, WEIGHTED) and self.module.bias is not None
        )
        # What each unit that enters reaches, if all reach as many; else 0.
        self._reached_by_each = 0
        if self.fan_out is not None and np.ptp(self.fan_out) == 0:
            self._reached_by_each = int(self.fan_out[0])

    @property
    def n_out(self) -> int:
        """Units."""
        return int(np.prod(self.out_shape))

    @property
    def fires(self) -> bool:
        """Whether it holds neurons that spike."""
        return self.population is not None and self.population.fires

    @property
    def sums(self) -> Iterator[SampleSums]:
        """All that is counted."""
        yield self.steps
        for amounts in (*self.sources.values(), self.reached, self.given):
            yield amounts.spikes
            yield amounts.nonzero

    def count_reached(self, contents: TensorContents, by_step: Tensor) -> None:
        """Count what enters [T, B, units...], each unit times its fan-out."""
        if self._reached_by_each:
            self.reached.add(
                self._reached_by_each * contents.spikes.to(torch.int64),
                self._reached_by_each * contents.nonzero.to(torch.int64),
            )
            return
        flat = by_step.flatten(2)
        marks = flat if contents.is_binary else nonzero_marks(flat)
        spikes = nonzero = self._weighted(marks, 1)
        if contents.is_whole and not contents.is_binary:
            spikes = self._weighted(flat.abs(), contents.peak)
        self.reached.add(spikes, nonzero)

    def _weighted(self, flat: Tensor, peak: float) -> Tensor:
        """Units [T, B, n_in] times their fan-outs, exactly, int64 [B]."""
        assert self.fan_out is not None
        is_small = int(self.fan_out.sum()) * peak < MAX_EXACT_FLOAT32
        dtype = torch.float32 if is_small else torch.float64
        reached = torch.from_numpy(self.fan_out).to(flat.device, dtype)
        return (flat.to(dtype) @ reached).to(torch.int64).sum(dim=0)


class Role(Enum):
    """What is done when a module has run."""

    COUNTED = auto()
    PASSING = auto()  # it changes no number
    OTHER = auto()  # it is named, if it gives something else than it takes


@dataclass(frozen=True, eq=False)
class Part:
    """A module of a model, as it is watched.

    Attributes:
        module: it.
        name: in the model.
        role: None where nothing is done: of containers, and inside neurons.
        layout: of its tensors.
        population: of neurons.
    """

    module: nn.Module
    name: str
    role: Role | None
    layout: ModuleLayout
    population: Population | None

    @property
    def words(self) -> str:
        """Its name and class."""
        return f"{self.name} ({type(self.module).__name__})"


class ModelParts:
    """What a model consists of.

    Attributes:
        parts: by module, without the modules that weights of neurons are made of.
        unknown: what has parameters and is not counted, in words, by name.
        is_compiled: whether some of it has no hooks before it runs eagerly.
    """

    def __init__(self, model: nn.Module, known: Known) -> None:
        self._known = known
        self._names = {
            module: _named(name, module) for name, module in model.named_modules()
        }
        self._populations: dict[nn.Module, Population] = {}
        self._inner: set[nn.Module] = set()
        for module in self._names:
            population = None if module in self._inner else known.describe(module)
            if population is not None:
                self._populations[module] = population
            is_whole = population is not None and not population.is_wiring
            if is_whole or isinstance(module, torch.jit.ScriptModule):
                self._inner.update(
                    inner for inner in module.modules() if inner is not module
                )
        self.unknown: dict[str, str] = {}
        self.is_compiled = any(
            type(one).__name__ == "OptimizedModule" for one in self._names
        )
        held = {
            layer
            for population in self._populations.values()
            for layer in (*population.own_layers.values(), *population.holds)
        }
        self.parts = {
            module: Part(
                module,
                name,
                self._role(module),
                self._layout(module),
                self._populations.get(module),
            )
            for module, name in self._names.items()
            if module not in held
        }

    @property
    def is_time_second(self) -> bool:
        """Whether some neurons take [B, T, ...]."""
        return any(population.time == 1 for population in self._populations.values())

    def _layout(self, module: nn.Module) -> ModuleLayout:
        if module in self._populations:
            return ModuleLayout(time=self._populations[module].time)
        if isinstance(module, (*WEIGHTED, *POOLING)):
            return ModuleLayout(unit_dimensions(module), self._known.time(module))
        return ANY_LAYOUT

    def _role(self, module: nn.Module) -> Role | None:
        """What is done when a module has run; what is never counted of it is named
        here.
        """
        name = self._names[module]
        kind = type(module).__name__
        if module in self._populations:
            self._name_matrices(module)
            return Role.COUNTED
        if isinstance(module, COUNTED):
            package = getattr(module.forward, "__module__", "").partition(".")[0]
            if package not in ("torch", *PACKAGES):
                self.unknown[f"{name}.forward"] = (
                    f"{name} ({kind}, which has a forward of its own)"
                )
            return Role.COUNTED
        if isinstance(module, PASSING):
            return Role.PASSING
        if module in self._inner or "parametrizations" in name.split("."):
            return None
        if isinstance(module, torch.jit.ScriptModule):  # which has no hooks
            self.unknown[name] = f"{name} (scripted)"
            return None
        if any(parameter is not None for parameter in module._parameters.values()):
            self.unknown[name] = f"{name} ({kind}, which has parameters)"
        is_container = isinstance(module, nn.Sequential) or any(
            isinstance(inner, COUNTED) or inner in self._populations
            for inner in module.modules()
        )
        return None if is_container else Role.OTHER

    def _name_matrices(self, module: nn.Module) -> None:
        """Name matrices of a user's own neurons which their `Population` does not
        mention.
        """
        population = self._populations[module]
        is_own = isinstance(module, tuple(self._known.own))
        if (
            not is_own
            or population.input is not None
            or population.recurrent is not None
        ):
            return
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.ndim == 2:
                name = f"{self._names[module]}.{key}"
                self.unknown[name] = (
                    f"{name} (a matrix, which its Population does not name)"
                )


class _Functions(TorchFunctionMode):
    """Names what a model computes by functions, outside of every module that is
    counted: after the module in which that happens, or, in one that consists of others,
    after the function.

    Attributes:
        unknown: receives the names.
        requantises: whether rescaling by one number is an operation that needs no name.
        running: modules that run, one within the other, in words; "" for one that is
            counted.
        known: where it requantises, memory of what modules take, and of what functions
            make of it that need no name.
    """

    def __init__(self, unknown: dict[str, str], requantises: bool) -> None:
        super().__init__()
        self.unknown = unknown
        self.requantises = requantises
        self.running: list[str] = []
        self.known: WeakSet[Any] = WeakSet()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        result = function(*args, **keywords)
        name = getattr(function, "__name__", "")
        writes = bool(self.running) and name in WRITING
        written = find_tensor(args if writes else result)
        if written is None or "" in self.running:
            return result
        name = name.strip("_")
        taken = [
            value for value in (*args, *keywords.values()) if isinstance(value, Tensor)
        ]
        if not writes and self._needs_no_name(name, taken):
            if self.requantises and any(
                x.untyped_storage() in self.known for x in taken
            ):
                self.known.add(written.untyped_storage())
            return result
        words = (
            self.running[-1] if self.running else f"{name} (a function, and no module)"
        )
        self.unknown.setdefault(words.partition(" (")[0], words)
        return result

    def _needs_no_name(self, name: str, taken: list[Tensor]) -> bool:
        if name in UNNAMED:
            return True
        is_by_one_number = sum(x.numel() > 1 for x in taken) <= 1
        return self.requantises and name in RESCALING and is_by_one_number

    def follow(
        self, module: nn.Module, words: str
    ) -> tuple[RemovableHandle, RemovableHandle]:
        """Hooks by which it is known while a module runs."""

        def enter(_: nn.Module, args: Any) -> None:
            self.running.append(words)
            x = find_tensor(args)
            if self.requantises and x is not None:
                self.known.add(x.untyped_storage())

        def leave(*_: Any) -> None:
            self.running.pop()

        return module.register_forward_pre_hook(enter), module.register_forward_hook(
            leave
        )


class _Trace(NamedTuple):
    """Which place gave a tensor's memory, and whether numbers there are values, even if
    whole.
    """

    source: str
    are_values: bool = False


_UNKNOWN: Final = _Trace("")


class Watch:
    """What is counted while a model runs.

    Attributes:
        places: by name, in the order in which they ran first.
        unknown: what ran, or has parameters, and was not counted, in words, by name.
        input_shape: of what enters the first layer, of one sample and step.
        sizes: samples of each batch.
        emitted: if it `records`, what populations gave, [B, T, n] of each call, by name
            and batch.
    """

    def __init__(self, model: nn.Module, known: Known, records: bool = False) -> None:
        self.known = known
        self.records = records
        self.places: dict[str, ModulePlace] = {}
        self.input_shape: Shape | None = None
        self.sizes: list[int] = []
        self.emitted: dict[str, dict[int, list[Tensor]]] = {}
        self._model = ModelParts(model, known)
        self.unknown = self._model.unknown
        self._layout = BatchLayout(self._model.is_time_second)
        self._by_shape: dict[tuple[str, Shape], ModulePlace] = {}
        self._traces: WeakKeyDictionary[Any, _Trace] = WeakKeyDictionary()
        self._giving_values: set[str] = set()
        self._functions = _Functions(self.unknown, known.requantises)

    @contextmanager
    def batch(
        self, n_samples: int, n_steps: int, time_axis: int | None
    ) -> Iterator[None]:
        """Count what runs inside.

        Args:
            n_samples: B.
            n_steps: T of whole tensors; 0 where the model makes the steps itself.
            time_axis: in what the model is given; None where it has none.
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
        """Hooks on all modules, for as long as a stack is open."""
        hooks: dict[Role, Callable[..., None]] = {
            Role.COUNTED: self._count,
            Role.PASSING: self._pass_on,
            Role.OTHER: self._name_other,
        }
        # Functions are looked for in the first batch only, since that takes time; those
        # that requantise are known by it in every batch.
        looks_for_functions = self.known.requantises or not self.sizes
        if looks_for_functions:
            stack.enter_context(self._functions)
        for part in self._model.parts.values():
            if part.role is None:
                continue
            handles = [
                part.module.register_forward_hook(hooks[part.role], with_kwargs=True)
            ]
            if looks_for_functions:
                words = part.words if part.role is Role.OTHER else ""
                handles += self._functions.follow(part.module, words)
            for handle in handles:
                stack.callback(handle.remove)

    @property
    def n_samples(self) -> int:
        """N."""
        return sum(self.sizes)

    @property
    def not_counted(self) -> list[str]:
        """What is `unknown`, and layers that were never called, but those whose weights
        another one has."""
        used: list[Any] = [place.module for place in self.places.values()]
        weights = {id(module.weight) for module in used if isinstance(module, WEIGHTED)}
        words = [*self.unknown.values()]
        for part in self._model.parts.values():
            layer: Any = part.module
            is_used = layer in used or not isinstance(layer, WEIGHTED)
            if not is_used and id(layer.weight) not in weights:
                words.append(f"{part.name} ({type(layer).__name__}, never called)")
        return words

    @property
    def has_taken_one_step(self) -> bool:
        """Whether some neurons have taken only one step in the last batch."""
        populations = [
            place for place in self.places.values() if place.population is not None
        ]
        return any((place.steps.last_batch == 1).any() for place in populations)

    def _count(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Count what has entered a module and what it has given; and, of neurons with
        weights of their own, what has entered these."""
        part = self._model.parts[module]
        x = first_tensor((args, kwargs))
        out = first_tensor(out)
        if isinstance(module, NORMS):
            before = self.places.get(self._trace_of(x).source)
            if before is not None and isinstance(before.module, WEIGHTED):
                before.has_bias = True  # the norm is folded into the weights before it
                self._trace(out, before.name)
                return
        given = self._layout.by_step(out, part.layout)
        takes_units = isinstance(module, (*WEIGHTED, *POOLING))
        taken = self._layout.by_step(x, part.layout) if takes_units else given
        population = part.population
        place = None
        if population is None or not population.is_wiring:
            shapes = taken.shape[2:], given.shape[2:]
            place = self._place(part.name, module, shapes, population)
            place.steps.add(torch.tensor(len(taken)))
            self._count_entering(place, part, x, taken)
            if isinstance(module, WEIGHTED):
                self._trace(out, place.name)
            else:
                self._give(place, out, given)
        own_layers = {} if population is None else population.own_layers
        for kind, layer in own_layers.items():
            source = x if kind == "input" else out
            entering = self._layout.by_step(source, part.layout)
            shape: Shape = taken.shape[2:]
            if layer.weight.ndim == 2:
                shape = (*shape[:-1], len(layer.weight))
            weights = self._place(
                f"{part.name}.{kind}", layer, (entering.shape[2:], shape)
            )
            weights.steps.add(torch.tensor(len(entering)))
            self._enter(weights, source, entering)
            if place is not None:
                place.sources.setdefault(weights.name, Amounts())

    def _count_entering(
        self, place: ModulePlace, part: Part, x: Tensor, taken: Tensor
    ) -> None:
        """Count what enters a layer or pooling; of other places, where it comes
        from.
        """
        source = self._source_of(place, x).source
        if place.fan_out is not None:
            self._enter(place, x, taken)
        elif source and (part.population is None or part.population.input is None):
            place.sources.setdefault(source, Amounts())
            if source == INPUT:
                self._enter(place, x, self._layout.by_step(x, part.layout))

    def _place(
        self,
        name: str,
        module: Any,
        shapes: tuple[Shape, Shape],
        population: Population | None = None,
    ) -> ModulePlace:
        """The place of a module that takes and gives these shapes; a new one if it is
        the first.
        """
        in_shape, out_shape = shapes
        key = name, in_shape
        if key not in self._by_shape:
            n_same = sum(other == name for other, _ in self._by_shape)
            unique = name if n_same == 0 else f"{name} ({n_same + 1})"
            reached = fan_out(module, in_shape, out_shape, self.known.pruned)
            if reached is None and isinstance(module, POOLING):
                self.unknown[name] = f"{name} ({type(module).__name__}, as it is set)"
            place = ModulePlace(
                unique, module, in_shape, out_shape, reached, population
            )
            self._by_shape[key] = self.places[unique] = place
        return self._by_shape[key]

    def _trace(self, x: Tensor, source: str, are_values: bool = False) -> _Trace:
        """Remember who gave a tensor."""
        trace = _Trace(source, are_values)
        self._traces[x.untyped_storage()] = trace
        return trace

    def _trace_of(self, x: Tensor) -> _Trace:
        """The latest trace of a tensor; without a source where it is not known."""
        return self._traces.get(x.untyped_storage(), _UNKNOWN)

    def _source_of(self, place: ModulePlace, x: Tensor) -> _Trace:
        """The latest trace of what enters a place; what the first one takes is the
        input.
        """
        trace = self._trace_of(x)
        if trace is _UNKNOWN and (self.input_shape is None or INPUT in place.sources):
            return self._trace(x, INPUT)
        return trace

    def _enter(self, place: ModulePlace, x: Tensor, by_step: Tensor) -> None:
        """Count what enters a layer or pooling, each unit times its fan-out; or what
        enters another place of the input."""
        trace = self._source_of(place, x)
        if trace is _UNKNOWN:
            trace = self._trace(x, f"before {place.name}")
        source = trace.source
        if source == INPUT and self.input_shape is None:
            self.input_shape = by_step.shape[2:]
        had_values = place.takes_values and source in self._giving_values
        contents = contents_of(by_step, trace.are_values or had_values)
        if not contents.is_whole:
            place.takes_values = True
            self._giving_values.add(source)
        place.peak = max(place.peak, contents.peak)
        if place.fan_out is not None:
            place.count_reached(contents, by_step)
        place.sources.setdefault(source, Amounts()).add(
            contents.spikes, contents.nonzero
        )

    def _give(self, place: ModulePlace, out: Tensor, by_step: Tensor) -> None:
        """Count what leaves a place that others read."""
        population = place.population
        if population is None:
            are_values = place.takes_values
        else:
            are_values = population.graded or not population.fires
        contents = contents_of(by_step, are_values)
        place.gives_values |= not (contents.is_whole or place.fires)
        place.gives_nearly |= contents.is_nearly_whole and place.fires
        place.given.add(contents.spikes, contents.nonzero)
        self._trace(out, place.name, are_values)
        if self.records and place.fires:
            of_place = self.emitted.setdefault(place.name, {})
            emitted = by_step.flatten(2).transpose(0, 1).float().cpu()
            of_place.setdefault(len(self.sizes), []).append(emitted)

    def _pass_on(self, module: Any, args: Any, kwargs: Any, out: Any) -> None:
        """What changes no number goes by its source's name. Dropout in training drops
        some numbers and scales the others, so that they are spikes no more."""
        trace = self._trace_of(first_tensor((args, kwargs)))
        if trace is _UNKNOWN or not isinstance(out, Tensor):
            return
        drops = isinstance(module, DROPOUT) and module.training and module.p > 0
        if drops or self._trace_of(out) is _UNKNOWN:
            self._trace(out, trace.source, trace.are_values or drops)

    def _name_other(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Name what gives something else than it takes; what works in place does so by
        functions, after which it is named."""
        part = self._model.parts[module]
        x = find_tensor((args, kwargs))
        given = find_tensor(out)
        if given is not None and given.untyped_storage() in self._functions.known:
            return
        if (
            x is None
            or given is None
            or given.untyped_storage() is not x.untyped_storage()
        ):
            self.unknown.setdefault(part.name, part.words)


def _named(name: str, module: nn.Module) -> str:
    """A module's name in the model; with its class before it those of a `Sequential`,
    which have numbers, and what is called as the ends of the network are."""
    is_plain = name and not name.isdigit() and name not in (INPUT, OUTPUT)
    return name if is_plain else f"{type(module).__name__} {name}".strip()
