"""What is known of the modules of a model: by its simulators, and by what a user says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final, Self

from torch import nn

from spikejoule.core.errors import in_one_sentence
from spikejoule.pricing import simulators
from spikejoule.pricing.neurons import Describe, Population, Simulator

PACKAGES: Final = sorted(file.name for file in iter_modules(simulators.__path__))
"""By which simulators are imported."""


@dataclass(frozen=True)
class Known:
    """All that is known of a model's modules.

    Attributes:
        simulators: those whose modules the model has.
        own: what a user says of classes.
        pruned: whether a weight of 0 is no weight.
        requantises: whether it computes in integers, of which each unit is rescaled and clipped:
            that is counted of the units, and no operation that has to be known.
    """

    simulators: tuple[Simulator, ...] = ()
    own: Mapping[type, Population | Describe] = field(default_factory=dict)
    pruned: bool = False
    requantises: bool = False

    @classmethod
    def of(cls, model: nn.Module, own: Mapping[type, Population | Describe] | None = None) -> Self:
        """What is known of a model, whose simulators are those of whose modules it consists."""
        kinds = {kind for module in model.modules() for kind in type(module).__mro__}
        roots = {kind.__module__.partition(".")[0] for kind in kinds}
        used = [package for package in PACKAGES if package in roots]
        files = [import_module(f"{simulators.__name__}.{package}") for package in used]
        return cls(tuple(file.SIMULATOR for file in files), own or {})

    @property
    def packages(self) -> list[str]:
        """Names of its simulators; without one that of torch."""
        return [simulator.package for simulator in self.simulators] or ["torch"]

    def describe(self, module: nn.Module) -> Population | None:
        """The neurons of a module; None if it is none that is known."""
        for kind, said in self.own.items():
            if isinstance(module, kind):
                with in_one_sentence(f"what neurons says of {kind.__name__}"):
                    return said if isinstance(said, Population) else said(module)
        for simulator in self.simulators:
            population = simulator.describe(module)
            if population is not None:
                return population
        return None

    def time(self, module: nn.Module) -> int | None:
        """The axis of time of what a module takes that has no neurons."""
        for simulator in self.simulators:
            axis = simulator.time(module)
            if axis is not None:
                return axis
        return None

    def reset(self, model: nn.Module) -> None:
        """Forget all states."""
        for module in model.modules():
            for simulator in self.simulators:
                simulator.reset(module)
            forget: Any = getattr(module, "reset", None)
            if isinstance(module, tuple(self.own)) and callable(forget):
                forget()
