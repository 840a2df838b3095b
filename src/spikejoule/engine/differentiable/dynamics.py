"""The neurons of one layer as data: all that the kernels distinguish.

In each step, with input x (all synapses and biases, recurrent ones too),

    i[t] = keep_current * i[t-1] + x[t]      synaptic current
    v[t] = keep * u[t-1] + gain * i[t]       potential before the reset
    s[t] = 1 if v[t] >= threshold else 0     spike (or v[t] > threshold)
    u[t] = reset of v[t]                     potential after the reset

from i = u = 0. The resets:

    none            u[t] = v[t]
    zero            u[t] = (1 - s[t]) v[t]
    subtract        u[t] = v[t] - s[t] threshold
    subtract_next   u[t] = v[t]; v[t+1] is lowered by s[t] threshold
    zero_next       u[t] = v[t]; v[t+1] is multiplied by 1 - s[t]

Backward, ds/dv is a surrogate derivative of v - threshold. Through s in the reset no
gradient flows if the reset is detached; that of the two resets a step later always is.
"""

from dataclasses import dataclass
from typing import Literal

Reset = Literal["none", "zero", "subtract", "subtract_next", "zero_next"]

Shape = Literal[
    "arctangent",
    "boxcar",
    "constant",
    "exponential",
    "fast_sigmoid",
    "gaussian",
    "sigmoid",
    "sides",
    "triangle",
]
"""Shapes g(y) of surrogate derivatives.

arctangent    1 / (1 + y^2)
boxcar        1 if |y| <= 1 else floor
constant      1
exponential   exp(-|y|)
fast_sigmoid  1 / (1 + |y|)^2
gaussian      exp(-y^2)
sigmoid       sigmoid(y) (1 - sigmoid(y))
sides         1 if y >= 0 else floor
triangle      max(0, 1 - |y|)
"""


@dataclass(frozen=True)
class SurrogateShape:
    """A surrogate derivative, ``height * g(slope * (v - threshold))``.

    Attributes:
        shape: name of g, see :data:`Shape`.
        height: factor on g.
        slope: factor on the potential's distance from the threshold.
        floor: second value of g, where it has one.
    """

    shape: Shape
    height: float = 1.0
    slope: float = 1.0
    floor: float = 0.0


@dataclass(frozen=True)
class Dynamics:
    """The neurons of a layer, apart from the values of their constants.

    Keep, gain and threshold are values of :class:`function.LayerValues`, since they may
    be learned.

    Attributes:
        surrogate: derivative of a spike; None for neurons that never fire.
        reset: what a spike does to the potential, see the module.
        detach_reset: whether the gradient ignores spikes in the resets ``zero`` and
            ``subtract``.
        fires_at_threshold: whether a potential equal to the threshold fires.
        keep_current: fraction of the synaptic current left after a step; 0 for neurons
            without one.
    """

    surrogate: SurrogateShape | None
    reset: Reset = "subtract"
    detach_reset: bool = True
    fires_at_threshold: bool = True
    keep_current: float = 0.0
