"""A rectangle of area 1 around the threshold."""

from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Boxcar(Surrogate):
    """Steeper means narrower."""

    reference: ClassVar = (
        "Wu et al., Frontiers in Neuroscience 12:331, 2018, "
        "doi:10.3389/fnins.2018.00331"
    )
    formula: ClassVar = "slope if |x| < 1 / (2 * slope) else 0"
    default_slope: ClassVar = 1.0
    operations: ClassVar = {"comparison": 1}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        return self.slope * (x.abs() < 1 / (2 * self.slope)).to(x.dtype)

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope, 1 / (2 * self.slope)

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        return lanes.where_below(lanes.absolute(x), b, a, lanes.constant(0.0))
