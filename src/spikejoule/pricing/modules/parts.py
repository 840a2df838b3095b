"""The parts of a model: what each module is, and what happens when it has run."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import nn

from spikejoule.pricing.modules.axes import ANY_LAYOUT, ModuleLayout
from spikejoule.pricing.modules.layers import (
    COUNTED,
    NORMS,
    PASSING,
    POOLING,
    WEIGHTED,
    Mean,
    float_layer,
    unit_dimensions,
)
from spikejoule.pricing.modules.neurons import FLAT, PACKAGES, Known, Population
from spikejoule.pricing.tensors.nested import has_memory
from spikejoule.pricing.torch_private import COMPUTING_METHODS

INPUT: Final = "input"
OUTPUT: Final = "output"
KNOWN: Final = ("torch", *PACKAGES)
"""Packages whose code is known: PyTorch and the simulators."""


class Role(Enum):
    """What happens when a module has run."""

    COUNTED = auto()
    PASSING = auto()  # it changes no number, so its output keeps the input's trace
    OTHER = auto()  # it is named, unless it returns what it took


class Functions(Enum):
    """What happens to the functions that a module runs itself."""

    COUNTED = auto()  # they are counted with the module, or change no number
    DESCRIBED = auto()  # products are counted; a `Population` describes the others
    EXTENDED = auto()  # those of a simulator's code are counted with the module
    REPORTED = auto()  # products are counted, and others reported


@dataclass(frozen=True)
class Omission:
    """A part of a model that was not counted.

    Attributes:
        name: of a module, of a weight, or of what enters a module.
        kind: its class; empty where it has none.
        reason: why it was not counted, where that is not its kind.
        functions: the functions of a module that were not counted; empty for all of it.
        model: the model, unless it is the one to price.
    """

    name: str
    kind: str = ""
    reason: str = ""
    functions: tuple[str, ...] = ()
    model: str = ""

    def __str__(self) -> str:
        what = ", ".join(filter(None, (self.kind, self.reason)))
        details = ": ".join(filter(None, (what, ", ".join(self.functions))))
        return f"{self.name} ({details}){f' of {self.model}' if self.model else ''}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which it is accepted: those of its functions, or its class."""
        return self.functions or (self.kind or self.name,)

    def is_among(self, accepted: Collection[str]) -> bool:
        """Whether its name, its class, or all of its functions are accepted."""
        if self.name in accepted or self.kind in accepted:
            return True
        return bool(self.functions) and all(name in accepted for name in self.functions)


@dataclass(frozen=True, eq=False)
class Part:
    """A module of a model.

    Attributes:
        module: the module.
        layer: the module, or a layer in floats with its weights (`float_layer`).
        name: in the model.
        role: None where nothing happens: containers, and modules inside neurons.
        functions: what happens to its functions; None for modules inside neurons, whose
            functions are those of the neurons.
        layout: of its tensors.
        population: how its neurons are counted; None without neurons.
    """

    module: nn.Module
    layer: nn.Module
    name: str
    role: Role | None
    functions: Functions | None
    layout: ModuleLayout
    population: Population | None

    def omission(self, functions: Iterable[str] = (), reason: str = "") -> Omission:
        """Return it, or functions that it runs, as not counted, and the reason.

        PyTorch's own modules do one thing each, whatever functions that takes.
        """
        class_name = type(self.module).__name__
        does_one_thing = (
            self.role is Role.OTHER and package_of(type(self.module)) == "torch"
        )
        kind = "" if self.name == class_name else class_name
        named = () if does_one_thing else tuple(functions)
        return Omission(self.name, kind, reason, named)


