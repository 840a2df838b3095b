"""How the neurons of a module are counted.

A file of `simulators` says it for the classes of one simulator; a user says it for
their own classes, ``price(..., neurons={MyNeuron: Population()})``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from spikejoule.core.errors import in_one_sentence

Factor = Tensor | float

FLAT: Final = "flat"
"""The axis of time of modules that take steps and samples joined to one axis."""
PACKAGES: Final = sorted(
    file.name for file in iter_modules([str(Path(__file__).with_name("simulators"))])
)
"""By which simulators are imported."""


@dataclass(frozen=True, eq=False)
class Population:
    """How the neurons of a module work.

    Attributes:
        keeps: of each state that leaks, the factor that a step multiplies it with, of
            all neurons or of each; a factor of 1 is no leak. By default the potential
            leaks.
        states: of a neuron: its potential, a synaptic current, an adaptive threshold.
        resets: whether a spike resets the potential.
        fires: False for a readout, which gives its potential.
        graded: whether what a spike gives is another number than 1, which takes a
            multiplication.
        time: the axis of time of what the module takes and gives, 0 or 1, or `FLAT`;
            None if it takes one step.
        input, recurrent: its own weights, if it has any: between what it takes and its
            neurons, and between these. A module of `torch.nn` (Linear, a convolution),
            a matrix [target, source], or a number for each neuron, which reaches itself
            alone.
        holds: parts of the module that these weights are made of.
        bias: of its own weights; None without.
        without_autapses: whether no neuron reaches itself through `recurrent`.
        is_wiring: whether the module has weights alone, and the neurons are one of its
            parts.
        lost: what they do that no graph of NIR can say, in words; `verify` names it.
    """

    keeps: Sequence[Factor] = (0.0,)
    states: int = 1
    resets: bool = True
    fires: bool = True
    graded: bool = False
    time: int | str | None = None
    input: nn.Module | Tensor | None = None
    recurrent: nn.Module | Tensor | None = None
    holds: tuple[nn.Module, ...] = ()
    bias: Tensor | None = None
    without_autapses: bool = False
    is_wiring: bool = False
    lost: str = ""

    def leaks(self, n_units: int) -> int:
        """Multiplications by which the states of n neurons leak in a step."""
        total = 0
        for keep in self.keeps:
            factors = torch.as_tensor(keep)
            neurons_of_each = n_units // factors.numel()
            total += neurons_of_each * int((factors != 1).sum())
        return total

    @cached_property
    def own_layers(self) -> dict[str, Any]:
        """Weights that neurons hold as layers, by ``input`` or ``recurrent``."""
        weights = {"input": self.input, "recurrent": self.recurrent}
        return {
            kind: weight
            if isinstance(weight, nn.Module)
            else self._as_layer(kind, weight)
            for kind, weight in weights.items()
            if weight is not None
        }

    def _as_layer(self, kind: str, weight: Tensor) -> nn.Linear:
        """A matrix, or one weight from each neuron to itself, as a layer."""
        layer = nn.Linear(1, 1, bias=False)
        layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
        layer.out_features = len(weight) if weight.ndim == 2 else 1
        if kind == "recurrent" and weight.ndim == 2 and self.without_autapses:
            layer.out_features -= 1
        if kind == "input" and self.bias is not None:
            layer.bias = nn.Parameter(self.bias.detach(), requires_grad=False)
        return layer


Describe = Callable[[Any], Population | None]


@dataclass(frozen=True)
class Simulator:
    """What is known of a simulator's modules.

    Attributes:
        describe: the neurons of a module; None for another module.
        reset: forgets the states of a module that has some.
        time: the axis of time of what a module with weights takes; None if it takes one
            step.
        carries_state: whether a model takes its state beside its input, and gives both.
    """

    describe: Describe
    reset: Callable[[Any], None] = lambda module: None
    time: Callable[[Any], int | None] = lambda module: None
    carries_state: bool = False


def class_names(module: Any) -> set[str]:
    """The names of a module's class and of those that it is derived from."""
    return {kind.__name__ for kind in type(module).__mro__}


@dataclass(frozen=True)
class Known:
    """All that is known of a model's modules.

    Attributes:
        simulators: those whose modules the model has, by the names of their packages.
        own: what a user says of classes.
        pruned: whether a weight of 0 is no weight.
        requantises: whether it computes in integers, of which each unit is rescaled and
            clipped: that is counted of the units, and no operation that has to be
            known.
    """

    simulators: Mapping[str, Simulator] = field(default_factory=dict)
    own: Mapping[type, Population | Describe] = field(default_factory=dict)
    pruned: bool = False
    requantises: bool = False

    @classmethod
    def of(
        cls, model: nn.Module, own: Mapping[type, Population | Describe] | None = None
    ) -> Self:
        """What is known of a model, whose simulators are those of whose modules it
        consists.
        """
        kinds = {kind for module in model.modules() for kind in type(module).__mro__}
        roots = {kind.__module__.partition(".")[0] for kind in kinds}
        simulators = {
            package: import_module(f"spikejoule.pricing.simulators.{package}").SIMULATOR
            for package in PACKAGES
            if package in roots
        }
        return cls(simulators, own or {})

    @property
    def packages(self) -> list[str]:
        """Names of its simulators; without one that of torch."""
        return [*self.simulators] or ["torch"]

    def describe(self, module: nn.Module) -> Population | None:
        """The neurons of a module; None if it is none that is known."""
        for kind, said in self.own.items():
            if isinstance(module, kind):
                with in_one_sentence(f"what neurons says of {kind.__name__}"):
                    return said if isinstance(said, Population) else said(module)
        for simulator in self.simulators.values():
            population = simulator.describe(module)
            if population is not None:
                return population
        return None

    def time(self, module: nn.Module) -> int | None:
        """The axis of time of what a module takes that has no neurons."""
        for simulator in self.simulators.values():
            axis = simulator.time(module)
            if axis is not None:
                return axis
        return None

    def reset(self, model: nn.Module) -> None:
        """Forget all states."""
        for module in model.modules():
            for simulator in self.simulators.values():
                simulator.reset(module)
            forget: Any = getattr(module, "reset", None)
            if isinstance(module, tuple(self.own)) and callable(forget):
                forget()
