"""The parts of a model: what each module is, and what happens when it has run."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import torch
from torch import nn

from spikejoule.pricing.layers import (
    COUNTED,
    PASSING,
    POOLING,
    WEIGHTED,
    unit_dimensions,
)
from spikejoule.pricing.neurons import PACKAGES, Known, Population
from spikejoule.pricing.tensors import ANY_LAYOUT, ModuleLayout

INPUT: Final = "input"
OUTPUT: Final = "output"


class Role(Enum):
    """What happens when a module has run."""

    COUNTED = auto()
    PASSING = auto()  # it changes no number, so its output keeps the input's trace
    OTHER = auto()  # it is named, unless it returns what it took


@dataclass(frozen=True, eq=False)
class Part:
    """A module of a model.

    Attributes:
        module: the module.
        name: in the model.
        role: None where nothing happens: containers, and modules inside neurons.
        layout: of its tensors.
        population: how its neurons are counted; None without neurons.
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
    """The parts of a model.

    Attributes:
        parts: by module, without modules that are weights of neurons.
        unknown: in words, by name: what has parameters and is not counted.
        is_compiled: whether `torch.compile` made some of it, which runs no hooks.
    """

    def __init__(self, model: nn.Module, known: Known) -> None:
        self._known = known
        self._names = {
            module: _named(name, module) for name, module in model.named_modules()
        }
        self._populations: dict[nn.Module, Population] = {}
        # Modules inside neurons or TorchScript, which are not counted themselves.
        self._inner: set[nn.Module] = set()
        for module in self._names:
            self._describe(module)
        self.unknown: dict[str, str] = {}
        self.is_compiled = any(
            type(module).__name__ == "OptimizedModule" for module in self._names
        )
        held: set[nn.Module] = set()
        for population in self._populations.values():
            held.update(population.own_layers.values())
            held.update(population.holds)
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
        if isinstance(module, (*WEIGHTED, *POOLING)):
            return ModuleLayout(unit_dimensions(module), self._known.time(module))
        return ANY_LAYOUT

    def _role(self, module: nn.Module) -> Role | None:
        """Decide what happens when a module has run; name what is never counted."""
        name = self._names[module]
        class_name = type(module).__name__
        if module in self._populations:
            self._name_matrices(module)
            return Role.COUNTED
        if isinstance(module, COUNTED):
            package = getattr(module.forward, "__module__", "").partition(".")[0]
            if package not in ("torch", *PACKAGES):
                self.unknown[f"{name}.forward"] = (
                    f"{name} ({class_name}, which has a forward of its own)"
                )
            return Role.COUNTED
        if isinstance(module, PASSING):
            return Role.PASSING
        if module in self._inner or "parametrizations" in name.split("."):
            return None
        if isinstance(module, torch.jit.ScriptModule):
            # TorchScript calls no hooks.
            self.unknown[name] = f"{name} (scripted)"
            return None
        if any(parameter is not None for parameter in module._parameters.values()):
            self.unknown[name] = f"{name} ({class_name}, which has parameters)"
        return None if self._is_container(module) else Role.OTHER

    def _is_container(self, module: nn.Module) -> bool:
        if isinstance(module, nn.Sequential):
            return True
        return any(
            isinstance(inner, COUNTED) or inner in self._populations
            for inner in module.modules()
        )

    def _name_matrices(self, module: nn.Module) -> None:
        """Name matrices of a user's neurons that `Population` does not mention."""
        population = self._populations[module]
        has_weights = population.input is not None or population.recurrent is not None
        if has_weights or not isinstance(module, tuple(self._known.own)):
            return
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.ndim == 2:
                name = f"{self._names[module]}.{key}"
                self.unknown[name] = (
                    f"{name} (a matrix, which its Population does not name)"
                )


def _named(name: str, module: nn.Module) -> str:
    """Return a module's name in the model.

    The class stands before a number, such as a `Sequential` has, and before the names
    of the network's two ends.
    """
    is_plain = name and not name.isdigit() and name not in (INPUT, OUTPUT)
    return name if is_plain else f"{type(module).__name__} {name}".strip()
