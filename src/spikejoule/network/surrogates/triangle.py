"""A triangle around the threshold, of half-width 1."""

from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Triangle(Surrogate):
    """Neurons more than 1 away from their threshold learn nothing."""

    reference: ClassVar = "Bellec et al., NeurIPS 2018, arXiv:1803.09574"
    formula: ClassVar = "slope * max(0, 1 - |x|)"
    default_slope: ClassVar = 0.3
    operations: ClassVar = {"multiplication": 1, "addition": 1, "comparison": 1}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        return self.slope * (1 - x.abs()).clamp(min=0)

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope, 1.0

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        height = lanes.subtract(lanes.constant(1.0), lanes.absolute(x))
        return lanes.multiply(a, lanes.maximum(height, lanes.constant(0.0)))
