"""A Gaussian of area 1 around the threshold."""

import math
from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Gaussian(Surrogate):
    """The density of a normal distribution with the standard deviation 1 / slope."""

    reference: ClassVar = (
        "Wu et al., Frontiers in Neuroscience 12:331, 2018, "
        "doi:10.3389/fnins.2018.00331"
    )
    formula: ClassVar = "slope / sqrt(2 * pi) * exp(-(slope * x)^2 / 2)"
    default_slope: ClassVar = 2.0
    operations: ClassVar = {"multiplication": 3, "exponential": 1}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        height = self.slope / math.sqrt(2 * math.pi)
        return height * (-((self.slope * x) ** 2) / 2).exp()

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope / math.sqrt(2 * math.pi), self.slope**2 / 2

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        exponent = lanes.negate(lanes.multiply(b, lanes.multiply(x, x)))
        return lanes.multiply(a, lanes.exponential(exponent))
