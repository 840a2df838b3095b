"""What follows a training: a progress bar, a meter, free cores."""

import logging
from collections.abc import Sequence
from statistics import median
from typing import Protocol

from tqdm import tqdm

from spikejoule.core.host_energy import HostEnergy
from spikejoule.engine.learning.interface import BatchOutcome
from spikejoule.network.sections import EpochRecord

logger = logging.getLogger(__name__)


class TrainingObserver(Protocol):
    """Follows a training; a subclass overrides what it needs."""

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """Called after each step; `samples` is the size of the batch."""
        return

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Called after each epoch's validation."""
        return

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Called when a training resumes, with its earlier epochs and their times."""
        return


class HostMeter(TrainingObserver):
    """Sums what the computer draws from epoch to epoch.

    Attributes:
        joules: so far; None if it has no counters, or an earlier process began.
    """

    def __init__(self) -> None:
        self.joules: float | None = None
        self._is_whole = True
        self._last = HostEnergy.read()

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Add what was drawn since the last epoch."""
        now = HostEnergy.read()
        drawn = now.joules_since(self._last)
        self._last = now
        if drawn is not None and self._is_whole:
            self.joules = (self.joules or 0.0) + drawn

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Measure nothing: the energy of the earlier epochs is not known."""
        self._is_whole = False


class Progress(TrainingObserver):
    """Reports training: a progress bar on a terminal, and a line for each epoch.

    Args:
        max_epochs: most epochs of the training.
        n_samples: samples of an epoch.
    """

    def __init__(self, max_epochs: int, n_samples: int) -> None:
        self._max_epochs = max_epochs
        self._n_samples = n_samples
        self._seconds: list[float] = []
        total = max_epochs * n_samples
        self._bar = tqdm(total=total, unit=" samples", leave=False, disable=None)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """Advance the bar after a batch."""
        self._bar.set_description(f"epoch {epoch}/{self._max_epochs}", refresh=False)
        self._bar.update(samples)

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Print an epoch after its validation."""
        self._seconds.append(seconds)
        left = tqdm.format_interval(
            (self._max_epochs - record.epoch) * median(self._seconds)
        )
        with tqdm.external_write_mode():
            logger.info(
                "epoch %d/%d: loss %.4f, training %.2f %%, validation %.2f %%, "
                "%.1f s%s",
                record.epoch,
                self._max_epochs,
                record.train_loss,
                record.train_accuracy_percent,
                record.validation_accuracy_percent,
                seconds,
                "" if record.epoch == self._max_epochs else f", {left} left",
            )

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Set the bar to the epochs that an earlier process finished."""
        done = len(history) * self._n_samples
        self._bar.initial = self._bar.last_print_n = self._bar.n = done
        logger.info(
            "resumes after epoch %d of %d, %.1f s of training",
            len(history),
            self._max_epochs,
            sum(seconds),
        )
