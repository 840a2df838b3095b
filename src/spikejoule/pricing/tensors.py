"""Tensors of a running model: their time and sample axes, and their contents.

Shapes: B samples of a batch, T steps. A model orders its axes [T, B, ...] or
[B, T, ...]. Some of its modules take one step, [B, ...], and some take steps and
samples merged into one axis, [T B, ...].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from spikejoule.core.errors import DataError
from spikejoule.pricing.amounts import Counts
from spikejoule.pricing.neurons import FLAT
from spikejoule.pricing.torch_private import version_of

MAX_EXACT_FLOAT32: Final = 2**24
"""Sums of whole numbers below this are exact in float32."""
ANY: Final = "any"
"""The time axis of modules that take any number of axes."""
NEARLY_WHOLE: Final = 1e-3
"""Numbers this close to whole ones may be spikes that were rounded."""


@dataclass(frozen=True)
class ModuleLayout:
    """The axes of a module's tensors.

    Attributes:
        unit_axes: number of axes of one sample and step; None where `time` says how
            many axes precede them.
        time: the time axis, 0 or 1; `FLAT` where it may be merged with the samples;
            `ANY` where it is not known, for any number of axes; None for one step.
    """

    unit_axes: int | None = None
    time: int | str | None = None

    @property
    def may_be_merged(self) -> bool:
        """Whether the first axis may be steps and samples together."""
        return self.unit_axes is not None or self.time in (FLAT, ANY)


_PLAIN: Final = frozenset([int, float, bool, str, type(None)])

ANY_LAYOUT: Final = ModuleLayout(time=ANY)


class BatchLayout:
    """Find the samples and steps of a batch in the tensors of a model.

    Attributes:
        n_samples: B.
        n_steps: T in whole tensors; 0 where the model makes the steps itself.
        time_axis: of the model's tensors, 0 or 1, where a module does not demand one.
        is_order_known: whether tensors with as many samples as steps are unambiguous.
        is_doubtful: whether the samples were found in an axis that holds other things,
            too, or that might be another one.
        has_whole_time: whether the last tensor had all steps on an axis of its own.
    """

    def __init__(self, is_time_second: bool) -> None:
        self.n_samples = 0
        self.n_steps = 0
        self.time_axis = int(is_time_second)
        self.is_order_known = is_time_second
        self.is_doubtful = False
        self.has_whole_time = False
        # By what a merged axis holds of each sample, the time axis before.
        self._time_axes: dict[int, int] = {}

    def begin(self, n_samples: int, n_steps: int, time_axis: int | None) -> None:
        """Begin a batch; `time_axis` is that of the model's input, None without one."""
        self.n_samples = n_samples
        self.n_steps = n_steps
        if time_axis is not None:
            self.time_axis = time_axis
            self.is_order_known = True

    def by_step(self, x: Tensor, module: ModuleLayout) -> Tensor:
        """Return a module's input or output as [T, B, units...].

        Raises:
            DataError: no axis has as many entries as there are samples, or two axes may
                be the samples.
        """
        self.has_whole_time = False
        time_axis = module.time if isinstance(module.time, int) else self.time_axis
        n_leading = self._leading_axes(x, module)
        # Further axes before the units of a layer are tokens, windows or heads.
        self.is_doubtful |= module.unit_axes is not None and n_leading > 2
        self.is_doubtful |= self._has_rivals(x, n_leading, module)
        if n_leading == 0:
            # The samples may stand where a single sample has its channels.
            x = x.unsqueeze(int(x.shape[0] == self.n_samples))
            n_leading = 1
        if n_leading == 1 and module.may_be_merged and self._is_merged(x):
            n_steps = x.shape[0] // self.n_samples
            return self._split(x, time_axis, n_steps)[:, :, 0]
        if n_leading >= 2:
            # Without a known number of steps any second axis could be time.
            axes = (time_axis, 1 - time_axis) if self.n_steps else (time_axis,)
            for axis in axes:
                if self._is_time(axis, x):
                    self._check_clear(x, module)
                    self.has_whole_time = x.shape[axis] > 1
                    return x.movedim(axis, 0)
        if x.shape[0] == self.n_samples:
            self.is_doubtful |= module.unit_axes is not None and n_leading > 1
            return x.unsqueeze(0)
        whole = self._with_positions(x, n_leading, module)
        if whole is not None:
            self.is_doubtful = True
            return whole
        steps = f" (of {self.n_steps} steps)" if self.n_steps else ""
        raise DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which no axis has "
            f"the size of the {self.n_samples} samples{steps}."
        )

    def _has_rivals(self, x: Tensor, n_leading: int, module: ModuleLayout) -> bool:
        """Whether more axes than one may hold the samples."""
        if module.unit_axes is None:
            # Axes of units are not told from others: only equal sizes are suspect.
            return x.ndim > 2 and x.shape[0] == x.shape[1] == self.n_samples
        sizes = [
            size
            for size in x.shape[:n_leading]
            if size != self.n_steps or size == self.n_samples
        ]
        return sum(map(self._has_samples, sizes)) > 1

    def _with_positions(
        self, x: Tensor, n_leading: int, module: ModuleLayout
    ) -> Tensor | None:
        """Find samples and steps that share their axes with other things.

        A model may join steps, or merge positions, windows or heads with the samples.
        """
        n_steps = max(self.n_steps, 1)
        whole: Tensor | None = None
        if n_leading >= 2 and x.shape[1] == self.n_samples:
            return x
        if n_leading >= 2 and self.n_steps > 1:
            for axis in (0, 1):
                if x.shape[axis] == n_steps and self._has_samples(x.shape[1 - axis]):
                    whole = torch.unflatten(x.movedim(axis, 0), 1, (self.n_samples, -1))
        if whole is None and self._has_samples(x.shape[0] / n_steps):
            whole = self._split(x, self.time_axis, n_steps)
        elif whole is None and self._has_samples(x.shape[0]):
            whole = torch.unflatten(x, 0, (self.n_samples, -1))[None]
        if module.unit_axes is None:
            return whole
        # A layer with weights runs at each position, as it does in each step.
        if whole is not None:
            return whole.movedim(2, 1).flatten(0, 1)
        return self._behind_positions(x, n_leading)

    def _behind_positions(self, x: Tensor, n_leading: int) -> Tensor | None:
        """Find samples in an axis behind others; None if there are none."""
        for axis in range(1, n_leading):
            if self._has_samples(x.shape[axis]):
                whole = torch.unflatten(x, axis, (self.n_samples, -1))
                return whole.movedim(axis, n_leading).flatten(0, n_leading - 1)
        return None

    def _has_samples(self, size: float) -> bool:
        """Whether an axis may hold the samples, and other things in each."""
        return size % self.n_samples == 0

    def _leading_axes(self, x: Tensor, module: ModuleLayout) -> int:
        """Count the axes before those of the units."""
        if module.unit_axes is not None:
            return x.ndim - module.unit_axes
        if module.time == ANY:
            is_first = x.shape[0] == self.n_samples
            is_second = x.shape[1:2] == (self.n_samples,)
            return 2 if is_second and not is_first else 1
        return 2 if isinstance(module.time, int) else 1

    def _is_merged(self, x: Tensor) -> bool:
        """Whether the size of the first axis is the product of samples and steps."""
        n_steps, rest = divmod(x.shape[0], self.n_samples)
        return rest == 0 and n_steps != 1 and self.n_steps in (0, n_steps)

    def _split(self, x: Tensor, time_axis: int, n_steps: int) -> Tensor:
        """Split a first axis of samples, steps and positions: [T, B, positions, ...].

        Samples come first or second, as in the tensor that the model has merged.
        """
        per_sample = x.shape[0] // self.n_samples
        self.is_doubtful |= per_sample > 1 and per_sample not in self._time_axes
        time_axis = self._time_axes.get(per_sample, time_axis)
        sizes = [n_steps, self.n_samples, -1]
        if time_axis == 1:
            sizes[:2] = [self.n_samples, n_steps]
        return torch.unflatten(x, 0, sizes).movedim(time_axis, 0)

    def note_merge(self, x: Tensor, merged: Tensor) -> None:
        """Note the order of samples and steps in an axis into which both were merged.

        Args:
            x: the tensor before.
            merged: the same numbers, reshaped.
        """
        sizes = x.shape[:2]
        if len(sizes) < 2 or 1 in sizes or sizes[0] == sizes[1]:
            return
        sample_axis = 0 if sizes[0] == self.n_samples else 1
        n_steps = sizes[1 - sample_axis]
        is_known = sizes[sample_axis] == self.n_samples
        is_known &= self.n_steps in (0, n_steps) and x.numel() == merged.numel()
        # Another axis of this size might be that of the samples.
        is_known &= list(x.shape).count(self.n_samples) == 1
        merged_size = merged.shape[0] if merged.ndim else 1
        if is_known and merged_size % (n_steps * self.n_samples) == 0:
            per_sample = merged_size // self.n_samples
            time_axis = 1 - sample_axis
            # Tensors of one size that were merged in both orders are not told apart.
            self.is_doubtful |= self._time_axes.get(per_sample, time_axis) != time_axis
            self._time_axes[per_sample] = time_axis

    def note_join(self, joined: Tensor) -> None:
        """Note that a first axis was made of several tensors, in an unknown order."""
        n_joined = joined.shape[0] if joined.ndim else 1
        is_merged = n_joined > self.n_samples and self._has_samples(n_joined)
        self.is_doubtful |= is_merged

    def _is_time(self, axis: int, x: Tensor) -> bool:
        """Whether axis 0 or 1 may be time, and the other one the samples."""
        has_samples = x.shape[1 - axis] == self.n_samples
        return has_samples and self.n_steps in (0, x.shape[axis])

    def _check_clear(self, x: Tensor, module: ModuleLayout) -> None:
        """Refuse a tensor with as many samples as steps whose order is not known."""
        if self.n_steps:
            return
        demands_order = isinstance(module.time, int)
        if not (demands_order or self.is_order_known) and x.shape[0] == x.shape[1]:
            raise unclear(x, self.n_samples)
        self.is_order_known = True


