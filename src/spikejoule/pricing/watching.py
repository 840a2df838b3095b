"""Counting in a running model: hooks see what enters and leaves each of its modules.

A module is a place, and one that runs in several shapes is several. Of each place only sums are
kept, of each sample: what enters a layer with weights, each unit times its fan-out; what neurons
give. Whole numbers are spikes, 2 being two of them; a place that has met any other number, or
that neurons with graded spikes feed, takes values, whose products are multiply-accumulates.

Which place a tensor comes from is known by its memory, which views share (`Flatten`, slices of
time); what was computed in between, by a function that is no module, has no source that is known.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from spikejoule.core.errors import DataError
from spikejoule.network.network import Shape
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
    first_tensor,
    unit_dimensions,
)
from spikejoule.pricing.neurons import FLAT, PACKAGES, Known, Population

INPUT: Final = "input"
OUTPUT: Final = "output"
_ANY: Final = "any"
"""The axis of time of modules that take any number of axes."""
_EXACT: Final = 2**24
"""Below it float32 adds up whole numbers exactly."""


@dataclass(eq=False)
class Given:
    """What a tensor holds, of each sample.

    Attributes:
        spikes: sum of what its units give, whole numbers [B]; of values as `nonzero`.
        nonzero: units that give something, whole numbers [B].
        peak: the most that one gives.
        whole: whether all are whole numbers.
        nearly: whether they are not, but closer to whole ones than 1 in 1,000.
    """

    spikes: Tensor
    nonzero: Tensor
    peak: float = 1.0
    whole: bool = True
    nearly: bool = False


@dataclass(eq=False)
class _Traced:
    """Which place gave a tensor's memory, and what the latest view of it holds."""

    source: str
    key: Any = None
    given: Given | None = None


_UNKNOWN: Final = _Traced("")


