"""The derivative of the fast sigmoid x / (1 + |x|), scaled to 1 at the threshold."""

from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class FastSigmoid(Surrogate):
    """The surrogate of SuperSpike."""

    reference: ClassVar = (
        "Zenke and Ganguli, Neural Computation 30(6), 2018, doi:10.1162/neco_a_01086"
    )
    formula: ClassVar = "1 / (1 + slope * |x|)^2"
    default_slope: ClassVar = 10.0
    operations: ClassVar = {"multiplication": 2, "addition": 1, "division": 1}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        derivative: Tensor = 1 / (1 + self.slope * x.abs()) ** 2
        return derivative

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return 1.0, self.slope

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        square_root = lanes.divide(
            a, lanes.multiply_add(b, lanes.absolute(x), lanes.constant(1.0))
        )
        return lanes.multiply(square_root, square_root)
