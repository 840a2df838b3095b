"""Surrogate derivatives of the spike function, one file each.

A surrogate is a function of ``x = v - threshold`` and a slope. It is stated twice, in
PyTorch for the dense engine and as emitted vector instructions for the kernels of the
event engine, so each checks the other; ``tests/naive.py`` states it a third time.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from spikejoule.core.parameters import Kind, Kinds, Real

if TYPE_CHECKING:
    from torch import Tensor as Tensor

    from spikejoule.compiling.emit import Lanes as Lanes
else:  # Only names of types: reading parameters needs neither PyTorch nor the compiler.
    Tensor = Lanes = Any


class Surrogate(Kind):
    """A surrogate derivative; each is one file of :mod:`spikejoule.network.surrogates`.

    Attributes:
        formula: the derivative as a function of x = v - threshold and the slope.
        default_slope: the slope in the source.
        operations: arithmetic of one evaluation, as :meth:`emit` computes it, for the
            energy of training: number by ``addition``, ``multiplication``,
            ``division``, ``comparison`` and ``exponential``. Signs take nothing.
        surrogate_slope: the slope; None is `default_slope`.
    """

    formula: ClassVar[str]
    default_slope: ClassVar[float]
    operations: ClassVar[Mapping[str, int]]

    # Its square must be a float32.
    surrogate_slope: Real | None = Field(default=None, gt=0, le=1e6)

    @property
    def slope(self) -> float:
        """The slope that applies."""
        if self.surrogate_slope is None:
            return self.default_slope
        return self.surrogate_slope

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The derivative at x = v - threshold, with the shape and type of x."""

    @abstractmethod
    def constants(self) -> tuple[float, float]:
        """The two constants of :meth:`emit`, computed once from the slope."""

    @staticmethod
    @abstractmethod
    def emit(lanes: Lanes, x: Any, a: Any, b: Any) -> Any:
        """Emit the derivative at the vector x; a and b are vectors of the constants."""


SURROGATES: Kinds[Surrogate] = Kinds("surrogate", Surrogate, __name__)
