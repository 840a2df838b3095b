"""The leaky integrate-and-fire (LIF) neuron of the original notebook, and its variants.

In each step of 1 ms, with input current ``I[t] = W s_in[t] + b``,

    v[t] = decay * u[t-1] + I[t]          membrane potential before the reset
    s[t] = 1 if v[t] >= threshold else 0  spike
    u[t] = v[t] * (1 - s[t])              membrane potential after the reset to zero, or
    u[t] = v[t] - threshold * s[t]        after the reset by subtraction

with ``u[-1] = 0``; or, with initial biases, ``I[t] = W s_in[t]`` and ``u[-1] = b``, so
``dL/db = decay * dL/dv[0]``. With surrogate ``f`` and detached reset, from the last
step to the first,

    dL/dv[t] = dL/ds[t] * f(v[t] - threshold) + k[t] * dL/dv[t+1]

where ``k[t] = decay * (1 - s[t])`` for the reset to zero and ``k[t] = decay`` for the
reset by subtraction.

An output that integrates without spiking (:mod:`spikejoule.network.readout`) has
neither threshold nor reset: ``u[t] = v[t] = decay * v[t-1] + I[t]``, and with the
derivative ``g[t]`` of the loss by each potential, ``dL/dv[t] = g[t] + decay *
dL/dv[t+1]``. Its learned threshold has the gradient 0.

Leak and threshold can be learned, one number each per layer. The decay is
``1 / (1 + exp(-logit))`` as in the parametric LIF neuron (Fang et al., ICCV 2021,
arXiv:2007.05785, whose a is -logit). The threshold is learned by gradient as in Rathi
and Roy 2021, arXiv:2008.03658, here as ``exp(log)``, which keeps it positive. No
gradient flows through the reset to the threshold either, so

    dL/ddecay     = sum of dL/dv[t] * u[t-1]
    dL/dthreshold = -sum of dL/ds[t] * f(v[t] - threshold)

over the steps and neurons of the layer.

The kernels of the event engine implement these equations, `step` below states them for
autograd, and ``tests/naive.py`` a third time as plain loops.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field

from spikejoule.core.parameters import Problem
from spikejoule.network.neuron import Decay, Neuron, Threshold

if TYPE_CHECKING:
    from torch import Tensor


DECAY_LOGIT: Final = "decay_logit"
LOG_THRESHOLD: Final = "log_threshold"
_LEARNED: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "decay": (DECAY_LOGIT,),
    "threshold": (LOG_THRESHOLD,),
    "both": (DECAY_LOGIT, LOG_THRESHOLD),
}


class LeakyIntegrateAndFire(Neuron):
    """A leaky integrator that fires at its threshold and is then reset.

    Attributes:
        threshold: membrane potential at or above which the neuron fires
            (dimensionless). Engines compute in float32, where a value far out of range
            becomes 0 or infinite.
        decay: fraction of the membrane potential kept over a step of 1 ms; 1 is the
            integrate-and-fire neuron, which needs no multiplication.
        reset: ``zero``; or ``subtract``, which lowers the potential by the threshold
            and keeps the excess (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682).
        bias: whether every neuron has a bias, which every step adds; or ``initial``,
            for biases that are the potentials before the first step. Without a bias to
            add, a neuron that receives no event has nothing to do.
        learned: constants that are learned besides the weights: ``none``, ``decay``,
            ``threshold`` or ``both``. Their parameters are initial values; an initial
            decay must be above 0 and below 1.

    Threshold and decay are numbers, or tuples of one number per layer after the input.
    """

    reference: ClassVar = "Neftci, Mostafa and Zenke 2019, doi:10.1109/MSP.2019.2931595"
    equation: ClassVar = (
        "v[t] = decay * u[t-1] + I[t]; spike at v >= threshold, reset to zero"
    )
    notebook_values: ClassVar[Mapping[str, Any]] = {
        "reset": "zero",
        "bias": True,
        "learned": "none",
    }

    threshold: Threshold = 1.0
    decay: Decay = 0.9
    reset: Literal["zero", "subtract"] = "zero"
    bias: bool | Literal["initial"] = Field(
        default=True, description="true, false, initial"
    )
    learned: Literal["none", "decay", "threshold", "both"] = "none"

    @property
    def has_bias(self) -> bool:
        """See :attr:`spikejoule.network.neuron.Neuron.has_bias`."""
        return bool(self.bias)

    @property
    def starts_at_bias(self) -> bool:
        """See :attr:`spikejoule.network.neuron.Neuron.starts_at_bias`."""
        return self.bias == "initial"

    @property
    def leaks(self) -> bool:
        """See :attr:`spikejoule.network.neuron.Neuron.leaks`."""
        return self.decay != 1

    @property
    def learned_names(self) -> tuple[str, ...]:
        """See :attr:`spikejoule.network.neuron.Neuron.learned_names`."""
        return _LEARNED[self.learned]

    def first_learned(self, name: str) -> float:
        """See :meth:`spikejoule.network.neuron.Neuron.first_learned`."""
        threshold, decay = self.constants
        if name == LOG_THRESHOLD:
            return math.log(threshold)
        return math.log(decay / (1 - decay))

    def with_learned(self, learned: Mapping[str, float]) -> Self:
        """See :meth:`spikejoule.network.neuron.Neuron.with_learned`."""
        values = {}
        with np.errstate(over="ignore"):
            if LOG_THRESHOLD in learned:
                values["threshold"] = float(np.exp(learned[LOG_THRESHOLD]))
            if DECAY_LOGIT in learned:
                values["decay"] = float(1 / (1 + np.exp(-learned[DECAY_LOGIT])))
        return self.model_copy(update=values)

    def with_tensors(self, learned: "Mapping[str, Tensor]") -> Self:
        """See :meth:`spikejoule.network.neuron.Neuron.with_tensors`."""
        values = {}
        if LOG_THRESHOLD in learned:
            values["threshold"] = learned[LOG_THRESHOLD].exp()
        if DECAY_LOGIT in learned:
            values["decay"] = learned[DECAY_LOGIT].sigmoid()
        return self.model_copy(update=values)

    def problem(self, n_layers: int) -> Problem | None:
        """See :meth:`spikejoule.network.neuron.Neuron.problem`."""
        decays = self.decay if isinstance(self.decay, tuple) else (self.decay,)
        has_logit = all(0 < decay < 1 for decay in decays)
        if DECAY_LOGIT in self.learned_names and not has_logit:
            allowed = "numbers above 0 and below 1 where the decay is learned"
            return Problem("decay", allowed)
        return super().problem(n_layers)

    @property
    def constants(self) -> tuple[float, float]:
        """Threshold and decay of the neuron of one layer."""
        threshold = self.threshold
        decay = self.decay
        assert not isinstance(threshold, tuple)
        assert not isinstance(decay, tuple)
        return threshold, decay

    def integrate(self, membrane: "Tensor", current: "Tensor") -> "Tensor":
        """Return the potential before the reset, [B, units]; arguments of `step`."""
        _, decay = self.constants
        return decay * membrane + current

    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """See :meth:`spikejoule.network.neuron.Neuron.step`."""
        threshold, _ = self.constants
        potential = self.integrate(membrane, current)
        spikes = fire(potential - threshold)
        if self.reset == "subtract":
            return spikes, potential - (threshold * spikes).detach()
        return spikes, potential * (1 - spikes.detach())
