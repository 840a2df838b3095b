"""Sums per sample: counts added over the calls of each batch."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class SampleSums:
    """A count for each sample."""

    def __init__(self, sizes: list[int]) -> None:
        """Start with zeros.

        Args:
            sizes: samples of each batch, the running one last; all sums share it.
        """
        self._sizes = sizes
        # By the batch's number; a module may not run in each batch.
        self._by_batch: defaultdict[int, Counts | int] = defaultdict(int)

    def add(self, counts: Counts | int) -> None:
        """Add whole numbers, one for each sample of this batch, [B], or one for all.

        Any other number of counts is not known by sample: all get an equal share.
        """
        n_samples = self._sizes[-1]
        if not isinstance(counts, int) and len(counts) != n_samples:
            counts = (counts.sum() + np.arange(n_samples)) // n_samples
        self._by_batch[len(self._sizes) - 1] += counts

    def of_batch(self, number: int) -> Counts:
        """Return the counts of a batch, [B]."""
        return np.zeros(self._sizes[number], np.int64) + self._by_batch[number]

    def merge(self) -> None:
        """Add the counts of this batch to the row before it, which stands for many."""
        running = len(self._sizes) - 1
        counts = self._by_batch.pop(running, 0)
        if isinstance(counts, np.ndarray):
            self._by_batch[running - 1] += int(counts.sum())
        else:  # the same for each sample
            self._by_batch[running - 1] += counts * self._sizes[running]

    def forget(self) -> None:
        """Forget the counts of this batch."""
        self._by_batch.pop(len(self._sizes) - 1, None)

    @property
    def per_sample(self) -> Counts:
        """The counts of all samples, [N]."""
        return np.concatenate([*map(self.of_batch, range(len(self._sizes)))])


class Amounts:
    """How much units emit, or synapses receive, in each sample.

    Attributes:
        spikes: sum of whole numbers; 2 counts as two spikes.
        nonzero: how many units, or synapses, have anything but zero.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.spikes = SampleSums(sizes)
        self.nonzero = SampleSums(sizes)

    @property
    def sums(self) -> tuple[SampleSums, SampleSums]:
        """Both counts."""
        return self.spikes, self.nonzero

    def add(self, spikes: Counts, nonzero: Counts) -> None:
        """Add the counts of a call, [B] each."""
        self.spikes.add(spikes)
        self.nonzero.add(nonzero)
