"""One pass over the training samples: its batches, and what they add up to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.data.dataset import Samples
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList
from spikejoule.engine.learning.interface import BatchOutcome
from spikejoule.network.sections import EpochRecord
from spikejoule.training.kernels.augment import augment
from spikejoule.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """The spikes and the labels [B] of B samples."""

    events: EventList
    labels: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class EpochBatches:
    """The batches of an epoch: samples in random order, images augmented, then encoded.

    A draw depends on seed, epoch and sample only.

    Attributes:
        samples: all training samples.
        encoder: the encoding of the samples into spikes.
        settings: size of a batch, and augmentation.
        seed: the experiment's seed.
        epoch: from 1 on.
    """

    samples: Samples
    encoder: Encoder
    settings: TrainingSettings
    seed: int
    epoch: int

    def __iter__(self) -> Iterator[Batch]:
        n_samples = len(self.samples)
        size = self.settings.batch_size
        order = np.random.default_rng([self.seed, self.epoch]).permutation(n_samples)
        for first in range(0, n_samples, size):
            yield self.batch_of(order[first : first + size])

    def batch_of(self, chosen: NDArray[np.integer]) -> Batch:
        """Return the batch of the samples at some positions."""
        inputs = self.samples.inputs[chosen]
        index = self.samples.index[chosen]
        # Recorded events are not augmented.
        if isinstance(inputs, np.ndarray):
            inputs = augment(inputs, self.settings, self.seed, self.epoch, index)
        key = self.encoder.draw_key(self.seed, "train", self.epoch)
        events = self.encoder.encode(inputs, key, index).events
        return Batch(events, self.samples.labels[chosen])


class EpochSums:
    """What the batches of an epoch add up to.

    Attributes:
        learning_rate: of the last step.
    """

    def __init__(self) -> None:
        self.learning_rate = 0.0
        self._n_samples = 0
        self._loss = 0.0
        self._outcomes: list[BatchOutcome] = []

    def add(self, outcome: BatchOutcome, n_samples: int, learning_rate: float) -> None:
        """Add the outcome of a step."""
        self.learning_rate = learning_rate
        self._n_samples += n_samples
        self._loss += outcome.mean_loss * n_samples
        self._outcomes.append(outcome)

    @property
    def mean_loss(self) -> float:
        """Mean loss of the samples, each before its step."""
        return self._loss / self._n_samples

    def record(
        self, epoch: int, validation_accuracy_percent: float, pruned_fraction: float
    ) -> EpochRecord:
        """Return the record of the epoch."""
        outcomes = self._outcomes
        n_correct = sum(outcome.correct for outcome in outcomes)
        input_macs = [
            outcome.input_macs for outcome in outcomes if outcome.input_macs is not None
        ]
        gradients_reached = _sums(outcome.gradients_reached for outcome in outcomes)
        kept_deltas = _sums(outcome.kept_deltas for outcome in outcomes)
        return EpochRecord(
            epoch=epoch,
            learning_rate=self.learning_rate,
            train_loss=self.mean_loss,
            train_accuracy_percent=100.0 * n_correct / self._n_samples,
            validation_accuracy_percent=validation_accuracy_percent,
            spikes=_sums(outcome.spikes for outcome in outcomes),
            synaptic_events=_sums(outcome.synaptic_events for outcome in outcomes),
            synapses_touched=_sums(outcome.synapses_touched for outcome in outcomes),
            pruned_fraction=pruned_fraction,
            samples=self._n_samples,
            input_macs=sum(input_macs) if input_macs else None,
            gradients_reached=gradients_reached or None,
            kept_deltas=kept_deltas or None,
        )


def _sums(counts: Iterable[tuple[int, ...] | None]) -> tuple[int, ...]:
    """Add up the counts of each layer; empty if there are none."""
    known = [count for count in counts if count is not None]
    return tuple(map(sum, zip(*known, strict=True)))
