"""What one process of the speed benchmark does, and what it measures."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """The work of one process. Warm-up is not timed.

    Attributes:
        warmup_batches: batches before the timed ones.
        batches: timed training batches, and as many in inference.
        least_seconds: more batches follow until they have taken this long.
        warmup_epochs, epochs: the same for a row that is timed over whole epochs.
        order_seed: draws the order of the training images.
        only_training: neither the first loss nor inference is measured.
    """

    warmup_batches: int = 5
    batches: int = 20
    least_seconds: float = 0.0
    warmup_epochs: int = 1
    epochs: int = 1
    order_seed: int = 0
    only_training: bool = False


@dataclass(frozen=True)
class Measurement:
    """What one process measured.

    Attributes:
        epoch_seconds: seconds per epoch, one value per timed epoch or batch.
        inference_images_per_second: one value per timed batch or pass.
        loss: mean training loss while timed; None for a row that does not train.
        first_loss: mean loss over the first batches.
        images: training images while timed.
        peak_mib: peak resident memory.
        foreign_cores: mean number of cores that other processes kept busy meanwhile.
        further: values of this row only.
    """

    epoch_seconds: list[float]
    inference_images_per_second: list[float] = field(default_factory=list)
    loss: float | None = None
    first_loss: float | None = None
    images: int = 0
    peak_mib: float = 0.0
    foreign_cores: float = 0.0
    further: dict[str, Any] = field(default_factory=dict)
