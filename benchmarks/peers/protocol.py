"""What the benchmark asks of an implementation."""

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Implementation(Protocol):
    """One row of the benchmark. B batch, N images, P pixels.

    An implementation whose cost per batch is not constant (it encodes per epoch at once, say) also
    offers `train_epoch(order)` and `infer_all(indices)`; whole epochs are then measured.
    """

    inference_batch_size: int

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Take uint8 images [N, 28, 28] or [N, P] and uint8 labels [N]; not part of any timing."""

    def train_batch(self, indices: np.ndarray) -> float:
        """Encode, forward, backward, clip, optimizer step for images `indices` [B]; the loss."""

    def infer_batch(self, indices: np.ndarray) -> np.ndarray:
        """Encode and forward for images `indices` [B]; the predicted digits, int64 [B]."""


@runtime_checkable
class EpochImplementation(Implementation, Protocol):
    """An implementation that is measured in whole epochs."""

    def train_epoch(self, order: np.ndarray) -> float:
        """Train once on images `order` [N], in that order, in batches; the mean loss."""

    def infer_all(self, indices: np.ndarray) -> np.ndarray:
        """Encode and forward for all of `indices` [N]; the predicted digits, int64 [N]."""
