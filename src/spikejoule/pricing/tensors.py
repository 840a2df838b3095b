"""Tensors of a running model: which axes are time and samples, and what the tensors
hold.

Shapes: B samples of a batch, T steps. A model has its samples and steps in one of two
orders, [T, B, ...] or [B, T, ...]; some of its modules take one step, [B, ...], and
some take steps and samples joined to one axis, [T B, ...].
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from spikejoule.core.errors import DataError
from spikejoule.pricing.neurons import FLAT

MAX_EXACT_FLOAT32: Final = 2**24
"""Below it float32 adds up whole numbers exactly."""


@dataclass(frozen=True)
class ModuleLayout:
    """How the tensors of a module are laid out.

    Attributes:
        unit_axes: axes of one sample and step; None where `time` says how many axes
            precede them.
        time: the axis of time, 0 or 1; `FLAT` where it may be joined with the samples;
            None for one step.
        is_any: whether the module takes any number of axes, and `time` is not known.
    """

    unit_axes: int | None = None
    time: int | str | None = None
    is_any: bool = False

    @property
    def may_be_joined(self) -> bool:
        """Whether a first axis may be that of steps and samples together."""
        return self.unit_axes is not None or self.is_any or self.time == FLAT


ANY_LAYOUT: Final = ModuleLayout(is_any=True)


class BatchLayout:
    """Where the samples and steps of a batch are in the tensors of a model.

    Attributes:
        n_samples: B.
        n_steps: T of whole tensors; 0 where the model makes the steps itself.
        time_axis: of the model's tensors, 0 or 1, where a module does not demand one.
        is_order_known: whether tensors with as many samples as steps are unambiguous.
    """

    def __init__(self, is_time_second: bool) -> None:
        self.n_samples = 0
        self.n_steps = 0
        self.time_axis = int(is_time_second)
        self.is_order_known = is_time_second

    def begin(self, n_samples: int, n_steps: int, time_axis: int | None) -> None:
        """A batch: its sizes, and the axis of time in what the model takes, None
        without one.
        """
        self.n_samples = n_samples
        self.n_steps = n_steps
        if time_axis is not None:
            self.time_axis = time_axis
            self.is_order_known = True

    def by_step(self, x: Tensor, module: ModuleLayout) -> Tensor:
        """What enters or leaves a module as [T, B, units...], whatever the order of its
        axes.

        Raises:
            DataError: no axis has as many entries as there are samples, or two may be
                theirs.
        """
        time_axis = module.time if isinstance(module.time, int) else self.time_axis
        n_leading = self._leading_axes(x, module)
        if n_leading == 0:
            x = x[None]
            n_leading = 1
        if n_leading == 1 and module.may_be_joined and self._is_joined(x):
            n_steps = x.shape[0] // self.n_samples
            both = (
                (self.n_samples, n_steps)
                if time_axis == 1
                else (n_steps, self.n_samples)
            )
            x = x.reshape(*both, *x.shape[1:])
            n_leading = 2
        if n_leading >= 2:
            # Without a known number of steps any second axis could be that of time.
            for tried in (time_axis, 1 - time_axis) if self.n_steps else (time_axis,):
                if self._is_time(tried, x):
                    self._check_clear(x, module)
                    return x.movedim(tried, 0)
        if x.shape[0] == self.n_samples:
            return x[None]
        steps = f" (of {self.n_steps} steps)" if self.n_steps else ""
        raise DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which no axis "
            "is that of the "
            f"{self.n_samples} samples{steps}."
        )

    def _leading_axes(self, x: Tensor, module: ModuleLayout) -> int:
        """Axes before those of the units."""
        if module.unit_axes is not None:
            return x.ndim - module.unit_axes
        if module.is_any:
            is_second = x.shape[0] != self.n_samples and x.shape[1:2] == (
                self.n_samples,
            )
            return 2 if is_second else 1
        return 2 if isinstance(module.time, int) else 1

    def _is_joined(self, x: Tensor) -> bool:
        """Whether the first axis has a multiple of the samples, as many as there are
        steps.
        """
        n_steps, rest = divmod(x.shape[0], self.n_samples)
        return rest == 0 and n_steps != 1 and self.n_steps in (0, n_steps)

    def _is_time(self, axis: int, x: Tensor) -> bool:
        """Whether this one of the first two axes may be time, and the other one the
        samples.
        """
        return x.shape[1 - axis] == self.n_samples and self.n_steps in (
            0,
            x.shape[axis],
        )

    def _check_clear(self, x: Tensor, module: ModuleLayout) -> None:
        if self.n_steps:
            return
        demands_order = isinstance(module.time, int)
        if not (demands_order or self.is_order_known) and x.shape[0] == x.shape[1]:
            raise unclear(x, self.n_samples)
        self.is_order_known = True


def unclear(x: Tensor, n_samples: int) -> DataError:
    """The error for a tensor of which two axes may be that of the samples."""
    return DataError(
        f"of a tensor of shape {tuple(x.shape)} it is not clear which axis is that "
        f"of {n_samples} "
        "samples: choose batches of another size."
    )


def first_tensor(values: Any) -> Tensor:
    """The first tensor among arguments or in an output.

    Raises:
        DataError: there is none.
    """
    found = find_tensor(values)
    if found is None:
        raise DataError("a module takes or gives no tensor, and cannot be counted.")
    return found


def find_tensor(values: Any) -> Tensor | None:
    """The first tensor among arguments or in an output; None without one."""
    if isinstance(values, Tensor):
        return values
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            found = find_tensor(value)
            if found is not None:
                return found
    return None


@dataclass(frozen=True, eq=False)
class TensorContents:
    """What a tensor holds, of each sample.

    Attributes:
        spikes: sum of what its units give, whole numbers [B]; of values as `nonzero`.
        nonzero: units that give something, whole numbers [B].
        peak: the most that one gives.
        is_whole: whether all are whole numbers.
        is_nearly_whole: whether they are not, but closer to them than 1 in 1,000.
    """

    spikes: Tensor
    nonzero: Tensor
    peak: float = 1.0
    is_whole: bool = True
    is_nearly_whole: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether all are zeros and ones."""
        return self.is_whole and self.spikes is self.nonzero


