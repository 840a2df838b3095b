"""How the neurons of a module are counted.

A file of `simulators` says it for the classes of one simulator; a user says it for their own
classes, ``price(..., neurons={MyNeuron: Population()})``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

Factor = Tensor | float

FLAT: Final = "flat"
"""The axis of time of modules that take steps and samples joined to one axis."""


@dataclass(frozen=True, eq=False)
class Population:
    """How the neurons of a module work.

    Attributes:
        keeps: of each state that leaks, the factor that a step multiplies it with, of all neurons
            or of each; a factor of 1 is no leak. By default the potential leaks.
        states: of a neuron: its potential, a synaptic current, an adaptive threshold.
        resets: whether a spike resets the potential.
        fires: False for a readout, which gives its potential.
        graded: whether what a spike gives is another number than 1, which takes a multiplication.
        time: the axis of time of what the module takes and gives, 0 or 1, or `FLAT`; None if it
            takes one step.
        input, recurrent: its own weights, if it has any: between what it takes and its neurons, and
            between these. A module of `torch.nn` (Linear, a convolution), a matrix [target,
            source], or a number for each neuron, which reaches itself alone.
        holds: parts of the module that these weights are made of.
        bias: of its own weights; None without.
        without_autapses: whether no neuron reaches itself through `recurrent`.
        is_wiring: whether the module has weights alone, and the neurons are one of its parts.
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

    def as_layer(self, weight: Tensor) -> nn.Linear:
        """Weights that neurons hold as a layer: a matrix, or one weight from each to itself."""
        is_input = weight is self.input
        layer = nn.Linear(1, 1, bias=False)
        layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
        layer.out_features = len(weight) if weight.ndim == 2 else 1
        if weight.ndim == 2 and self.without_autapses and not is_input:
            layer.out_features -= 1
        if is_input and self.bias is not None:
            layer.bias = nn.Parameter(self.bias.detach(), requires_grad=False)
        return layer


Describe = Callable[[Any], Population | None]


@dataclass(frozen=True)
class Simulator:
    """What is known of a simulator's modules.

    Attributes:
        package: the name by which it is imported.
        describe: the neurons of a module; None for another module.
        reset: forgets the states of a module that has some.
        time: the axis of time of what a module with weights takes; None if it takes one step.
        carries_state: whether a model takes its state beside its input, and gives both.
    """

    package: str
    describe: Describe
    reset: Callable[[Any], None] = lambda module: None
    time: Callable[[Any], int | None] = lambda module: None
    carries_state: bool = False


def class_names(module: Any) -> set[str]:
    """The names of a module's class and of those that it is derived from."""
    return {kind.__name__ for kind in type(module).__mro__}
