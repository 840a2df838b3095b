"""The leaky integrate-and-fire (LIF) neuron of the seed notebook.

In each step of 1 ms, with input current ``I[t] = W s_in[t] + b``,

    v[t] = decay * u[t-1] + I[t]          membrane potential before the reset
    s[t] = 1 if v[t] >= threshold else 0  spike
    u[t] = v[t] * (1 - s[t])              membrane potential after the reset to zero

with ``u[-1] = 0``. The surrogate ``f`` and the detached reset give, from the last step to the
first,

    dL/dv[t] = dL/ds[t] * f(v[t] - threshold) + decay * (1 - s[t]) * dL/dv[t+1]

The kernels of the event engine implement exactly this, the method below states it for autograd, and
``tests/naive.py`` a third time as plain loops.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from spikejoule.foundation.sections import Real
from spikejoule.model.neuron import Neuron

if TYPE_CHECKING:
    from torch import Tensor


class LeakyIntegrateAndFire(Neuron):
    """A leaky integrator that fires at its threshold and is reset to zero.

    Attributes:
        threshold: membrane potential at or above which the neuron fires (dimensionless). The
            engines compute in float32, where one far below or above the range is 0 or infinite.
        decay: share of the membrane potential that is kept over a step of 1 ms.
    """

    name: ClassVar = "lif"
    reference: ClassVar = "Neftci, Mostafa and Zenke 2019, doi:10.1109/MSP.2019.2931595"
    equation: ClassVar = "v[t] = decay * u[t-1] + I[t]; spike at v >= threshold, reset to zero"

    threshold: Real = Field(default=1.0, ge=1e-30, le=1e30)
    decay: Real = Field(default=0.9, ge=0, le=1)

    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """One step; see :meth:`spikejoule.model.neuron.Neuron.step`."""
        potential = self.decay * membrane + current
        spikes = fire(potential - self.threshold)
        return spikes, potential * (1 - spikes.detach())
