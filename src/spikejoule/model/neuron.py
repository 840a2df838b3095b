"""What a neuron is to the network: parameters, one step of its dynamics, an entry for files.

In the backward pass the reset is detached (no gradient flows through the spike into the membrane
potential) and the derivative of the step function is replaced by a surrogate
(:mod:`spikejoule.model.surrogate`). Source of the training method: Neftci, Mostafa and Zenke, IEEE
Signal Processing Magazine 36(6), 2019, doi:10.1109/MSP.2019.2931595.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from spikejoule.foundation.sections import Kind

if TYPE_CHECKING:
    from torch import Tensor

UNNAMED = "lif"
"""The neuron of an entry that names none: files from before there was a choice."""


class Neuron(Kind):
    """A neuron model; each is one file of :mod:`spikejoule.model.neurons`.

    The torch network calls :meth:`step`. The event engine has compiled kernels of its own for the
    neurons that `spikejoule.engine.choice.EVENT_NEURONS` names, so that one checks the other.

    Attributes:
        equation: the dynamics of one step, for the documentation.
    """

    equation: ClassVar[str]

    @abstractmethod
    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """One step of 1 ms.

        Args:
            membrane: potential after the step before, [B, units]; zero before the first.
            current: weighted input spikes and bias of this step, [B, units].
            fire: spikes of x, 1 where x >= 0, with the surrogate as their derivative.

        Returns:
            the spikes, and the potential after the reset.
        """

    def entry(self) -> dict[str, Any]:
        """What files say of the neuron: its parameters, and its name where it is not the LIF."""
        named = {} if self.name == UNNAMED else {"neuron": self.name}
        return named | self.model_dump(mode="json")
