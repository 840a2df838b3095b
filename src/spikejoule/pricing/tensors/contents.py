"""The contents of tensors, summed up per sample: spikes, or values."""

from collections.abc import Sequence
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
_NUMBERS_IN_CACHE: Final = 2**17

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


def contents_of(by_step: Tensor, are_values: bool = False) -> TensorContents:
    """Sum up a tensor [T, B, units...]; of values, only how many are not zero."""
    flat = by_step.flatten(2)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.float()
    is_binary = not are_values and all(
        _is_binary(rows) for step in flat for rows in _in_cache(step)
    )
    is_small = flat.shape[0] * flat.shape[2] < MAX_EXACT_FLOAT32
    dtype = torch.float32 if is_small else torch.float64
    if is_binary:
        nonzero = counts_of(flat.sum(dim=(0, 2), dtype=dtype))
    else:
        # Step by step: a temporary tensor of all steps is new memory, and getting it
        # takes longer than filling it.
        marks = [nonzero_marks(step).sum(dim=1, dtype=dtype) for step in flat]
        nonzero = counts_of(torch.stack(marks).sum(dim=0))
    if is_binary or are_values:
        return TensorContents(nonzero, nonzero, is_whole=is_binary)
    sizes = flat.abs()
    peak = float(sizes.max())
    if _is_zero(torch.frac(flat)):
        spikes = counts_of(sizes.sum(dim=(0, 2), dtype=torch.float64))
        return TensorContents(spikes, nonzero, peak)
    distance = (flat - flat.round()).abs().max()
    return TensorContents(
        nonzero,
        nonzero,
        peak,
        is_whole=False,
        is_nearly_whole=bool(distance < NEARLY_WHOLE),
    )


def contents_of_steps(
    steps: Sequence[Tensor], are_values: bool = False
) -> TensorContents:
    """Sum up steps [B, units...] as `contents_of` does, and join only values."""
    flat = [step.flatten(1) for step in steps]
    is_small = len(flat) * flat[0].shape[1] < MAX_EXACT_FLOAT32
    is_float = flat[0].dtype in (torch.float32, torch.float64)
    if are_values or not (is_small and is_float and all(map(_is_binary, flat))):
        return contents_of(torch.stack([*steps]), are_values)
    nonzero = counts_of(torch.stack([step.sum(dim=1) for step in flat]).sum(dim=0))
    return TensorContents(nonzero, nonzero)


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
    return _is_binary(x if x.is_floating_point() else x.float())


def _in_cache(step: Tensor) -> tuple[Tensor, ...]:
    """Split a step [B, units] into rows that stay in the cache between readings."""
    n_rows = max(_NUMBERS_IN_CACHE // max(step.shape[1], 1), 1)
    return torch.split(step, n_rows)


def _is_binary(rows: Tensor) -> bool:
    """Whether all numbers are 0 or 1: x - x * x is 0 only for them, also rounded."""
    return _is_zero(torch.addcmul(rows, rows, rows, value=-1))


def _is_zero(flat: Tensor) -> bool:
    """Whether all numbers are zero; `any` and `aminmax` take longer."""
    return flat.amax().item() == 0 and flat.amin().item() == 0
