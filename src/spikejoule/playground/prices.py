"""What each count of an inference costs: the energy ledger as a linear function.

Every operation in the ledger is counted by a formula that is linear in a few counts of
an image, such as its spikes and synaptic events. The coefficients are solved from
images that were counted, and must give every operation back exactly.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.schema import Record
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import HardwareProfile, factors_of, prices_pj

NOISE: Final = 1e-9
"""Distance from a whole number that solving for a coefficient may leave."""


class PlaygroundError(SpikejouleError):
    """There is no page for a network; the message says why."""


class LinearOperations(Record):
    """Operations of an inference as a linear function of F counts of its image.

    Attributes:
        columns: C columns of the ledger.
        layers: the layer of each column, from 0, [C].
        coefficients: of each column for one of each count, [F, C].
        means: mean counts of the test images, [F].
    """

    columns: list[Column]
    layers: list[int]
    coefficients: list[list[float]]
    means: list[float]

    @classmethod
    def solve(
        cls,
        features: NDArray[np.int64],
        operations: OperationCounts,
        layer_of: Mapping[str, int],
        means: Floats,
    ) -> "LinearOperations":
        """Find the function from images that were counted.

        Args:
            features: the counts of N images, [N, F].
            operations: of the same images.
            layer_of: the layer of each place in the ledger, from 0; a place that is not
                there belongs to layer 0.
            means: mean counts of the test images, [F].

        Raises:
            PlaygroundError: an operation is no such function.
        """
        # Columns of equal scale keep the solution exact to the last operation.
        scale = np.maximum(np.abs(features).max(axis=0), 1).astype(np.float64)
        solution = np.linalg.lstsq(features / scale, operations.counts)[0]
        coefficients = _without_noise(solution / scale[:, None])
        exact = np.rint(features @ coefficients) == operations.counts
        if not exact.all():
            column = operations.columns[int(np.argmin(exact.all(axis=0)))]
            raise PlaygroundError(
                f"The playground cannot price {column.term} of {column.place}: it is "
                "not linear in an image's counts."
            )
        return cls(
            columns=list(operations.columns),
            layers=[layer_of.get(column.place, 0) for column in operations.columns],
            coefficients=coefficients.tolist(),
            means=means.tolist(),
        )

    def are_priced_by(self, profile: HardwareProfile) -> bool:
        """Whether a price list has a price for any of the operations."""
        return bool(factors_of(prices_pj(self.columns, profile))[0].any())

    def prices_pj(self, profile: HardwareProfile) -> Floats:
        """What one of each count costs in each layer.

        Returns:
            lower and upper end in pJ, [layers, 2, F].
        """
        low, _, high = factors_of(prices_pj(self.columns, profile))
        coefficients = np.array(self.coefficients)
        layers = np.array(self.layers)
        return np.array(
            [
                [coefficients @ (end * (layers == layer)) for end in (low, high)]
                for layer in range(layers.max() + 1)
            ]
        )

    def mean_pj(self, profile: HardwareProfile) -> Floats:
        """Mean energy of a test image: lower and upper end in pJ, [2]."""
        energies: Floats = (self.prices_pj(profile) @ self.means).sum(axis=0)
        return energies


def _without_noise(coefficients: Floats) -> Floats:
    """Make whole numbers of those that all but are: a page would carry each digit."""
    whole = np.rint(coefficients)
    is_noise = np.abs(coefficients - whole) < NOISE
    clean: Floats = np.where(is_noise, whole, coefficients) + 0.0  # no -0
    return clean
