"""Sums per sample: counts added over the calls of a batch, then joined over batches."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class SampleSums:
    """A count for each sample."""

    def __init__(self) -> None:
        self._calls: list[Tensor] = []
        self._for_all = 0
        self._batches: list[NDArray[np.int64]] = []

    def add(self, counts: Tensor) -> None:
        """Add whole numbers, one for each sample, [B]."""
        self._calls.append(counts)

    def add_to_all(self, count: int) -> None:
        """Add one whole number to all samples."""
        self._for_all += count

    def end_batch(self, n_samples: int, n_earlier: int) -> None:
        """Close a batch of `n_samples`, before which `n_earlier` samples ran."""
        if not self._batches:
            # The module first ran in this batch: earlier samples count nothing.
            self._batches.append(np.zeros(n_earlier, np.int64))
        total = np.full(n_samples, self._for_all)
        if self._calls:
            # One sum over the stacked calls is faster than one addition per call.
            total += torch.stack(self._calls).to(torch.int64).sum(dim=0).cpu().numpy()
        self._batches.append(total)
        self._calls = []
        self._for_all = 0

    @property
    def last_batch(self) -> NDArray[np.int64]:
        """The counts of the last batch, [B]."""
        return self._batches[-1]

    @property
    def per_sample(self) -> NDArray[np.int64]:
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

    def add(self, spikes: Tensor, nonzero: Tensor) -> None:
        """Add the counts of a call, [B] each."""
        self.spikes.add(spikes)
        self.nonzero.add(nonzero)
