"""Counting in a running model: hooks see what enters and leaves each of its modules.

A module is a place, and one that runs in several shapes is several. Of each place only sums are
kept, of each sample: what enters a layer with weights, each unit times its fan-out; what neurons
give. Whole numbers are spikes, 2 being two of them; a place that has met any other number, or
that neurons with graded spikes feed, takes values, whose products are multiply-accumulates.

Which place a tensor comes from is known by its memory, which views share (`Flatten`, slices of
time); what was computed in between, by a function that is no module, has no source that is known.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from spikejoule.core.errors import DataError
from spikejoule.modules.populations import FLAT, Known, Population
from spikejoule.modules.reach import (
    ACTIVATIONS,
    DROPOUT,
    NORMS,
    PASSING,
    POOLING,
    WEIGHTED,
    Shape,
    fan_out,
    unit_dimensions,
    windows,
)

_EXACT: Final = 2**24
"""Below it float32 adds up whole numbers exactly."""
INPUT: Final = "input"
OUTPUT: Final = "output"
_STEPS_AT_ONCE: Final = 100
_COUNTED_IN_MODULES: Final = {
    "linear", "bilinear", "matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm", "mv", "einsum",
    "tensordot", "scaled_dot_product_attention",
    *(f"{kind}{n}d" for n in (1, 2, 3) for kind in (
        "conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool", "adaptive_avg_pool",
        "adaptive_max_pool")),
}  # fmt: skip
"""Functions of torch that are counted as modules alone."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a tensor holds, of each sample.

    Attributes:
        spikes: sum of what its units give, [B]; of values, units that give something.
        nonzero: units that give something, [B].
        peak: the most that one gives.
        whole: whether all are whole numbers.
    """

    spikes: Tensor
    nonzero: Tensor
    peak: float
    whole: bool

    @property
    def binary(self) -> bool:
        """Whether all are 0 or 1."""
        return self.whole and self.spikes is self.nonzero


@dataclass(eq=False)
class Place:
    """A module in one shape, and what was counted there.

    Attributes:
        name: in the model.
        module: it; of weights that neurons hold, a layer that is made of them.
        in_shape, out_shape: of one sample and step.
        fan_out: of each unit that enters a layer or pooling, int64 [n_in].
        population: of neurons.
        sources: the places from which it takes, in the order in which they were met.
        has_bias: whether something constant is added to what it gives.
        takes_values: whether it has met a number that is no spike.
        gives_values: whether it has given one.
        peak: the most that a unit has given it.
        counts: of each kind, int64 [B] of each batch by its number; ``steps`` are those in which it
            worked.
    """

    name: str
    module: nn.Module
    in_shape: Shape
    out_shape: Shape
    fan_out: NDArray[np.int64] | None = None
    population: Population | None = None
    sources: dict[str, None] = field(default_factory=dict)
    has_bias: bool = False
    takes_values: bool = False
    gives_values: bool = False
    peak: float = 0.0
    counts: dict[str, dict[int, NDArray[np.int64]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sums: dict[str, list[Any]] = {}
        self.weights: dict[Any, Tensor] = {}

    @cached_property
    def alike(self) -> int:
        """What each unit that enters reaches, if all reach as many; else 0."""
        assert self.fan_out is not None
        return 0 if np.ptp(self.fan_out) else int(self.fan_out[0])

    @property
    def n_out(self) -> int:
        """Units."""
        return int(np.prod(self.out_shape))

    def add(self, kind: str, found: Tensor | int) -> None:
        """Sums of this step, [B], or of each sample alike."""
        held = self.sums.setdefault(kind, [])
        held.append(found)
        if len(held) > _STEPS_AT_ONCE:
            held[:] = [_total(held)]

    def finish(self, batch: int, size: int) -> None:
        """Keep the sums of a batch."""
        for kind, found in self.sums.items():
            total = _total(found)
            values = total.cpu().numpy() if isinstance(total, Tensor) else np.full(size, total)
            self.counts.setdefault(kind, {})[batch] = values.astype(np.int64)
        self.sums.clear()

    def of(self, kind: str, sizes: list[int]) -> NDArray[np.int64]:
        """Counts of all samples, int64 [N]."""
        found = self.counts.get(kind, {})
        parts = [found.get(n, np.zeros(size, np.int64)) for n, size in enumerate(sizes)]
        return np.concatenate(parts)


class _Functions(TorchFunctionMode):
    """Names what a model does by functions, outside of every module that is counted or named."""

    def __init__(self, unknown: dict[str, str]) -> None:
        super().__init__()
        self.unknown, self.depth = unknown, 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(function, "__name__", "").strip("_")
        if not self.depth and name in _COUNTED_IN_MODULES:
            self.unknown[name] = f"{name} (a function, and no module)"
        return function(*args, **(kwargs or {}))

    def enter(self, *_: Any) -> None:
        """A module begins."""
        self.depth += 1

    def leave(self, *_: Any) -> None:
        """A module has run."""
        self.depth -= 1


class Watch:
    """What is counted while a model runs.

    Attributes:
        places: by name, in the order in which they ran first.
        unknown: what ran, or has parameters, and was not counted.
        sizes: samples of each batch.
    """

    def __init__(self, model: nn.Module, known: Known) -> None:
        self.known = known
        self.places: dict[str, Place] = {}
        self.unknown: dict[str, str] = {}
        self.sizes: list[int] = []
        self.input_shape: Shape | None = None
        self._by_shape: dict[tuple[str, Shape], Place] = {}
        self._traced: dict[int, tuple[StorageWeakRef, str]] = {}
        self._latest: dict[str, int] = {}
        self._given: dict[str, tuple[tuple[Any, ...], Given]] = {}
        self._size, self._order = 0, "tb"
        self._steps: int | None = None
        populations = {
            name: one
            for name, module in model.named_modules()
            if (one := known.describe(module)) is not None
        }
        if any(one.time == 1 for one in populations.values()):
            self._order = "bt"
        inside = [model.get_submodule(name).modules() for name in populations]
        self._inner = {id(part) for parts in inside for part in [*parts][1:]}
        held = {id(part) for one in populations.values() for part in one.holds}
        self._layers = {
            _named(name, module): module
            for name, module in model.named_modules()
            if isinstance(module, WEIGHTED) and id(module) not in held
        }
        kinds = {type(module).__name__ for module in model.modules()}
        self._is_compiled = "OptimizedModule" in kinds
        self._hooks = [
            (module, hook)
            for name, module in model.named_modules()
            if id(module) not in held
            and (hook := self._hook_of(_named(name, module), module, populations.get(name)))
        ]

    def _hook_of(
        self, name: str, module: nn.Module, population: Population | None
    ) -> Callable[..., None] | None:
        """What is done when a module has run; None for nothing."""
        if population is not None:
            return lambda _, args, kwargs, out: self._neurons(
                name, module, population, first_tensor((args, kwargs)), first_tensor(out)
            )
        known: dict[tuple[type[nn.Module], ...], Callable[..., None]] = {
            WEIGHTED: self._layer,
            POOLING: self._pooling,
            NORMS: self._norm,
            ACTIVATIONS: self._activation,
            PASSING: self._passing,
        }
        act = next(
            (act for kinds, act in known.items() if isinstance(module, kinds)), self._unknown
        )
        if act == self._unknown:
            if id(module) in self._inner or "parametrizations" in name.split("."):
                return None
            if any(one is not None for one in module._parameters.values()):
                self.unknown[name] = f"{name} ({type(module).__name__}, which has parameters)"
                return None
            if isinstance(module, nn.Sequential) or self._has_counted_parts(module):
                return None
        return lambda _, args, kwargs, out: act(name, module, first_tensor((args, kwargs)), out)

    def _has_counted_parts(self, module: nn.Module) -> bool:
        """Whether something inside a module is counted, as nothing in a surrogate is."""
        kinds = (*WEIGHTED, *POOLING, *NORMS, *ACTIVATIONS)
        return any(
            isinstance(part, kinds) or self.known.describe(part) is not None
            for part in [*module.modules()][1:]
        )

    @contextmanager
    def batch(self, size: int, steps: int | None, order: str) -> Iterator[None]:
        """Count what runs inside, of B samples; whose tensors have T steps, if that is known."""
        self._size, self._steps = size, steps
        if order:
            self._order = order
        with ExitStack() as stack:
            functions = stack.enter_context(_Functions(self.unknown))
            if self._is_compiled:  # which runs no hooks
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            for module, hook in self._hooks:
                for handle in (
                    module.register_forward_pre_hook(functions.enter),
                    module.register_forward_hook(hook, with_kwargs=True),
                    module.register_forward_hook(functions.leave),
                ):
                    stack.callback(handle.remove)
            try:
                yield
            except BaseException:
                for place in self.places.values():
                    place.sums.clear()
                raise
        for place in self.places.values():
            place.finish(len(self.sizes), size)
        self.sizes.append(size)
        self._name_unused()

    def _name_unused(self) -> None:
        """Name layers that were never called, but those whose weights another one has."""
        used = [place.module for place in self.places.values()]
        for name, module in self._layers.items():
            self.unknown.pop(name, None)
            if not any(one is module or one.weight is module.weight
                       for one in used if isinstance(one, WEIGHTED)):  # fmt: skip
                self.unknown[name] = f"{name} ({type(module).__name__}, never called)"

    @property
    def has_taken_one_step(self) -> bool:
        """Whether some neurons have worked in one step of the last batch alone."""
        last = len(self.sizes) - 1
        return any(
            (place.counts["steps"].get(last, np.zeros(1)) == 1).any()
            for place in self.places.values()
            if place.population is not None
        )

    def _split(self, x: Tensor, n_axes: int, time: int | str | None) -> tuple[Tensor, int, Shape]:
        """A tensor as [steps, B, units...], whatever its order, its steps and the units' shape.

        Args:
            x: what enters or leaves a module.
            n_axes: axes of one sample; -1 where the axis of time says it.
            time: which axis is time; `FLAT` if it may be joined with the samples.
        """
        size, steps, order = self._size, self._steps, self._order
        n_lead = x.ndim - n_axes if n_axes >= 0 else 1 + isinstance(time, int)
        lead = tuple(x.shape[:n_lead])
        if n_lead == 0 and size == 1:
            return x[None, None], 1, tuple(x.shape)
        if lead and lead[0] == size and time is None and (n_lead == 1 or n_axes < 0):
            return x[None], 1, tuple(x.shape[1:])
        if n_lead == 1 and (n_axes >= 0 or time == FLAT) and lead[0] % size == 0:
            found = lead[0] // size
            if steps in (None, found):
                shape = (found, size) if order == "tb" else (size, found)
                x = x.reshape(*shape, *x.shape[1:])
                return x if order == "tb" else x.transpose(0, 1), found, tuple(x.shape[2:])
        if n_lead > 1:
            is_tb = lead[1] == size and steps in (None, lead[0]) and time != 1
            is_bt = lead[0] == size and steps in (None, lead[1]) and (order == "bt" or time == 1)
            if is_tb and lead[0] == size and time is None and steps is None and order == "tb":
                raise DataError(
                    f"of a tensor of shape {tuple(x.shape)} it is not clear which axis is that of "
                    f"{size} samples: choose batches of another size."
                )
            if is_bt and (order == "bt" or not is_tb):
                return x.transpose(0, 1), lead[1], tuple(x.shape[2:])
            if is_tb:
                return x, lead[0], tuple(x.shape[2:])
            if lead[0] == size:
                return x[None], 1, tuple(x.shape[1:])
        raise DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which no axis is that of the "
            f"{size} samples" + (f" (of {steps} steps)" if steps else "") + "."
        )

    def _split_loosely(self, x: Tensor) -> tuple[Tensor, int, Shape]:
        """The same where a module takes any number of axes."""
        n_lead = 1 + (x.shape[0] != self._size and x.shape[1:2] == (self._size,))
        return self._split(x, x.ndim - n_lead, None)

    def _place(
        self, name: str, module: nn.Module, shapes: tuple[Shape, Shape], reaches: int = 0
    ) -> Place:
        """The place of a module in these shapes; a new one where it has not run in them.

        Each unit of weights that neurons hold reaches so many, `reaches`.
        """
        found = self._by_shape.get((name, shapes[0]))
        if found is None:
            n_same = sum(key[0] == name for key in self._by_shape)
            unique = name if n_same == 0 else f"{name} ({n_same + 1})"
            found = Place(unique, module, *shapes)
            self._by_shape[name, shapes[0]] = self.places[unique] = found
            if reaches:
                found.fan_out = np.full(int(np.prod(shapes[0])), reaches, np.int64)
            elif isinstance(module, WEIGHTED):
                found.fan_out = fan_out(module, shapes[0])
            if isinstance(module, WEIGHTED):
                found.has_bias = module.bias is not None
        return found

    def _trace(self, x: Tensor, name: str, given: Given | None = None, by: str = "") -> None:
        """Remember who gave a tensor, what it holds, and by which module it went since."""
        held = StorageWeakRef(x.untyped_storage())  # type: ignore[no-untyped-call]
        self._traced.pop(self._latest.get(by or name, 0), None)
        self._traced[held.cdata], self._latest[by or name] = (held, name), held.cdata
        if given is not None:
            self._given[name] = (_key(x), given)

    def _source(self, x: Tensor) -> str | None:
        """The place that gave a tensor, or the memory that it is a view of."""
        held, name = self._traced.get(x.untyped_storage()._cdata, (None, ""))
        return None if held is None or held.expired() else name  # type: ignore[no-untyped-call]

    def _summary(self, x: Tensor, by_step: Tensor, source: str) -> Given:
        """What a tensor holds, unless it is known from its source."""
        known = self._given.get(source)
        if known is not None and known[0] == _key(x):
            return known[1]
        found = summary(by_step)
        self._given[source] = (_key(x), found)
        return found

    def _enter(self, place: Place, x: Tensor, by_step: Tensor, source: str | None = None) -> None:
        """Count what enters a layer or pooling: each unit times its fan-out."""
        assert place.fan_out is not None
        source = source or self._source(x)
        if source is None:
            is_first = self.input_shape is None or INPUT in place.sources
            source = INPUT if is_first else f"before {place.name}"
            self._trace(x, source)
        if source == INPUT and self.input_shape is None:
            self.input_shape = place.in_shape
        place.sources[source] = None
        given = self._summary(x, by_step, source)
        place.takes_values |= not given.whole
        place.peak = max(place.peak, given.peak)
        if place.alike:
            events, entries = given.spikes * place.alike, given.nonzero * place.alike
        else:
            flat = by_step.flatten(2)
            entries = self._weighted(place, flat if given.binary else _marks(flat), 1)
            events = entries
            if given.whole and not given.binary:
                events = self._weighted(place, flat.abs(), given.peak)
        for kind, found in (("events", events), ("entries", entries),
                            (f"spikes {source}", given.spikes),
                            (f"nonzero {source}", given.nonzero)):  # fmt: skip
            place.add(kind, found)

    def _weighted(self, place: Place, flat: Tensor, peak: float) -> Tensor:
        """Units times their fan-outs, exactly, int64 [B]."""
        assert place.fan_out is not None
        is_small = int(place.fan_out.sum()) * max(peak, 1.0) < _EXACT
        dtype = torch.float32 if is_small else torch.float64
        key = (flat.device, dtype)
        if key not in place.weights:
            place.weights[key] = torch.from_numpy(place.fan_out).to(*key)
        found = flat.to(dtype) @ place.weights[key]
        return found.to(torch.int64).sum(dim=0)

    def _layer(self, name: str, module: nn.Module, x: Tensor, out: Tensor) -> None:
        time, n_axes = self.known.time(module), unit_dimensions(module)
        by_step, steps, in_shape = self._split(x, n_axes, time)
        out_shape = self._split(out, n_axes, time)[2]
        place = self._place(name, module, (in_shape, out_shape))
        self._enter(place, x, by_step)
        place.add("steps", steps)
        self._trace(out, place.name)

    def _pooling(self, name: str, module: Any, x: Tensor, out: Tensor) -> None:
        time, n_axes = self.known.time(module), unit_dimensions(module)
        out = first_tensor(out)  # of a maximum that gives its indices, too
        by_step, steps, in_shape = self._split(x, n_axes, time)
        out_by_step, _, out_shape = self._split(out, n_axes, time)
        place = self._place(name, module, (in_shape, out_shape))
        if place.fan_out is None:
            place.fan_out = windows(module, in_shape, out_shape)
        if place.fan_out is None:
            self.unknown[name] = f"{name} ({type(module).__name__}, as it is set)"
            return
        self._enter(place, x, by_step)
        self._give(place, out, out_by_step)
        place.add("steps", steps)

    def _give(self, place: Place, out: Tensor, by_step: Tensor) -> None:
        """Count what leaves a place that others read."""
        given = summary(by_step)
        place.gives_values |= not given.whole
        place.add("spikes", given.spikes)
        place.add("values", given.nonzero)
        self._trace(out, place.name, given)

    def _norm(self, name: str, module: Any, x: Tensor, out: Tensor) -> None:
        """Folded into the weights before it; else a multiplication and an addition a unit."""
        source = self.places.get(self._source(x) or "")
        if source is not None and isinstance(source.module, WEIGHTED):
            source.has_bias = True
            self._trace(out, source.name)
            return
        self._by_unit(name, module, out, ("multiplications", "additions"))

    def _activation(self, name: str, module: Any, x: Tensor, out: Tensor) -> None:
        self._by_unit(name, module, out, ("comparisons",))

    def _by_unit(self, name: str, module: Any, out: Tensor, kinds: tuple[str, ...]) -> None:
        """Count what a module does with each of its units in each step."""
        by_step, steps, shape = self._split_loosely(out)
        place = self._place(name, module, (shape, shape))
        for kind in kinds:
            place.add(kind, steps * place.n_out)
        self._give(place, out, by_step)
        place.add("steps", steps)

    def _passing(self, name: str, module: Any, x: Tensor, out: Any) -> None:
        """What changes no number goes by its source's name; what drops some in training, too, but
        scales the others, so that they are spikes no more."""
        source = self._source(x)
        if source is None or not isinstance(out, Tensor) or self._source(out) is not None:
            return
        self._trace(out, source, by=name)
        if isinstance(module, DROPOUT) and module.training and module.p > 0:
            given = summary(self._split_loosely(out)[0])
            self._given[source] = (_key(out), replace(given, spikes=given.nonzero, whole=False))

    def _unknown(self, name: str, module: Any, x: Tensor, out: Any) -> None:
        found = first_tensor(out, none=True)
        if found is None or found.untyped_storage()._cdata != x.untyped_storage()._cdata:
            self.unknown[name] = f"{name} ({type(module).__name__})"

    def _neurons(
        self, name: str, module: nn.Module, population: Population, x: Tensor, out: Tensor
    ) -> None:
        by_step, steps, in_shape = self._split(x, -1, population.time)
        out_by_step, _, shape = self._split(out, -1, population.time)
        if not population.is_wiring:
            source = self._source(x)
            place = self._place(name, module, (shape, shape))
            place.population = population
            if population.input is None and source is not None:
                place.sources[source] = None
            for of in ("input", "recurrent"):
                if getattr(population, of) is not None:
                    place.sources[f"{name}.{of}"] = None
            self._fired(place, out, out_by_step, steps)
        if population.input is not None:
            self._held(f"{name}.input", population.input, population, shape, (x, by_step, in_shape))
        if population.recurrent is not None:
            given = (out, out_by_step, shape)
            self._held(f"{name}.recurrent", population.recurrent, population, shape, given)

    def _held(
        self,
        name: str,
        weight: nn.Module | Tensor,
        population: Population,
        shape: Shape,
        given: tuple[Tensor, Tensor, Shape],
    ) -> None:
        """Count what enters weights that neurons hold.

        Args:
            name: of these weights.
            weight: they.
            population: whose they are.
            shape: of what the neurons give.
            given: what enters, the same by step, and its shape.
        """
        x, by_step, in_shape = given
        reaches, layer = 0, weight
        if isinstance(weight, Tensor):
            is_input = weight is population.input
            layer = _as_layer(weight, population.bias if is_input else None)
            # A matrix, or one weight from each neuron to itself.
            if weight.ndim == 2:
                shape = (*shape[:-1], len(weight))
            without_own = population.without_autapses and not is_input
            reaches = 1 if weight.ndim < 2 else len(weight) - without_own
        assert isinstance(layer, nn.Module)
        place = self._place(name, layer, (in_shape, shape), reaches)
        self._enter(place, x, by_step)
        place.add("steps", len(by_step))

    def _fired(self, place: Place, out: Tensor, by_step: Tensor, steps: int) -> None:
        """What neurons have done, and given."""
        population, given = place.population, summary(by_step)
        assert population is not None
        if population.graded or not population.fires:
            given = replace(given, spikes=given.nonzero, whole=False)
        place.gives_values |= not population.fires
        place.add("spikes", given.spikes)
        place.add("values", given.nonzero)
        place.add("steps", steps)
        self._trace(out, place.name, given)


def _total(found: list[Any]) -> Any:
    """The sum of steps."""
    return torch.stack(found).sum(dim=0) if isinstance(found[0], Tensor) else sum(found)


def _named(name: str, module: nn.Module) -> str:
    """A module's name in the model; with its class before it those of a `Sequential`, which have
    numbers, and what is called as the ends of the network are."""
    is_plain = name and not name.isdigit() and name not in (INPUT, OUTPUT)
    return name if is_plain else f"{type(module).__name__} {name}".strip()


_SCRATCH: dict[tuple[torch.device, torch.dtype], Tensor] = {}


def _marks(flat: Tensor) -> Tensor:
    """1 where something is not zero, in the type of floating point that it has: comparisons that
    give bool take torch fifty times longer. It is memory that the next call takes again."""
    key = (flat.device, flat.dtype)
    if key not in _SCRATCH or _SCRATCH[key].numel() < flat.numel():
        _SCRATCH[key] = torch.empty(flat.numel(), device=flat.device, dtype=flat.dtype)
    return torch.ne(flat, 0, out=_SCRATCH[key][: flat.numel()].view(flat.shape))


def _is_zero(flat: Tensor) -> bool:
    """Whether all is zero; `any` takes fifty times longer."""
    low, high = torch.aminmax(flat)
    return bool(low == 0) and bool(high == 0)


def summary(by_step: Tensor) -> Given:
    """What a tensor [steps, B, units...] holds."""
    flat = by_step.flatten(2)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.float()
    marks = _marks(flat)
    dtype = torch.float32 if marks.shape[0] * marks.shape[2] < _EXACT else torch.float64
    nonzero = marks.sum(dim=(0, 2), dtype=dtype).to(torch.int64)
    if _is_zero(torch.sub(flat, marks, out=marks)):
        return Given(nonzero, nonzero, 1.0, whole=True)
    sizes = flat.abs()
    peak = float(sizes.max())
    if not _is_zero(torch.frac(flat, out=marks)):
        return Given(nonzero, nonzero, peak, whole=False)
    return Given(sizes.sum(dim=(0, 2), dtype=torch.float64).to(torch.int64), nonzero, peak, True)


def _key(x: Tensor) -> tuple[Any, ...]:
    """The same of two tensors that are the same numbers in the same memory; of inference tensors,
    which do not say whether they have changed, never."""
    version = object() if x.is_inference() else x._version
    view = x.numel() if x.is_contiguous() else (x.shape, x.stride())
    return x.untyped_storage()._cdata, x.storage_offset(), view, version


def first_tensor(values: Any, none: bool = False) -> Any:
    """The first tensor among arguments or in an output."""
    if isinstance(values, Tensor):
        return values
    inner = values.values() if isinstance(values, dict) else values
    if isinstance(values, list | tuple | dict):
        for one in inner:
            found = first_tensor(one, none=True)
            if found is not None:
                return found
    if none:
        return None
    raise DataError("a module takes or gives no tensor, and cannot be counted.")


def _as_layer(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Weights that neurons hold as a layer."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer
