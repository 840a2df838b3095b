"""The derivative of a scaled arctangent."""

import math
from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Arctangent(Surrogate):
    """Long tails: neurons far from their threshold learn too."""

    reference: ClassVar = "Fang et al., ICCV 2021, arXiv:2007.05785"
    formula: ClassVar = "(slope / 2) / (1 + (pi / 2 * slope * x)^2)"
    default_slope: ClassVar = 2.0
    operations: ClassVar = {"multiplication": 2, "addition": 1, "division": 1}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        return (self.slope / 2) / (1 + (math.pi / 2 * self.slope * x) ** 2)

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope / 2, (math.pi / 2 * self.slope) ** 2

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        return lanes.divide(
            a, lanes.multiply_add(b, lanes.multiply(x, x), lanes.constant(1.0))
        )
