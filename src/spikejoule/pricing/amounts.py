"""Sums per sample: counts added over the calls of a batch, then joined over batches."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class SampleSums:
    """A count for each sample."""

    def __init__(self) -> None:
        self._open: Counts | int = 0
        self._batches: list[Counts] = []

    def add(self, counts: Counts | int) -> None:
        """Add whole numbers, one for each sample, [B], or one for all."""
        self._open = self._open + counts

    def end_batch(self, n_samples: int, n_earlier: int) -> None:
        """Close a batch of `n_samples`, before which `n_earlier` samples ran."""
        if not self._batches:
            # The module first ran in this batch: earlier samples count nothing.
            self._batches.append(np.zeros(n_earlier, np.int64))
        self._batches.append(np.zeros(n_samples, np.int64) + self._open)
        self._open = 0

    @property
    def last_batch(self) -> Counts:
        """The counts of the last batch, [B]."""
        return self._batches[-1]

    @property
    def per_sample(self) -> Counts:
        """The counts of all samples, [N]."""
        return np.concatenate(self._batches)


class Amounts:
    """How much units emit, or synapses receive, in each sample.

    Attributes:
        spikes: sum of whole numbers; 2 counts as two spikes.
        nonzero: how many units, or synapses, have anything but zero.
    """

    def __init__(self) -> None:
        self.spikes = SampleSums()
        self.nonzero = SampleSums()

    def add(self, spikes: Counts, nonzero: Counts) -> None:
        """Add the counts of a call, [B] each."""
        self.spikes.add(spikes)
        self.nonzero.add(nonzero)
