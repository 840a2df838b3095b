"""What one process of a speed table does, and what it measures."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Work of one process: what is warmed up is not timed.

    batches: training batches of `job.batch_size`, and as many more as `least_seconds`
        need; the
        same for inference in batches of the row's own size. epochs: whole training
        epochs of a row that is measured in those.
    order_seed: the training images are visited in the order that this seed draws.
    """

    warmup_batches: int = 5
    batches: int = 20
    least_seconds: float = 0.0
    warmup_epochs: int = 1
    epochs: int = 1
    order_seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """What one process measured.

    epoch_seconds: one number an epoch, or one a batch as seconds per epoch.
    inference_images_per_second: one number a batch, or a pass over the test set.
    loss: mean training loss over what was timed; first_loss: over the first batches.
    images: that were trained on while it was timed.
    foreign_cores: processor cores that other processes kept busy meanwhile, on average.
    """

    epoch_seconds: list[float]
    inference_images_per_second: list[float] = field(default_factory=list)
    loss: float | None = None
    first_loss: float | None = None
    images: int = 0
    peak_mib: float = 0.0
    foreign_cores: float = 0.0
    further: dict[str, Any] = field(default_factory=dict)
