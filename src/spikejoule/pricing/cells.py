"""The equations of a module's neurons, with the constants of the module.

A file of `simulators` reads them from the neurons of one simulator. Users state those
of their own classes: ``accelerate(..., neurons={MyNeuron: Cell(keep=0.9)})``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from torch import Tensor, nn

from spikejoule.core.errors import ParameterError

Constant = Tensor | float
"""A number for all neurons, or one each; a tensor may depend on parameters."""
Form = Literal[
    "arctangent",
    "boxcar",
    "exponential",
    "fast_sigmoid",
    "gaussian",
    "power",
    "sides",
    "sigmoid",
    "triangle",
]
Reset = Literal["none", "subtract", "zero"]
When = Literal["now", "next", "both"]
FORMS: Final[tuple[str, ...]] = get_args(Form)


@dataclass(frozen=True)
class Surrogate:
    """The derivative of a spike by the potential, height * form(slope * x).

    x is the potential minus the threshold, and y = slope * x. The forms:

        arctangent    1 / (1 + y^2)
        boxcar        1 if |y| < 1, else floor / height
        exponential   exp(-|y|)
        fast_sigmoid  1 / (1 + |y|)^2
        gaussian      exp(-y^2)
        power         (1 + y^2)^(-3/2)
        sides         1 where the neuron fires, else floor / height
        sigmoid       s (1 - s) with s = 1 / (1 + exp(-y))
        triangle      max(0, 1 - |y|)

    Attributes:
        form: one of these.
        height, slope: constants.
        floor: the derivative far from the threshold, of `boxcar` and `sides`.
    """

    form: Form
    height: float = 1.0
    slope: float = 1.0
    floor: float = 0.0


@dataclass(frozen=True, eq=False)
class Cell:
    """Neurons that compute, in every step t,

        v[t] = keep u[t-1] + gain (x[t] + R s[t-1])
        s[t] = 1 if v[t] > threshold (or >=), else 0
        u[t] = v[t] after its reset

    from u[-1] = 0, with the input x and the recurrent weights R.

    Attributes:
        keep: factor on the potential; 1 without a leak.
        gain: factor on what the neurons receive.
        threshold: of the potential.
        rest: what the module's potentials are above v; it is added to potentials that
            are returned.
        at_threshold: whether a potential equal to the threshold fires.
        reset: ``zero`` replaces the potential of a neuron that fires by 0, ``subtract``
            lowers it by the threshold, ``none`` leaves it.
        lowers_by: what ``subtract`` subtracts; None for the threshold.
        when: ``now``, at the spike. ``next``: the following step tests u[t-1] again,
            and zeroes it, or lowers v[t] by the threshold that keep did not scale; its
            potentials are those before the reset. ``both``: the following step does so,
            and u[t] is v[t] lowered by the difference of the two tests, as in snnTorch
            with ``reset_delay=False``.
        zeroes_input: whether a reset to zero in the next step also drops that step's
            input.
        detaches: whether no gradient passes through the reset at the spike. None
            ever passes through that in the next step, but for its threshold's.
        surrogate: the derivative of s; None for neurons that do not fire, and whose
            output is v.
        keep_current: factor on a synaptic current, which then takes the place of the
            input: i[t] = keep_current i[t-1] + x[t]; None without one.
        recurrent: R, a matrix [target, source]; None without.
        recurrent_bias: added to x in every step; None without.
        input_weight, input_bias: of weights that the module itself has.
        returns: what the module returns: ``spikes``, ``potentials``, or ``both`` in a
            tuple.
    """

    keep: Constant = 1.0
    gain: Constant = 1.0
    threshold: Constant = 1.0
    rest: Constant = 0.0
    at_threshold: bool = False
    reset: Reset = "zero"
    lowers_by: Constant | None = None
    when: When = "now"
    zeroes_input: bool = False
    detaches: bool = True
    surrogate: Surrogate | None = Surrogate("arctangent", 1.0, 3.141592653589793)
    keep_current: Constant | None = None
    recurrent: Tensor | None = None
    recurrent_bias: Tensor | None = None
    input_weight: Tensor | None = None
    input_bias: Tensor | None = None
    returns: Literal["spikes", "potentials", "both"] = "spikes"


ReadCell = Callable[[Any], Cell | None]


def refuse(module: nn.Module, has: str, allowed: str) -> ParameterError:
    """Return the error for neurons that are known, with a setting that is not."""
    return ParameterError(f"{type(module).__name__} has {has}; allowed is {allowed}.")