class ModelParts:
    """The parts of a model.

    Attributes:
        root: the model.
        parts: by module, without modules that are weights of neurons.
        call: the model as it is called: its hooks and its `__call__`.
        unknown: by name, what never runs hooks.
        weight_names: the names of parameters and buffers, by their memory.
    """

    def __init__(self, model: nn.Module, known: Known) -> None:
        self.root = model
        self._known = known
        self._names = {
            module: _named(name, module) for name, module in model.named_modules()
        }
        self._layers = {module: float_layer(module) for module in self._names}
        self._populations: dict[nn.Module, Population] = {}
        # Modules inside neurons or TorchScript, which are not counted themselves.
        self._inner: set[nn.Module] = set()
        for module in self._names:
            self._describe(module)
        self.unknown: dict[str, Omission] = {}
        self.weight_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        for module in self._names:
            self._add_weight_names(module)
        held: set[nn.Module] = set()
        for population in self._populations.values():
            held.update(population.own_layers.values())
            held.update(population.holds)
        self.parts = {
            module: Part(
                module,
                self._layers[module],
                name,
                role := self._role(module),
                self._functions(module, role),
                self._layout(module),
                self._populations.get(module),
            )
            for module, name in self._names.items()
            if module not in held
        }
        self.call = self.parts[model]
        if self.call.functions is not Functions.REPORTED:
            self.call = replace(self.call, functions=Functions.REPORTED)

    @property
    def is_time_second(self) -> bool:
        """Whether some neurons take [B, T, ...]."""
        return any(population.time == 1 for population in self._populations.values())

    def _describe(self, module: nn.Module) -> None:
        """Find out whether a module is neurons, and which modules are inside it."""
        population = None if module in self._inner else self._known.describe(module)
        if population is not None:
            self._populations[module] = population
        is_neurons = population is not None and not population.is_wiring
        if is_neurons or isinstance(module, torch.jit.ScriptModule):
            self._inner.update(set(module.modules()) - {module})

    def _layout(self, module: nn.Module) -> ModuleLayout:
        if module in self._populations:
            return ModuleLayout(time=self._populations[module].time)
        return layout_of(self._layers[module], self._known.time(module))

    def _role(self, module: nn.Module) -> Role | None:
        """Decide what happens when a module has run; name what is never counted."""
        name = self._names[module]
        if module in self._populations:
            return Role.COUNTED
        if not has_own_forward(module):
            if isinstance(self._layers[module], COUNTED):
                return Role.COUNTED
            if isinstance(module, PASSING):
                return Role.PASSING
        if module in self._inner or "parametrizations" in name.split("."):
            return None
        if isinstance(module, torch.jit.ScriptModule):
            # TorchScript calls no hooks.
            self.unknown[name] = Omission(name, reason="scripted")
            return None
        return None if self._is_container(module) else Role.OTHER

    def _functions(self, module: nn.Module, role: Role | None) -> Functions | None:
        """Decide what happens to the functions that a module runs itself."""
        if module in self._populations:
            if isinstance(module, tuple(self._known.own)):
                return Functions.DESCRIBED
            is_own = package_of(type(module)) not in PACKAGES or has_own_forward(module)
            return Functions.EXTENDED if is_own else Functions.COUNTED
        if role in (Role.COUNTED, Role.PASSING):
            return Functions.COUNTED
        runs_no_hooks = isinstance(module, torch.jit.ScriptModule)
        return None if module in self._inner or runs_no_hooks else Functions.REPORTED

    def _add_weight_names(self, module: nn.Module) -> None:
        """Name the parameters and buffers of a module."""
        name = self._names[module]
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        buffers = module.named_buffers(recurse=False, remove_duplicate=False)
        for key, tensor in (*parameters, *buffers):
            if not has_memory(tensor):
                continue
            is_layer = key == "weight" and name != type(module).__name__
            words = name if is_layer else f"{name}.{key}"
            self.weight_names.setdefault(tensor.untyped_storage(), words)

    def _is_container(self, module: nn.Module) -> bool:
        if isinstance(module, nn.Sequential):
            return True
        return any(
            isinstance(self._layers[inner], COUNTED) or inner in self._populations
            for inner in module.modules()
        )


def layout_of(layer: nn.Module, time: int | None = None) -> ModuleLayout:
    """Return the axes of a layer's tensors.

    Args:
        layer: a PyTorch module.
        time: the time axis of its input; None if it takes one step.
    """
    if isinstance(layer, NORMS):
        # The channels come second: they are not the samples, even if there are as many.
        return ModuleLayout(time=FLAT if time is None else time)
    if isinstance(layer, Mean) or not isinstance(layer, (*WEIGHTED, *POOLING)):
        return ANY_LAYOUT
    return ModuleLayout(unit_dimensions(layer), time)


def package_of(code: Any) -> str:
    """Return the package of a class or function."""
    module: str = getattr(code, "__module__", None) or ""
    return module.partition(".")[0]


def has_own_forward(module: nn.Module) -> bool:
    """Whether a module computes something else than its PyTorch or simulator class."""
    kind = type(module)
    methods = [getattr(module, name, None) for name in COMPUTING_METHODS]
    # A single module may have another function in place of a method.
    methods += [
        value
        for name, value in vars(module).items()
        if callable(value) and hasattr(kind, name)
    ]
    return any(package_of(method) not in KNOWN for method in methods if method)


def _named(name: str, module: nn.Module) -> str:
    """Return a module's name in the model.

    The class stands before a number, such as a `Sequential` has, and before the names
    of the network's two ends.
    """
    is_plain = name and not name.isdigit() and name not in (INPUT, OUTPUT)
    return name if is_plain else f"{type(module).__name__} {name}".strip()
