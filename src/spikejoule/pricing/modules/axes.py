"""The axes of a running model's tensors: which hold steps, samples and units.

Shapes: B samples of a batch, T steps. A model orders its axes [T, B, ...] or
[B, T, ...]. Some of its modules take one step, [B, ...], and some take steps and
samples merged into one axis, [T B, ...].
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from spikejoule.core.errors import DataError
from spikejoule.pricing.modules.neurons import FLAT

ANY: Final = "any"
"""The time axis of modules that take any number of axes."""


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
        is_lost: whether a tensor had no axis with the size of the samples, so that it
            is not known what belongs to which.
        has_whole_time: whether the last tensor had all steps on an axis of its own.
    """

    def __init__(self, is_time_second: bool, needs_samples: bool) -> None:
        """Start without a batch.

        Args:
            is_time_second: whether some neurons take [B, T, ...].
            needs_samples: whether a tensor without an axis of samples is refused.
        """
        self.n_samples = 0
        self.n_steps = 0
        self.time_axis = int(is_time_second)
        self.is_order_known = is_time_second
        self.is_doubtful = False
        self.is_lost = False
        self.has_whole_time = False
        self._needs_samples = needs_samples
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

        Without an axis of samples it is [1, rows, units...]: part of a batch.

        Raises:
            DataError: two axes may be the samples, or neurons that take one step are
                given several; or samples are needed, and no axis has their size.
        """
        self.has_whole_time = False
        whole = self._by_step(x if x.ndim else x[None], module)
        return whole if whole.ndim > 2 else whole.unsqueeze(2)

    def _by_step(self, x: Tensor, module: ModuleLayout) -> Tensor:
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
        takes_one_step = module.unit_axes is None and module.time is None
        if takes_one_step and x.ndim > 2 and x.shape[1] == self.n_samples:
            raise self._not_found(x)
        whole = self._with_positions(x, n_leading, module)
        if whole is not None:
            self.is_doubtful = True
            return whole
        if self._needs_samples:
            raise self._not_found(x)
        self.is_lost = True
        return x.flatten(0, n_leading - 1)[None]

    def _not_found(self, x: Tensor) -> DataError:
        """Make the error for a tensor without samples where they are needed."""
        steps = f" of {self.n_steps} steps" if self.n_steps else ""
        return DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which the "
            f"{self.n_samples} samples{steps} were not found."
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