def contents_of(by_step: Tensor, are_values: bool = False) -> TensorContents:
    """What a tensor [T, B, units...] holds; of values, only how many are not zero."""
    flat = by_step.flatten(2)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.float()
    # x - x x is 0 for 0 and 1 only, in floating point, too.
    is_binary = not are_values and _is_zero(torch.addcmul(flat, flat, flat, value=-1))
    marks = flat if is_binary else nonzero_marks(flat)
    is_small = marks.shape[0] * marks.shape[2] < MAX_EXACT_FLOAT32
    nonzero = marks.sum(dim=(0, 2), dtype=torch.float32 if is_small else torch.float64)
    if is_binary or are_values:
        return TensorContents(nonzero, nonzero, is_whole=is_binary)
    sizes = flat.abs()
    peak = float(sizes.max())
    if _is_zero(torch.frac(flat)):
        return TensorContents(sizes.sum(dim=(0, 2), dtype=torch.float64), nonzero, peak)
    is_near = bool((flat - flat.round()).abs().max() < 1e-3)
    return TensorContents(
        nonzero, nonzero, peak, is_whole=False, is_nearly_whole=is_near
    )


def nonzero_marks(flat: Tensor) -> Tensor:
    """1 where something is not zero, in the floating point type of the tensor:
    comparisons that give bool take torch fifty times longer."""
    return torch.ne(flat, 0, out=torch.empty_like(flat))


def _is_zero(flat: Tensor) -> bool:
    """Whether all is zero; `any` takes much longer."""
    low, high = torch.aminmax(flat)
    return low.item() == 0 and high.item() == 0
