"""How the neurons of a module are counted.

A file of `simulators` describes the classes of one simulator. Users describe their own
classes: ``price(..., neurons={MyNeuron: Population()})``.
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

from spikejoule.core.errors import ParameterError, in_one_sentence
from spikejoule.network.surrogates import SURROGATES
from spikejoule.pricing.modules.cells import Cell
from spikejoule.pricing.modules.layers import OverTime, matrix_layer

Factor = Tensor | float

FLAT: Final = "flat"
"""The time axis of modules that take steps and samples merged into one axis."""
PACKAGES: Final = sorted(
    file.name for file in iter_modules([str(Path(__file__).parents[1] / "simulators")])
)
"""The packages of the simulators, by the names they are imported with."""


@dataclass(frozen=True, eq=False)
class Population:
    """How the neurons of a module work.

    Attributes:
        keeps: for each state that leaks, the factor applied in a step, one for all
            neurons or one each; a factor of 1 is no leak. By default the potential
            leaks.
        states: how many a neuron has: its potential, a synaptic current, an adaptive
            threshold.
        multiplications: further ones of a neuron in a step, besides the leaks.
        constants: how many it adds to its states in a step.
        resets: whether a spike resets the potential; or by how many additions.
        reset_multiplications: of a reset.
        fires: False for a readout, which emits its potential.
        graded: whether a spike has another size than 1, which takes a multiplication.
        time: the time axis of the module's input and output, 0 or 1, or `FLAT`; None if
            it takes one step.
        input, recurrent: weights of its own, between its input and its neurons, and
            between its neurons: a `torch.nn` module (Linear, a convolution), a matrix
            [target, source], or one number per neuron, which then reaches only itself.
        over_time: weights of its own between the steps of a neuron, with which it sums
            its input over time; None without.
        holds: parts of the module that these weights are made of.
        bias: of the input weights; None without.
        without_autapses: whether no neuron reaches itself through `recurrent`.
        threshold: at which a neuron fires; None if it is not known.
        gain: factor on what a neuron receives; None if it is not known.
        surrogate: name of its surrogate derivative (`network.surrogates`), of which the
            energy of training asks; None if it is not known.
        uncounted: what else it computes, which no count contains: it is named.
        is_wiring: whether the module only holds weights, and its neurons are one of its
            submodules.

    Raises ParameterError for a surrogate that has no such name.
    """

    keeps: Sequence[Factor] = (0.0,)
    states: int = 1
    multiplications: int = 0
    constants: int = 0
    resets: int = True
    reset_multiplications: int = 0
    fires: bool = True
    graded: bool = False
    time: int | str | None = None
    input: nn.Module | Tensor | None = None
    recurrent: nn.Module | Tensor | None = None
    over_time: OverTime | None = None
    holds: tuple[nn.Module, ...] = ()
    bias: Tensor | None = None
    without_autapses: bool = False
    threshold: Factor | None = None
    gain: Factor | None = None
    surrogate: str | None = None
    uncounted: tuple[str, ...] = ()
    is_wiring: bool = False

    def __post_init__(self) -> None:
        if self.surrogate is not None and self.surrogate not in SURROGATES:
            raise ParameterError(
                f"surrogate is {self.surrogate!r}; allowed: {', '.join(SURROGATES)}."
            )

    def leaks(self, n_units: int) -> int:
        """Count the multiplications by which the states of `n_units` leak in a step."""
        total = 0
        for keep in self.keeps:
            factors = torch.as_tensor(keep)
            neurons_per_factor = n_units // factors.numel()
            total += neurons_per_factor * int((factors != 1).sum())
        return total

    @cached_property
    def own_layers(self) -> dict[str, Any]:
        """The module's own weights as layers, by the names of the attributes."""
        layers: dict[str, Any] = {}
        weights = {
            "input": self.input,
            "over_time": self.over_time,
            "recurrent": self.recurrent,
        }
        for side, weight in weights.items():
            if isinstance(weight, nn.Module):
                layers[side] = weight
            elif weight is not None:
                layers[side] = self._as_layer(side, weight)
        return layers

    def _as_layer(self, side: str, weight: Tensor) -> nn.Linear:
        """Make a layer of a matrix, or of one weight from each neuron to itself.

        Only its weight, bias and `out_features`, the fan-out of an input unit, are
        read; it never runs.
        """
        layer = matrix_layer(weight, self.bias if side == "input" else None)
        if weight.ndim < 2:
            layer.out_features = 1
        elif side == "recurrent" and self.without_autapses:
            layer.out_features -= 1
        return layer


Describe = Callable[[Any], Population | None]


@dataclass(frozen=True)
class Simulator:
    """What is known of a simulator's modules.

    Attributes:
        describe: returns how a module's neurons are counted; None without neurons.
        reset: resets the states of a module, if it has any.
        time: returns the time axis of a layer's input; None if it takes one step.
        carries_state: whether a model takes and returns its state with its input.
        cell: returns the equations of a module's neurons; None where they are not
            known.
    """

    describe: Describe
    reset: Callable[[Any], None] = lambda module: None
    time: Callable[[Any], int | None] = lambda module: None
    carries_state: bool = False
    cell: Callable[[Any], Cell | None] = lambda module: None


def class_names(module: Any) -> set[str]:
    """Return the names of a module's class and of its base classes."""
    return {kind.__name__ for kind in type(module).__mro__}


@dataclass(frozen=True)
class Known:
    """Everything known about the modules of a model.

    Attributes:
        simulators: by package name, those whose modules the model has.
        own: the user's descriptions, by class.
        pruned: whether a weight of 0 is no weight.
        requantises: whether the model computes in integers: each unit is then rescaled
            and clipped, which is counted with the units and needs no module.
    """

    simulators: Mapping[str, Simulator] = field(default_factory=dict)
    own: Mapping[type, Population | Describe] = field(default_factory=dict)
    pruned: bool = False
    requantises: bool = False

    @classmethod
    def of(
        cls,
        model: nn.Module,
        own: Mapping[type, Population | Describe] | None = None,
        pruned: bool = False,
    ) -> Self:
        """Find the simulators of a model by the packages of its modules' classes."""
        classes = {base for module in model.modules() for base in type(module).__mro__}
        packages = {base.__module__.partition(".")[0] for base in classes}
        simulators = {
            package: import_module(f"spikejoule.pricing.simulators.{package}").SIMULATOR
            for package in PACKAGES
            if package in packages
        }
        return cls(simulators, own or {}, pruned)

    @property
    def packages(self) -> list[str]:
        """The names of its simulators; PyTorch without one."""
        return [*self.simulators] or ["torch"]

    def describe(self, module: nn.Module) -> Population | None:
        """Return how a module's neurons are counted; None without known neurons."""
        for kind, description in self.own.items():
            if isinstance(module, kind):
                with in_one_sentence(f"what neurons says of {kind.__name__}"):
                    if isinstance(description, Population):
                        return description
                    return description(module)
        for simulator in self.simulators.values():
            population = simulator.describe(module)
            if population is not None:
                return population
        return None

    def time(self, module: nn.Module) -> int | None:
        """Return the time axis of a layer's input; None if it takes one step."""
        for simulator in self.simulators.values():
            axis = simulator.time(module)
            if axis is not None:
                return axis
        return None

    def reset(self, model: nn.Module) -> None:
        """Reset the states of all neurons."""
        for module in model.modules():
            for simulator in self.simulators.values():
                simulator.reset(module)
            reset: Any = getattr(module, "reset", None)
            if isinstance(module, tuple(self.own)) and callable(reset):
                reset()
