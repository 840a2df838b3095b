"""Batches of samples, their axes, and the form in which a model takes them."""

import math
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.core.errors import DataError, ParameterError, in_one_sentence
from spikejoule.encoding.encode_images import EncodedImages
from spikejoule.encoding.events import array_of
from spikejoule.pricing.modules.layers import WEIGHTED

TimeAxis = Literal[0, 1, "none"]
LABELS: Final = ("label", "labels", "target", "targets", "y")
"""The names of labels in a batch that is a dictionary or dataclass."""


@dataclass(frozen=True)
class BatchAxes:
    """The axes of a batch.

    Attributes:
        sample: the axis of the samples.
        time: the axis of the steps; None where the model makes them itself.
    """

    sample: int
    time: int | None

    @classmethod
    def of(cls, time_axis: TimeAxis) -> Self:
        """Return the axes of batches with such a time axis."""
        return cls(int(time_axis == 0), None if time_axis == "none" else time_axis)

    def n_samples(self, x: Tensor) -> int:
        """Return B."""
        return x.shape[self.sample]

    def n_steps(self, x: Tensor) -> int:
        """Return T; 0 where the model makes the steps itself."""
        return 0 if self.time is None else x.shape[self.time]


class ModelInput:
    """The device and the type in which a model takes samples."""

    def __init__(self, model: nn.Module) -> None:
        tensors = (*model.parameters(), *model.buffers())
        first = next(iter(tensors), torch.zeros(0))
        self._device = first.device
        self._dtype = first.dtype if first.is_floating_point() else torch.float32
        self._takes_integers = any(
            isinstance(module, nn.Embedding | nn.EmbeddingBag)
            or (isinstance(module, WEIGHTED) and not module.weight.is_floating_point())
            for module in model.modules()
        )

    def of(self, x: Tensor) -> Tensor:
        """Move samples there; integers stay integers for integer weights."""
        if self._takes_integers and not x.is_floating_point():
            return x.to(self._device)
        return x.to(self._device, self._dtype)


@dataclass(frozen=True, eq=False)
class SampleBatch:
    """A batch of samples.

    Attributes:
        samples: as the model takes them.
        labels: their classes, [B]; None without.
    """

    samples: Tensor
    labels: NDArray[np.int64] | None


def batches_of(
    loader: Any, time_axis: TimeAxis, batch_size: int
) -> Iterator[SampleBatch]:
    """Yield the batches of a loader, of one tensor with all samples, or of events.

    Raises:
        ArtifactError, DataError, ParameterError: they are no samples, or cannot be
        read.
    """
    with in_one_sentence("reading the samples"):
        if isinstance(loader, np.ndarray | Tensor):
            whole = _samples(loader, time_axis)
            loader = torch.split(whole, batch_size, dim=BatchAxes.of(time_axis).sample)
        elif isinstance(loader, EncodedImages):
            starts = range(0, len(loader), batch_size)
            loader = [loader[start : start + batch_size] for start in starts]
        for item in loader:
            samples, labels = _parts_of(item)
            if labels is not None:
                labels = array_of(labels, "labels").reshape(-1)
            yield SampleBatch(_samples(samples, time_axis), labels)


def n_batches(loader: Any, time_axis: TimeAxis, batch_size: int) -> int | None:
    """Return how many batches there are; None if a loader does not say."""
    if isinstance(loader, np.ndarray | Tensor):
        sample_axis = BatchAxes.of(time_axis).sample
        n_samples = loader.shape[sample_axis] if loader.ndim > sample_axis else 0
        return math.ceil(n_samples / batch_size)
    if isinstance(loader, EncodedImages):
        return math.ceil(len(loader) / batch_size)
    return len(loader) if isinstance(loader, Sized) else None


def _parts_of(item: Any) -> tuple[Any, Any]:
    """Return the samples of a batch, and their labels; None without.

    Raises:
        DataError: a dictionary or dataclass has not one tensor beside the labels.
    """
    if is_dataclass(item) and not isinstance(item, EncodedImages):
        item = {field.name: getattr(item, field.name) for field in fields(item)}
    if isinstance(item, Mapping):
        labels = [name for name in item if name in LABELS]
        samples = [
            name
            for name, value in item.items()
            if isinstance(value, np.ndarray | Tensor) and name not in labels
        ]
        if len(samples) != 1 or len(labels) > 1:
            raise DataError(
                f"a batch is {', '.join(map(str, item))}; needed are one tensor of "
                f"samples and, if there are labels, one of {', '.join(LABELS)}."
            )
        return item[samples[0]], item[labels[0]] if labels else None
    # A TensorDataset gives tuples of one tensor or two.
    is_tuple = isinstance(item, tuple | list) and len(item) in (1, 2)
    parts: Sequence[Any] = item if is_tuple else (item,)
    return parts[0], parts[1] if len(parts) == 2 else None


def _samples(values: Any, time_axis: TimeAxis) -> Tensor:
    """Return samples as a dense tensor; DataError if they cannot be samples."""
    if isinstance(values, Tensor):
        x = values
    elif isinstance(values, EncodedImages):
        if time_axis == "none":
            raise ParameterError("encoded images have steps: set time_axis=0.")
        x = torch.from_numpy(values.to_dense()).transpose(0, time_axis)
    else:
        x = torch.from_numpy(array_of(values, "samples"))
    if x.layout != torch.strided:
        x = x.to_dense()
    axes = ["samples", "units"]
    if time_axis != "none":
        axes = ["time", *axes]
    is_index = x.dtype == torch.int64
    if x.ndim < len(axes) - is_index or not x.numel():
        raise DataError(
            f"the samples have the shape {tuple(x.shape)}; needed are axes of "
            f"{', '.join(axes)}, none of them empty."
        )
    # The extremes show NaN and infinity, in a tenth of the time of `isfinite`.
    if x.is_floating_point() and not all(map(torch.isfinite, torch.aminmax(x))):
        raise DataError("a batch holds numbers that are not finite.")
    return x
