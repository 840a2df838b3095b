"""The straight-through estimator: a derivative of the same size everywhere."""

from typing import Any, ClassVar

from spikejoule.network.surrogates import Lanes, Surrogate, Tensor


class Constant(Surrogate):
    """A derivative that does not depend on the membrane potential."""

    reference: ClassVar = (
        "straight-through estimator of the original notebook; Bengio "
        "et al. 2013, arXiv:1308.3432"
    )
    formula: ClassVar = "slope"
    default_slope: ClassVar = 0.3
    operations: ClassVar = {}

    def derivative(self, x: Tensor) -> Tensor:
        """See :meth:`spikejoule.network.surrogates.Surrogate.derivative`."""
        return x.new_full(x.shape, self.slope)

    def constants(self) -> tuple[float, float]:
        """See :meth:`spikejoule.network.surrogates.Surrogate.constants`."""
        return self.slope, 0.0

    @staticmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """See :meth:`spikejoule.network.surrogates.Surrogate.emit`."""
        return a
