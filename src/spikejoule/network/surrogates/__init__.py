"""What a surrogate derivative of the spike function is.

A surrogate is a function of ``x = v - threshold`` and one slope. It is stated twice: in
torch for the dense engine, and as emitted vector instructions for the kernels of the
event engine, so that one checks the other; ``tests/naive.py`` states it a third time.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from spikejoule.core.parameters import Kind, Kinds, Real

if TYPE_CHECKING:
    from torch import Tensor as Tensor

    from spikejoule.compiling.emit import Lanes as Lanes
else:  # names of types: who reads parameters needs neither PyTorch nor the compiler
    Tensor = Lanes = Any


class Surrogate(Kind):
    """A surrogate derivative; each is one file of :mod:`spikejoule.network.surrogates`.

    Attributes:
        formula: the derivative as a function of x = v - threshold and the slope.
        default_slope: the slope that the source uses.
        surrogate_slope: the slope; None takes that of the source.
    """

    formula: ClassVar[str]
    default_slope: ClassVar[float]

    # Its square has to be a float32.
    surrogate_slope: Real | None = Field(default=None, gt=0, le=1e6)

    @property
    def slope(self) -> float:
        """The slope in force."""
        return (
            self.default_slope if self.surrogate_slope is None else self.surrogate_slope
        )

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The derivative at x = v - threshold, of the shape and type of x."""

    @abstractmethod
    def constants(self) -> tuple[float, float]:
        """The two constants that :meth:`emit` receives, computed from the slope
        once.
        """

    @staticmethod
    @abstractmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """Emit the derivative at the vector x; `a` and `b` are vectors of the
        constants.
        """


SURROGATES: Kinds[Surrogate] = Kinds("surrogate", Surrogate, __name__)
