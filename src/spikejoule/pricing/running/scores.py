"""The class scores that a model gives."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikejoule.encoding.counting import clear_class
from spikejoule.network.nodes import Shape


class Scores:
    """Scores of all samples, batch by batch.

    Attributes:
        other_shape: of the last output that was no scores; None if all were.
        summed_steps: how many outputs were summed to the scores of a sample; 0 if the
            model has summed them.
    """

    def __init__(self) -> None:
        self.other_shape: Shape | None = None
        self.summed_steps = 0
        self._batches: list[NDArray[np.float64]] = []

    def add(self, output: Tensor, n_samples: int) -> None:
        """Add the output for a batch, summed over time."""
        if output.ndim == 2 and len(output) == n_samples and output.shape[1] > 1:
            self._batches.append(output.detach().cpu().double().numpy())
        else:
            self.other_shape = tuple(output.shape)

    @property
    def all(self) -> NDArray[np.float64] | None:
        """The scores, [N, classes]; None if some outputs are none."""
        if self.other_shape is not None or not self._batches:
            return None
        return np.concatenate(self._batches)

    @property
    def classes(self) -> NDArray[np.int64] | None:
        """The class of each sample, [N]; None without scores."""
        scores = self.all
        return None if scores is None else clear_class(scores)
