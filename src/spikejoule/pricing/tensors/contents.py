"""The contents of tensors, summed up per sample: spikes, or values."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from spikejoule.pricing.tensors.amounts import Counts
from spikejoule.pricing.torch_private import version_of

MAX_EXACT_FLOAT32: Final = 2**24
"""Sums of whole numbers below this are exact in float32."""
NEARLY_WHOLE: Final = 1e-3
"""Numbers this close to whole ones may be spikes that were rounded."""
_NUMBERS_IN_CACHE: Final = 2**18

Reading = tuple[Any, ...]
"""Which memory, in which version, was read as which steps and samples."""


def reading_of(x: Tensor, by_step: Tensor) -> Reading | None:
    """Identify what a tensor holds; None where a change would not be seen.

    Args:
        x: a tensor of the model.
        by_step: the same tensor as [T, B, units...].
    """
    if x.is_inference() or not x.is_contiguous():
        return None
    axes = (by_step.shape[:2], by_step.stride()[:2])
    # Repeated numbers, as in `expand`, make `by_step` larger.
    return (by_step.data_ptr(), by_step.numel(), version_of(x), *axes)


@dataclass(frozen=True, eq=False)
class TensorContents:
    """The contents of a tensor, per sample.

    Attributes:
        spikes: sum of whole numbers, int64 [B]; for values the same as `nonzero`.
        nonzero: number of entries that are not zero, int64 [B].
        peak: the largest number.
        is_whole: whether all numbers are whole.
        is_nearly_whole: whether they are not, but all are within `NEARLY_WHOLE`.
    """

    spikes: Counts
    nonzero: Counts
    peak: float = 1.0
    is_whole: bool = True
    is_nearly_whole: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether all numbers are 0 or 1."""
        return self.is_whole and self.spikes is self.nonzero


def contents_of(
    by_step: Tensor | Sequence[Tensor], are_values: bool = False
) -> TensorContents:
    """Sum up a tensor [T, B, units...], or its steps.

    Args:
        by_step: the numbers.
        are_values: whether they are values, even if they happen to be whole: then it is
            only counted how many are not zero.
    """
    if isinstance(by_step, Tensor) and not by_step.numel():
        none = np.zeros(by_step.shape[1], np.int64)
        return TensorContents(none, none, is_whole=not are_values)
    steps = [_floats(step) for step in by_step]
    if are_values:
        nonzero = _count_nonzero(steps)
        return TensorContents(nonzero, nonzero, is_whole=False)
    return _binary_contents(steps) or _whole_contents(steps) or _value_contents(steps)


def _floats(step: Tensor) -> Tensor:
    """Return a step [B, units...] as floating point numbers [B, n]."""
    flat = step.detach().flatten(1)
    return flat if flat.dtype in (torch.float32, torch.float64) else flat.float()


def _binary_contents(steps: list[Tensor]) -> TensorContents | None:
    """Sum up numbers that are 0 or 1; None if there are others."""
    sums = _no_sums(steps, peak=1)
    for rows, sums_of_rows, buffer in _parts_of(steps, sums):
        if not _is_binary(rows, buffer):
            return None
        sums_of_rows += rows.sum(dim=1, dtype=sums.dtype)
    spikes = counts_of(sums)
    return TensorContents(spikes, spikes)


def _whole_contents(steps: list[Tensor]) -> TensorContents | None:
    """Sum up whole numbers; None if there are others."""
    sums = _no_sums(steps, peak=math.inf)
    peak = 0.0
    for rows, sums_of_rows, buffer in _parts_of(steps, sums):
        if not _is_zero(torch.frac(rows, out=buffer)):
            return None
        sizes = torch.abs(rows, out=buffer)
        peak_of_rows = sizes.amax().item()
        dtype = _exact_dtype(rows.shape[1] * peak_of_rows)
        sums_of_rows += sizes.sum(dim=1, dtype=dtype)
        peak = max(peak, peak_of_rows)
    return TensorContents(counts_of(sums), _count_nonzero(steps), peak)


def _value_contents(steps: list[Tensor]) -> TensorContents:
    """Sum up numbers that are not whole."""
    nonzero = _count_nonzero(steps)
    distances = [float((step - step.round()).abs().max()) for step in steps]
    return TensorContents(
        nonzero,
        nonzero,
        peak=max(float(step.abs().max()) for step in steps),
        is_whole=False,
        is_nearly_whole=max(distances) < NEARLY_WHOLE,
    )


def _count_nonzero(steps: list[Tensor]) -> Counts:
    """Count the numbers of each sample that are not zero: [B]."""
    sums = _no_sums(steps, peak=1)
    for rows, sums_of_rows, buffer in _parts_of(steps, sums):
        marks = torch.ne(rows, 0, out=buffer)
        sums_of_rows += marks.sum(dim=1, dtype=sums.dtype)
    return counts_of(sums)


def _no_sums(steps: list[Tensor], peak: float) -> Tensor:
    """Return zeros [B], to which whole numbers up to a peak can be added exactly."""
    n_samples, n_units = steps[0].shape
    dtype = _exact_dtype(len(steps) * n_units * peak)
    return steps[0].new_zeros(n_samples, dtype=dtype)


def _parts_of(
    steps: list[Tensor], sums: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Split steps [B, n] into parts that stay in the cache between readings.

    A temporary tensor of all numbers would be new memory as well, and getting it takes
    longer than filling it.

    Args:
        steps: the steps.
        sums: of the samples, [B].

    Yields:
        some rows of a step, their sums, and a buffer of their shape.
    """
    n_samples, n_units = steps[0].shape
    n_rows = min(max(_NUMBERS_IN_CACHE // max(n_units, 1), 1), n_samples)
    buffer = steps[0].new_empty(n_rows, n_units)
    parts = [slice(start, start + n_rows) for start in range(0, n_samples, n_rows)]
    sums_of_parts = [sums[part] for part in parts]
    buffers = [buffer[: len(sums_of_part)] for sums_of_part in sums_of_parts]
    for step in steps:
        rows = [step[part] for part in parts]
        yield from zip(rows, sums_of_parts, buffers, strict=True)


def _exact_dtype(most: float) -> torch.dtype:
    """Return a type in which whole numbers add up to `most` exactly.

    float32 is faster than float64.
    """
    return torch.float32 if most < MAX_EXACT_FLOAT32 else torch.float64


def counts_of(sums: Tensor) -> Counts:
    """Return whole numbers as int64: NumPy adds few numbers faster than PyTorch."""
    return sums.cpu().numpy().astype(np.int64)


def nonzero_marks(flat: Tensor) -> Tensor:
    """Return 1 where a tensor is not zero, in its own floating point type.

    A comparison whose result is bool takes PyTorch fifty times longer.
    """
    return torch.ne(flat, 0, out=torch.empty_like(flat))


def is_binary(x: Tensor) -> bool:
    """Whether all numbers of a tensor of the model, of any type, are 0 or 1."""
    if not x.numel() or x.is_complex():
        return False
    numbers = x.detach() if x.is_floating_point() else x.float()
    return _is_binary(numbers, torch.empty_like(numbers))


def _is_binary(x: Tensor, buffer: Tensor) -> bool:
    """Whether all numbers are 0 or 1: x - x * x is 0 only for them, also rounded."""
    return _is_zero(torch.addcmul(x, x, x, value=-1, out=buffer))


def _is_zero(flat: Tensor) -> bool:
    """Whether all numbers are zero; `any` and `aminmax` take longer."""
    return flat.amax().item() == 0 and flat.amin().item() == 0
