"""Sums per sample: counts added over the calls of a batch, then joined over batches."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class SampleSums:
    """A count for each sample."""

    def __init__(self) -> None:
        self._calls: list[Tensor] = []
        self._batches: list[NDArray[np.int64]] = []

    def add(self, counts: Tensor) -> None:
        """Add whole numbers: one per sample, [B], or one for every sample, []."""
        self._calls.append(counts)

    def end_batch(self, n_samples: int, n_earlier: int) -> None:
        """Close a batch of `n_samples`, before which `n_earlier` samples ran."""
        if not self._batches:
            # The module first ran in this batch: earlier samples count nothing.
            self._batches.append(np.zeros(n_earlier, np.int64))
        if self._calls:
            # One sum over the stacked calls is faster than one addition per call.
            total = torch.stack(self._calls).to(torch.int64).sum(dim=0).cpu()
        else:
            total = torch.zeros((), dtype=torch.int64)
        self._batches.append(total.expand(n_samples).numpy())
        self._calls = []

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
