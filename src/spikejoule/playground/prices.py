"""What each count of an inference costs: the energy ledger as a linear function.

Every operation in the ledger is counted by a formula that is linear in a few counts of
an image, such as its spikes and synaptic events. The coefficients are solved from
images that were counted, and must give every operation back exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import SpikejouleError
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile, prices_pj, weights_of


class PlaygroundError(SpikejouleError):
    """There is no page for a network; the message says why."""


@dataclass(frozen=True, eq=False)
class LinearOperations:
    """Operations of an inference as a linear function of F counts of its image.

    Attributes:
        operations: of N images, C columns.
        coefficients: of each column for one of each count, float64 [F, C].
    """

    operations: OperationCounts
    coefficients: Floats

    @classmethod
    def solve(
        cls, features: NDArray[np.int64], operations: OperationCounts
    ) -> "LinearOperations":
        """Find the function from images that were counted.

        Args:
            features: the counts of N images, [N, F].
            operations: of the same images.

        Raises:
            PlaygroundError: an operation is no such function.
        """
        # Columns of equal scale keep the solution exact to the last operation.
        scale = np.maximum(np.abs(features).max(axis=0), 1).astype(np.float64)
        solution = np.linalg.lstsq(features / scale, operations.counts)[0]
        coefficients = solution / scale[:, None]
        exact = np.rint(features @ coefficients) == operations.counts
        if not exact.all():
            column = operations.columns[int(np.argmin(exact.all(axis=0)))]
            raise PlaygroundError(
                f"The playground cannot price {column.term} of {column.place}: it is "
                "not linear in an image's counts."
            )
        return cls(operations, coefficients)

    def prices_pj(
        self, profile: HardwareProfile, layer_of: Mapping[str, int]
    ) -> Floats:
        """What one of each count costs in each layer.

        Args:
            profile: the price list.
            layer_of: the layer of each place in the ledger, from 0; a place that is not
                there belongs to layer 0.

        Returns:
            lower and upper end in pJ, [layers, 2, F].
        """
        low, _, high = weights_of(prices_pj(self.operations.columns, profile))
        layers = np.array(
            [layer_of.get(column.place, 0) for column in self.operations.columns]
        )
        return np.stack(
            [
                np.stack(
                    [
                        self.coefficients @ (end * (layers == layer))
                        for end in (low, high)
                    ]
                )
                for layer in range(max(layer_of.values()) + 1)
            ]
        )