def unclear(x: Tensor, n_samples: int) -> DataError:
    """Make the error for a tensor in which two axes may be the samples."""
    return DataError(
        f"in a tensor of shape {tuple(x.shape)} it is not clear which axis is that of "
        f"the {n_samples} samples: choose another batch size."
    )


def first_tensor(values: Any) -> Tensor:
    """Return the first tensor among arguments or in an output.

    Raises:
        DataError: there is none.
    """
    tensor = find_tensor(values)
    if tensor is None:
        raise DataError(
            "a module takes or gives no dense tensor, and cannot be counted."
        )
    return tensor


def find_tensor(values: Any) -> Tensor | None:
    """Return the first tensor among arguments or in an output; None without one."""
    if isinstance(values, Tensor) and has_memory(values):
        return values
    return next(iter(tensors_in(values)), None)


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors among arguments or in an output that have memory."""
    return [x for x in all_tensors(values) if has_memory(x)]


def has_memory(x: Tensor) -> bool:
    """Whether a tensor has memory, by which it is known: not sparse, nor in `vmap`."""
    try:
        x.untyped_storage()
    except RuntimeError:  # NotImplementedError is one
        return False
    return True


def all_tensors(values: Any) -> list[Tensor]:
    """Return all tensors among arguments or in an output."""
    found: list[Tensor] = []
    _collect(values, found)
    return found


def _collect(values: Any, found: list[Tensor]) -> None:
    # This runs for every function: a recursive generator takes three times as long, and
    # to find out that a number is no `Tensor` takes longer than to look up its type.
    if type(values) in _PLAIN:
        return
    if isinstance(values, Tensor):
        found.append(values)
    elif isinstance(values, list | tuple):
        for value in values:
            _collect(value, found)
    elif isinstance(values, dict):
        for value in values.values():
            _collect(value, found)


def memory_of(x: Tensor) -> int:
    """Return the address of a tensor's memory, which its views share."""
    return x.untyped_storage().data_ptr()


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
    # Step by step: a temporary tensor of all steps is new memory, which takes longer to
    # get than to fill.
    is_binary = not are_values and all(map(_is_binary, flat))
    is_small = flat.shape[0] * flat.shape[2] < MAX_EXACT_FLOAT32
    dtype = torch.float32 if is_small else torch.float64
    if is_binary:
        nonzero = counts_of(flat.sum(dim=(0, 2), dtype=dtype))
    else:
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


def _is_binary(step: Tensor) -> bool:
    """Whether all numbers are 0 or 1: x - x * x is 0 only for them, also rounded."""
    return _is_zero(torch.addcmul(step, step, step, value=-1))


def _is_zero(flat: Tensor) -> bool:
    """Whether all numbers are zero; `any` takes much longer than `aminmax`."""
    low, high = torch.aminmax(flat)
    return low.item() == 0 and high.item() == 0
