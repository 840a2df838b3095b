"""Averaging the weights of the last epochs (Izmailov et al., UAI 2018, arXiv:1803.05407)."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray


class WeightAverage:
    """The mean of the parameters after each of some epochs, added up in float64.

    Args:
        sums: of the parameters after some epochs, by name.
        epochs: how many there were.
    """

    def __init__(self, sums: Mapping[str, NDArray[Any]] | None = None, epochs: int = 0) -> None:
        self.sums = dict(sums or {})
        self.epochs = epochs

    def add(self, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Take in the parameters after one more epoch; returns the mean, in their type.

        A removed synapse stays removed: it is zero in all epochs that are averaged.
        """
        self.epochs += 1
        self.sums = {name: self.sums.get(name, 0) + values for name, values in state.items()}
        return {
            name: (self.sums[name] / self.epochs).astype(values.dtype)
            for name, values in state.items()
        }
