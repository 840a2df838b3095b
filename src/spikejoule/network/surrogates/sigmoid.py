"""The derivative of the logistic function."""

from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Sigmoid(Surrogate):
    """The derivative of the probability that a noisy neuron fires."""

    reference: ClassVar = (
        "Zenke and Vogels, Neural Computation 33(4), 2021, doi:10.1162/neco_a_01367"
    )
    formula: ClassVar = "slope * sigmoid(slope * x) * (1 - sigmoid(slope * x))"
    default_slope: ClassVar = 4.0
    operations: ClassVar = {
        "multiplication": 4,
        "addition": 1,
        "division": 1,
        "exponential": 1,
    }

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        height = (self.slope * x).sigmoid()
        return self.slope * height * (1 - height)

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope, self.slope

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        tail = lanes.exponential(lanes.negate(lanes.multiply(b, lanes.absolute(x))))
        one = lanes.constant(1.0)
        root = lanes.divide(one, lanes.add(one, tail))
        return lanes.multiply(lanes.multiply(a, tail), lanes.multiply(root, root))
