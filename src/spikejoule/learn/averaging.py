"""Averaging the weights of the last epochs (Izmailov et al., UAI 2018, arXiv:1803.05407)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class WeightAverage:
    """The mean of the parameters after each of some epochs, added up in float64."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._epochs = 0

    def add(self, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Take in the parameters after one more epoch; returns the mean, in their type.

        A removed synapse stays removed: it is zero in all epochs that are averaged.
        """
        self._epochs += 1
        self._sums = {name: self._sums.get(name, 0) + values for name, values in state.items()}
        return {
            name: (self._sums[name] / self._epochs).astype(values.dtype)
            for name, values in state.items()
        }