@dataclass(eq=False)
class Place:
    """A module in one shape.

    Attributes:
        name: in the model.
        module: it; of weights that neurons hold, a layer that is made of them.
        in_shape, out_shape: of one sample and step.
        fan_out: of each unit that enters a layer or pooling, int64 [n_in].
        population: of neurons.
        has_bias: whether something constant is added to what it gives.
        sources: the places from which it takes, in the order in which they were met.
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
    has_bias: bool
    sources: dict[str, None] = field(default_factory=dict)
    takes_values: bool = False
    gives_values: bool = False
    gives_nearly: bool = False
    peak: float = 0.0

    def __post_init__(self) -> None:
        reached = np.zeros(1) if self.fan_out is None else self.fan_out
        self.alike = 0 if np.ptp(reached) else int(reached[0])
        """What each unit that enters reaches, if all reach as many; else 0."""

    @property
    def n_out(self) -> int:
        """Units."""
        return int(np.prod(self.out_shape))

    @property
    def fires(self) -> bool:
        """Whether it holds neurons that spike."""
        return self.population is not None and self.population.fires

    def weighted(self, flat: Tensor, peak: float) -> Tensor:
        """Units times their fan-outs, exactly, int64 [B]."""
        assert self.fan_out is not None
        is_small = int(self.fan_out.sum()) * peak < _EXACT
        reached = torch.from_numpy(self.fan_out)
        reached = reached.to(flat.device, torch.float32 if is_small else torch.float64)
        return (flat.to(reached.dtype) @ reached).to(torch.int64).sum(dim=0)


class _Functions(TorchFunctionMode):
    """Names what a model computes by functions, outside of every module that is counted: after the
    module in which that happens, or, in one that consists of others, after the function.

    Attributes:
        unknown: receives the names.
        requantises: whether to rescale by one number is no operation that has to be known.
        running: modules that run, one within the other, in words; "" for one that is counted.
        known: where it requantises, memory of what modules take, and of what functions make of it
            that are not named.
    """

    def __init__(self, unknown: dict[str, str], requantises: bool) -> None:
        super().__init__()
        self.unknown, self.requantises = unknown, requantises
        self.running, self.known = list[str](), WeakSet[Any]()

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        own = getattr(function, "__name__", "")
        name, writes = own.strip("_"), bool(self.running) and own in WRITING
        given = first_tensor(args if writes else found, none=True)
        if given is None or "" in self.running:
            return found
        taken = [one for one in (*args, *(kwargs or {}).values()) if isinstance(one, Tensor)]
        is_by_one_number = sum(one.numel() > 1 for one in taken) <= 1
        rescales = self.requantises and name in RESCALING and is_by_one_number
        if not writes and (name in UNNAMED or rescales):
            if self.requantises and any(one.untyped_storage() in self.known for one in taken):
                self.known.add(given.untyped_storage())
        else:
            words = [f"{name} (a function, and no module)", *self.running][-1]
            self.unknown.setdefault(words.partition(" (")[0], words)
        return found

    def follow(self, module: nn.Module, words: str) -> tuple[RemovableHandle, RemovableHandle]:
        """Hooks by which it is known while a module runs."""

        def enter(_: nn.Module, args: Any) -> None:
            self.running.append(words)
            x = first_tensor(args, none=True)
            if self.requantises and x is not None:
                self.known.add(x.untyped_storage())

        def leave(*_: Any) -> None:
            self.running.pop()

        return module.register_forward_pre_hook(enter), module.register_forward_hook(leave)


class Watch:
    """What is counted while a model runs.

    Attributes:
        places: by name, in the order in which they ran first.
        unknown: what ran, or has parameters, and was not counted, by name.
        input_shape: of what enters the first layer, of one sample and step.
        sizes: samples of each batch.
        emitted: if it `records`, what populations gave, [B, T, n] of each call, by name and batch.
    """

    def __init__(self, model: nn.Module, known: Known, records: bool = False) -> None:
        self.known, self.records = known, records
        self.emitted: dict[str, dict[int, list[Tensor]]] = {}
        self.places: dict[str, Place] = {}
        self.unknown: dict[str, str] = {}
        self.input_shape: Shape | None = None
        self.sizes: list[int] = []
        self._by_shape: dict[tuple[str, Shape], Place] = {}
        self._traced: WeakKeyDictionary[Any, _Traced] = WeakKeyDictionary()
        self._giving_values: set[str] = set()
        self._now: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        self._batches: list[dict[tuple[str, str], NDArray[np.int64]]] = []
        self._size, self._steps = 0, 0
        self._names = {module: _named(name, module) for name, module in model.named_modules()}
        described = {one: of for one in self._names if (of := known.describe(one)) is not None}
        inner = {part for one, of in described.items() if not of.is_wiring for part in _parts(one)}
        self._populations = {one: of for one, of in described.items() if one not in inner}
        self._is_axis_known = any(one.time == 1 for one in self._populations.values())
        self._axis = int(self._is_axis_known)
        self._own_weights = {
            (module, kind): weight if isinstance(weight, nn.Module) else one.as_layer(weight)
            for module, one in self._populations.items()
            for kind, weight in (("input", one.input), ("recurrent", one.recurrent))
            if weight is not None
        }
        held = {part for one in self._populations.values() for part in one.holds}
        outside = [one for one in self._names if one not in held | {*self._own_weights.values()}]
        scripted = [one for one in self._names if isinstance(one, torch.jit.ScriptModule)]
        self._inner = {part for one in (*self._populations, *scripted) for part in _parts(one)}
        self._layouts = {module: self._layout_of(module) for module in outside}
        self._hooks = [(one, hook) for one in outside if (hook := self._hook_of(one)) is not None]
        self._layers = [module for module in outside if isinstance(module, WEIGHTED)]
        self._scratch: Scratch = {}
        self._functions = _Functions(self.unknown, known.requantises)

    def _layout_of(self, module: nn.Module) -> tuple[int | None, int | str | None]:
        """Axes of one sample and step of what a module takes, and the axis of time; `by_step`."""
        if module in self._populations:
            return None, self._populations[module].time
        if isinstance(module, (*WEIGHTED, *POOLING)):
            return unit_dimensions(module), self.known.time(module)
        return None, _ANY

    def _hook_of(self, module: nn.Module) -> Callable[..., None] | None:
        """What is done when a module has run; None for nothing."""
        name, kind = self._names[module], type(module).__name__
        if module in self._populations:
            self._name_matrices(module)
            return self._ran
        if isinstance(module, COUNTED):
            whose = getattr(module.forward, "__module__", "").partition(".")[0]
            if whose not in ("torch", *PACKAGES):
                self.unknown[f"{name}.forward"] = f"{name} ({kind}, which has a forward of its own)"
            return self._ran
        if isinstance(module, PASSING):
            return self._passed
        if module in self._inner or "parametrizations" in name.split("."):
            return None
        if isinstance(module, torch.jit.ScriptModule):  # which has no hooks
            self.unknown[name] = f"{name} (scripted)"
            return None
        if any(one is not None for one in module._parameters.values()):
            self.unknown[name] = f"{name} ({kind}, which has parameters)"
        is_container = isinstance(module, nn.Sequential) or any(
            isinstance(part, COUNTED) or part in self._populations for part in module.modules()
        )
        return None if is_container else self._other

    def _name_matrices(self, module: nn.Module) -> None:
        """Name matrices of a user's own neurons of which the user has said nothing."""
        of = self._populations[module]
        is_open = isinstance(module, tuple(self.known.own)) and of.input is of.recurrent is None
        for key, held in module._parameters.items():
            if is_open and held is not None and held.ndim == 2:
                name = f"{self._names[module]}.{key}"
                self.unknown[name] = f"{name} (a matrix, which its Population does not name)"

    @contextmanager
    def batch(self, size: int, steps: int | None, axis: int | None) -> Iterator[None]:
        """Count what runs inside.

        Args:
            size: samples, B.
            steps: T of whole tensors; None where the model makes them itself.
            axis: of time in what the model is given; None where it has none.
        """
        self._size, self._steps = size, steps or 0
        for traced in self._traced.values():
            traced.given = None  # what torch does not know may have written there
        if axis is not None:
            self._axis, self._is_axis_known = axis, True
        with ExitStack() as stack:
            # What a model does by functions is looked for in the first batch, since it takes time;
            # modules that requantise are known by it in every batch.
            is_looked_for = self.known.requantises or not self._batches
            functions = stack.enter_context(self._functions) if is_looked_for else None
            if any(type(one).__name__ == "OptimizedModule" for one in self._names):  # without hooks
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for module, hook in self._hooks:
                handles = [module.register_forward_hook(hook, with_kwargs=True)]
                if functions is not None:
                    name = f"{self._names[module]} ({type(module).__name__})"
                    handles += functions.follow(module, name if hook == self._other else "")
                for handle in handles:
                    stack.callback(handle.remove)
            self._now.clear()
            yield
        totals = {key: torch.stack(calls) if isinstance(calls[0], Tensor) else torch.tensor(calls)
                  for key, calls in self._now.items()}  # fmt: skip
        self._batches.append({key: one.to(torch.int64).sum(dim=0).cpu().expand(size).numpy()
                              for key, one in totals.items()})  # fmt: skip
        self.sizes.append(size)

    @property
    def not_counted(self) -> list[str]:
        """What is `unknown`, and layers that were never called, but those whose weights another one
        has."""
        used: list[Any] = [place.module for place in self.places.values()]
        weights = {id(one.weight) for one in used if isinstance(one, WEIGHTED)}
        unused = [one for one in self._layers if one not in used and id(one.weight) not in weights]
        words = (f"{self._names[one]} ({type(one).__name__}, never called)" for one in unused)
        return [*self.unknown.values(), *words]

    def counts(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        """What was counted, by place and kind, of all samples, [N] each: ``events`` and ``entries``
        that enter, ``spikes`` and ``values`` that leave, what of a source enters, and ``steps``."""
        keys = dict.fromkeys(key for batch in self._batches for key in batch)
        parts = [*zip(self._batches, self.sizes, strict=True)]
        return {
            key: np.concatenate([of.get(key, np.zeros(n, np.int64)) for of, n in parts])
            for key in keys
        }

    @property
    def has_taken_one_step(self) -> bool:
        """Whether some neurons have worked in one step of the last batch alone."""
        names = [one.name for one in self.places.values() if one.population is not None]
        taken = (self._batches[-1].get((name, "steps"), np.zeros(1)) for name in names)
        return any((one == 1).any() for one in taken)

    def by_step(self, x: Tensor, axes: int | None, time: int | str | None) -> Tensor:
        """A tensor as [steps, B, units...], whatever the order of its axes.

        Args:
            x: what enters or leaves a module.
            axes: of one sample and step; None where `time` says how many come before.
            time: which axis is time; `FLAT` if it may be joined with the samples.
        """
        size, steps = self._size, self._steps
        if axes is not None:
            n_lead = x.ndim - axes
        elif time == _ANY:
            n_lead = 1 + (x.shape[0] != size and x.shape[1:2] == (size,))
        else:
            n_lead = 1 + isinstance(time, int)
        if n_lead == 0:
            x, n_lead = x[None], 1
        first = time if isinstance(time, int) else self._axis
        found, rest = divmod(x.shape[0], size)
        may_be_joined = n_lead == 1 and (axes is not None or time in (FLAT, _ANY))
        if may_be_joined and found != 1 and not rest and steps in (0, found):
            x, n_lead = x.reshape(*((size, found) if first else (found, size)), *x.shape[1:]), 2
        may_be_time = () if n_lead < 2 else (first, 1 - first) if steps else (first,)
        for axis in may_be_time:
            if x.shape[1 - axis] == size and x.shape[axis] == (steps or x.shape[axis]):
                is_clear = steps or isinstance(time, int) or x.shape[0] != x.shape[1]
                if not (is_clear or self._is_axis_known):
                    raise unclear(x, size)
                self._is_axis_known |= not steps
                return x.transpose(0, axis)
        if x.shape[0] == size:
            return x[None]
        raise DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which no axis is that of the "
            f"{size} samples" + (f" (of {steps} steps)" if steps else "") + "."
        )

    def _place(self, name: str, module: Any, in_shape: Shape, out_shape: Shape) -> Place:
        """The place of a module in these shapes; a new one where it has not run in them."""
        if (name, in_shape) not in self._by_shape:
            n_same = sum(key[0] == name for key in self._by_shape)
            unique = name if n_same == 0 else f"{name} ({n_same + 1})"
            reached = fan_out(module, in_shape, out_shape, self.known.pruned)
            if reached is None and isinstance(module, POOLING):
                self.unknown[name] = f"{name} ({type(module).__name__}, as it is set)"
            has_bias = isinstance(module, WEIGHTED) and module.bias is not None
            found = Place(unique, module, in_shape, out_shape, reached,
                          self._populations.get(module), has_bias)  # fmt: skip
            self._by_shape[name, in_shape] = self.places[unique] = found
        return self._by_shape[name, in_shape]

    def _trace(self, x: Tensor, source: str, given: Given | None = None) -> _Traced:
        """Remember who gave a tensor, and what it holds."""
        found = _Traced(source, None if given is None else _key(x), given)
        self._traced[x.untyped_storage()] = found
        return found

    def _traced_of(self, x: Tensor) -> _Traced:
        """The latest trace of a tensor; without a source where it is not known."""
        return self._traced.get(x.untyped_storage(), _UNKNOWN)

    def _ran(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Count what has entered a module and what it has given; and, of neurons with weights of
        their own, what has entered these."""
        x, out, layout = first_tensor((args, kwargs)), first_tensor(out), self._layouts[module]
        name, of, place = self._names[module], self._populations.get(module), None
        before = self.places.get(self._traced_of(x).source)
        if isinstance(module, NORMS) and before and isinstance(before.module, WEIGHTED):
            before.has_bias = True  # folded into the weights before it
            self._trace(out, before.name)
            return
        takes_units = isinstance(module, (*WEIGHTED, *POOLING))
        entered = left = self.by_step(x if takes_units else out, *layout)
        if of is None or not of.is_wiring:
            if isinstance(module, POOLING) or (name, entered.shape[2:]) not in self._by_shape:
                left = self.by_step(out, *layout)
            place = self._place(name, module, entered.shape[2:], left.shape[2:])
            self._now[place.name, "steps"].append(len(entered))
            source = self._source_of(place, x).source
            if place.fan_out is not None:
                self._enter(place, x, entered)
            elif source and (module, "input") not in self._own_weights:
                place.sources[source] = None
                if source == INPUT:
                    self._enter(place, x, self.by_step(x, *layout))
            if isinstance(module, WEIGHTED):
                self._trace(out, place.name)
            else:
                self._give(place, out, left)
        for kind, given in (("input", x), ("recurrent", out)):
            layer: Any = self._own_weights.get((module, kind))
            if layer is not None:
                steps, shape = self.by_step(given, *layout), entered.shape[2:]
                ends = (*shape[:-1], len(layer.weight)) if layer.weight.ndim == 2 else shape
                own = self._place(f"{name}.{kind}", layer, steps.shape[2:], ends)
                self._now[own.name, "steps"].append(len(steps))
                self._enter(own, given, steps)
                if place is not None:
                    place.sources[own.name] = None

    def _source_of(self, place: Place, x: Tensor) -> _Traced:
        """The latest trace of what enters a place; what the first one takes is the input."""
        traced = self._traced_of(x)
        if traced is _UNKNOWN and (self.input_shape is None or INPUT in place.sources):
            return self._trace(x, INPUT)
        return traced

    def _enter(self, place: Place, x: Tensor, by_step: Tensor) -> None:
        """Count what enters a layer or pooling, each unit times its fan-out; or what enters
        another place of the input."""
        traced = self._source_of(place, x)
        if traced is _UNKNOWN:
            traced = self._trace(x, f"before {place.name}")
        source = traced.source
        if source == INPUT and self.input_shape is None:
            self.input_shape = by_step.shape[2:]
        place.sources[source] = None
        if traced.given is None or traced.key != _key(x):
            takes_values = place.takes_values and source in self._giving_values
            traced.key, traced.given = _key(x), summary(by_step, self._scratch, takes_values)
        given = traced.given
        if not given.whole:
            place.takes_values = True
            self._giving_values.add(source)
        place.peak = max(place.peak, given.peak)
        if place.alike:
            events, entries = (
                place.alike * one.to(torch.int64) for one in (given.spikes, given.nonzero)
            )
        elif place.fan_out is not None:
            flat, is_binary = by_step.flatten(2), given.whole and given.spikes is given.nonzero
            marks = flat if is_binary else _marks(flat, self._scratch)
            events = entries = place.weighted(marks, 1)
            if given.whole and not is_binary:
                events = place.weighted(flat.abs(), given.peak)
        if place.fan_out is not None:
            self._now[place.name, "events"].append(events)
            self._now[place.name, "entries"].append(entries)
        self._now[place.name, f"spikes of {source}"].append(given.spikes)
        self._now[place.name, f"entries of {source}"].append(given.nonzero)

    def _give(self, place: Place, out: Tensor, by_step: Tensor) -> None:
        """Count what leaves a place that others read."""
        of = place.population
        are_values = place.takes_values if of is None else of.graded or not of.fires
        given = summary(by_step, self._scratch, are_values)
        place.gives_values |= not (given.whole or place.fires)
        place.gives_nearly |= given.nearly and place.fires
        self._now[place.name, "spikes"].append(given.spikes)
        self._now[place.name, "values"].append(given.nonzero)
        self._trace(out, place.name, given)
        if self.records and place.fires:
            of_batch = self.emitted.setdefault(place.name, {}).setdefault(len(self.sizes), [])
            of_batch.append(by_step.flatten(2).transpose(0, 1).float().cpu())

    def _passed(self, module: Any, args: Any, kwargs: Any, out: Any) -> None:
        """What changes no number goes by its source's name; what drops some in training, too, but
        scales the others, so that they are spikes no more."""
        x = first_tensor((args, kwargs))
        traced = self._traced_of(x)
        if traced is _UNKNOWN or not isinstance(out, Tensor):
            return
        if isinstance(module, DROPOUT) and module.training and module.p > 0:
            given = summary(self.by_step(out, None, _ANY), self._scratch, True)
            self._trace(out, traced.source, given)
        elif self._traced_of(out) is _UNKNOWN:
            self._trace(out, traced.source, traced.given if traced.key == _key(x) else None)

    def _other(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Name what gives something else than it takes; what works in place does so by functions,
        after which it is named."""
        x, given = first_tensor((args, kwargs), none=True), first_tensor(out, none=True)
        if given is not None and given.untyped_storage() in self._functions.known:
            return
        is_view = given is not None and x is not None
        if not is_view or given.untyped_storage() is not x.untyped_storage():
            name = self._names[module]
            self.unknown.setdefault(name, f"{name} ({type(module).__name__})")


def _parts(module: nn.Module) -> list[nn.Module]:
    """The modules within one."""
    return [*module.modules()][1:]


def unclear(x: Tensor, size: int) -> DataError:
    """What is said of a tensor two of whose axes may be that of the samples."""
    return DataError(
        f"of a tensor of shape {tuple(x.shape)} it is not clear which axis is that of {size} "
        "samples: choose batches of another size."
    )


def _named(name: str, module: nn.Module) -> str:
    """A module's name in the model; with its class before it those of a `Sequential`, which have
    numbers, and what is called as the ends of the network are."""
    is_plain = name and not name.isdigit() and name not in (INPUT, OUTPUT)
    return name if is_plain else f"{type(module).__name__} {name}".strip()


Scratch = dict[tuple[torch.device, torch.dtype, bool], Tensor]


def _memory(flat: Tensor, scratch: Scratch) -> Tensor:
    """Memory of the shape of a tensor, which the next call takes again."""
    key = flat.device, flat.dtype, torch.is_inference_mode_enabled()
    if key not in scratch:
        scratch[key] = torch.empty_like(flat)
    return scratch[key].resize_(flat.shape)


def _marks(flat: Tensor, scratch: Scratch) -> Tensor:
    """1 where something is not zero, in the type of floating point that it has: comparisons that
    give bool take torch fifty times longer."""
    return torch.ne(flat, 0, out=_memory(flat, scratch))


def _is_zero(flat: Tensor) -> bool:
    """Whether all is zero; `any` takes much longer."""
    low, high = torch.aminmax(flat)
    return low.item() == 0 and high.item() == 0


def summary(by_step: Tensor, scratch: Scratch, is_values: bool = False) -> Given:
    """What a tensor [steps, B, units...] holds; of values, how many there are alone."""
    flat = by_step.flatten(2)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.float()
    # x - x x is 0 for 0 and 1 alone, in floating point, too.
    is_binary = not is_values and _is_zero(
        torch.addcmul(flat, flat, flat, value=-1, out=_memory(flat, scratch))
    )
    marks = flat if is_binary else _marks(flat, scratch)
    dtype = torch.float32 if marks.shape[0] * marks.shape[2] < _EXACT else torch.float64
    nonzero = marks.sum(dim=(0, 2), dtype=dtype)
    if is_binary or is_values:
        return Given(nonzero, nonzero, whole=is_binary)
    sizes = flat.abs()
    peak = float(sizes.max())
    if _is_zero(torch.frac(flat, out=marks)):
        return Given(sizes.sum(dim=(0, 2), dtype=torch.float64), nonzero, peak)
    is_near = bool(torch.sub(flat, flat.round(), out=marks).abs_().max() < 1e-3)
    return Given(nonzero, nonzero, peak, whole=False, nearly=is_near)


def _key(x: Tensor) -> tuple[Any, ...]:
    """The same of two views of one memory that are the same numbers; of inference tensors, which do
    not say whether they have changed, never."""
    version = object() if x.is_inference() else x._version
    view = x.numel() if x.is_contiguous() else (x.shape, x.stride())
    return x.storage_offset(), view, version
