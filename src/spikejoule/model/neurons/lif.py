"""The leaky integrate-and-fire (LIF) neuron: the seed notebook's, and its variants.

In each step of 1 ms, with input current ``I[t] = W s_in[t] + b``,

    v[t] = decay * u[t-1] + I[t]          membrane potential before the reset
    s[t] = 1 if v[t] >= threshold else 0  spike
    u[t] = v[t] * (1 - s[t])              membrane potential after the reset to zero, or
    u[t] = v[t] - threshold * s[t]        after the reset by subtraction

with ``u[-1] = 0``. The surrogate ``f`` and the detached reset give, from the last step to the
first,

    dL/dv[t] = dL/ds[t] * f(v[t] - threshold) + k[t] * dL/dv[t+1]

with ``k[t] = decay * (1 - s[t])`` for the reset to zero and ``k[t] = decay`` for the other.

The kernels of the event engine implement exactly this, the method below states it for autograd, and
``tests/naive.py`` a third time as plain loops.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from spikejoule.model.neuron import Decay, Neuron, Threshold

if TYPE_CHECKING:
    from torch import Tensor


class LeakyIntegrateAndFire(Neuron):
    """A leaky integrator that fires at its threshold and is reset.

    Attributes:
        threshold: membrane potential at or above which the neuron fires (dimensionless). The
            engines compute in float32, where one far below or above the range is 0 or infinite.
        decay: share of the membrane potential that is kept over a step of 1 ms; 1 is the
            integrate-and-fire neuron, which multiplies nothing.
        reset: ``zero``, or ``subtract``: the potential is lowered by the threshold, and what was
            above it stays (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682).
        bias: whether every neuron has one. Without it, a neuron that no event reaches has nothing
            to add.

    Threshold and decay are numbers, or tuples of one for each layer after the input.
    """

    name: ClassVar = "lif"
    reference: ClassVar = "Neftci, Mostafa and Zenke 2019, doi:10.1109/MSP.2019.2931595"
    equation: ClassVar = "v[t] = decay * u[t-1] + I[t]; spike at v >= threshold, reset to zero"
    later: ClassVar[Mapping[str, Any]] = {"reset": "zero", "bias": True}

    threshold: Threshold = 1.0
    decay: Decay = 0.9
    reset: Literal["zero", "subtract"] = "zero"
    bias: bool = True

    @property
    def has_bias(self) -> bool:
        """See :attr:`spikejoule.model.neuron.Neuron.has_bias`."""
        return self.bias

    @property
    def leaks(self) -> bool:
        """See :attr:`spikejoule.model.neuron.Neuron.leaks`."""
        return self.decay != 1

    @property
    def constants(self) -> tuple[float, float]:
        """Threshold and decay of the neuron of one layer."""
        threshold, decay = self.threshold, self.decay
        assert not isinstance(threshold, tuple)
        assert not isinstance(decay, tuple)
        return threshold, decay

    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """One step; see :meth:`spikejoule.model.neuron.Neuron.step`."""
        threshold, decay = self.constants
        potential = decay * membrane + current
        spikes = fire(potential - threshold)
        if self.reset == "subtract":
            return spikes, potential - threshold * spikes.detach()
        return spikes, potential * (1 - spikes.detach())
