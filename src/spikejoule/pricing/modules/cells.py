"""The equations of a module's neurons, with the values of its constants.

A file of `simulators` reads them from the neurons of one simulator. Users state those
of their own classes: ``accelerate(..., neurons={MyNeuron: Cell(keep=0.9)})``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import Any, Final, Literal

from torch import Tensor

from spikejoule.core.errors import ParameterError
from spikejoule.engine.differentiable.chain import Potentials
from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
from spikejoule.network.surrogates import SURROGATES

Constant = Tensor | float
"""A number for all neurons, or one each; a tensor may depend on parameters."""

WITH_ARCTANGENT: Final = Dynamics(SurrogateShape("arctangent", 1.0, pi))
"""Neurons with the surrogate of Fang et al., ICCV 2021, arXiv:2007.05785; slope 2."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Neurons with the equations of `Dynamics`, and their constants.

    Attributes:
        dynamics: the equations.
        keep: fraction of the potential left after a step; 1 without a leak.
        gain: factor on what the neurons receive; not 0.
        threshold: above 0.
        rest: what the module's potentials are above those of the equations, which start
            at 0.
        input_weight, input_bias: of weights that the module itself has; None without.
        recurrent: its recurrent weights, a matrix [target, source], or one number per
            neuron, which then reaches only itself; None without.
        recurrent_bias: added to the input in every step; None without.
        returns: what the module returns: ``spikes``, ``potentials``, or ``both`` in a
            tuple.
        potentials: which potentials these are.
    """

    dynamics: Dynamics = WITH_ARCTANGENT
    keep: Constant = 1.0
    gain: Constant = 1.0
    threshold: Constant = 1.0
    rest: Constant = 0.0
    input_weight: Tensor | None = None
    input_bias: Tensor | None = None
    recurrent: Tensor | None = None
    recurrent_bias: Tensor | None = None
    returns: Literal["spikes", "potentials", "both"] = "spikes"
    potentials: Potentials = "after_reset"


ReadCell = Callable[[Any], Cell | None]


def refuse(module: object, has: str, allowed: str) -> ParameterError:
    """Return the error for a known module with a setting that is not allowed."""
    return ParameterError(f"{type(module).__name__} has {has}; allowed is {allowed}.")


def surrogate_name(read: Callable[[Any], SurrogateShape], module: Any) -> str | None:
    """Return the name of a module's surrogate among `network.surrogates`.

    None for one whose operations are not known there, or that cannot be read.
    """
    try:
        shape = read(module).shape
    except (AttributeError, ParameterError):
        return None
    return shape if shape in SURROGATES else None


def fixed(value: Constant, module: object, name: str) -> float:
    """Return a constant that may not be learned, as one number.

    Raises:
        ParameterError: it is learned, or differs between neurons.
    """
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise refuse(module, f"a learned {name}", "one without a gradient")
        if value.numel() != 1:
            raise refuse(module, f"one {name} for each neuron", "one for all")
    return float(value)
