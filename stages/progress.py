"""Following a training while it goes on: on a terminal, and in the journal."""

import logging
from collections.abc import Sequence

from tqdm import tqdm

from spikejoule.engine import BatchOutcome
from spikejoule.training.course import EpochRecord
from stages.shared import journal

logger = logging.getLogger(__name__)


class ProgressBar:
    """Shows training on a terminal; elsewhere a line for each epoch has to do."""

    def __init__(self, samples_per_epoch: int, max_epochs: int) -> None:
        self._max_epochs = max_epochs
        self._bar = tqdm(total=samples_per_epoch, unit=" samples", leave=False, disable=None)

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step."""
        self._bar.set_description(f"epoch {epoch}/{self._max_epochs}", refresh=False)
        self._bar.update(samples)

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """After each epoch's validation."""
        self._bar.reset()
        with tqdm.external_write_mode():
            logger.info(
                "epoch %d/%d: loss %.4f, training %.2f %%, validation %.2f %%, %.1f s",
                record.epoch, self._max_epochs, record.train_loss, record.train_accuracy_percent,
                record.validation_accuracy_percent, seconds,
            )  # fmt: skip

    def on_resume(self, history: Sequence[EpochRecord], seconds: Sequence[float]) -> None:
        """Before a training goes on."""
        logger.info(
            "goes on after epoch %d of %d, %.1f s of training",
            len(history), self._max_epochs, sum(seconds),
        )  # fmt: skip

    def close(self) -> None:
        """Clear the line."""
        self._bar.close()


class JournalKeeper:
    """Tells of every epoch while training goes on."""

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step: nothing to tell."""

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """After each epoch's validation."""
        journal.tell("epoch", record=record.entry(), seconds=seconds)

    def on_resume(self, history: Sequence[EpochRecord], seconds: Sequence[float]) -> None:
        """Before a training goes on: all epochs again, for a follower that has heard of none."""
        for record, lasted in zip(history, seconds, strict=True):
            self.on_epoch(record, lasted)
