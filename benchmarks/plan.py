"""How long one measuring process measures, and what it reports."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """Work of one process: what is warmed up is not timed.

    batches: training batches of `job.batch_size`; the same for inference in batches of the row's
        own size. epochs: whole training epochs of a row that is measured in those.
    by_batches: time batches also of a row that is otherwise timed in epochs.
    order_seed: the training images are visited in the order that this seed draws.
    """

    warmup_batches: int = 5
    batches: int = 20
    inference_batches: int = 20
    warmup_epochs: int = 1
    epochs: int = 1
    by_batches: bool = False
    order_seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """What one process measured.

    training_batch_seconds: one number a batch; empty where whole epochs were measured.
    training_epoch_seconds: one number per epoch; empty where batches were measured.
    inference_images_per_second: one number a batch, or a pass over the test set.
    loss: mean training loss over what was timed.
    foreign_cores: processor cores that other processes kept busy meanwhile, on average.
    """

    name: str
    training_batch_seconds: list[float] = field(default_factory=list)
    training_epoch_seconds: list[float] = field(default_factory=list)
    inference_images_per_second: list[float] = field(default_factory=list)
    loss: float | None = None
    peak_bytes: int = 0
    foreign_cores: float = 0.0
    further: dict[str, Any] = field(default_factory=dict)
