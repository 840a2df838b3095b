"""Tensors of a running model: which axes are time and samples, and what the tensors hold.

Shapes: B samples of a batch, T steps. A model has its samples and steps in one of two orders,
[T, B, ...] or [B, T, ...]; some of its modules take one step, [B, ...], and some take steps and
samples joined to one axis, [T B, ...].
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import torch
from torch import Tensor

from spikejoule.core.errors import DataError
from spikejoule.pricing.neurons import FLAT

MAX_EXACT_FLOAT32: Final = 2**24
"""Below it float32 adds up whole numbers exactly."""


class Order(Enum):
    """The order of the axes of time and samples; its value is the axis of time."""

    TIME_FIRST = 0
    SAMPLES_FIRST = 1


@dataclass(frozen=True)
class ModuleLayout:
    """How the tensors of a module are laid out.

    Attributes:
        unit_axes: axes of one sample and step; None where `time` says how many axes precede them.
        time: the axis of time, 0 or 1; `FLAT` where it may be joined with the samples; None for one
            step.
        is_any: whether the module takes any number of axes, and `time` is not known.
    """

    unit_axes: int | None = None
    time: int | str | None = None
    is_any: bool = False

    @property
    def order(self) -> Order | None:
        """The order that the module itself demands."""
        return Order(self.time) if isinstance(self.time, int) else None

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
        order: of the model's tensors, where a module does not demand one.
        is_order_known: whether tensors with as many samples as steps are unambiguous.
    """

    def __init__(self, is_time_second: bool) -> None:
        self.n_samples, self.n_steps = 0, 0
        self.order = Order(int(is_time_second))
        self.is_order_known = is_time_second

    def begin(self, n_samples: int, n_steps: int | None, time_axis: int | None) -> None:
        """A batch: its sizes, and the axis of time in what the model takes, None without one."""
        self.n_samples = n_samples
        self.n_steps = n_steps or 0
        if time_axis is not None:
            self.order = Order(time_axis)
            self.is_order_known = True

    def by_step(self, x: Tensor, module: ModuleLayout) -> Tensor:
        """What enters or leaves a module as [T, B, units...], whatever the order of its axes.

        Raises:
            DataError: no axis has as many entries as there are samples, or two may be theirs.
        """
        n_leading = self._leading_axes(x, module)
        if n_leading == 0:
            x = x[None]
            n_leading = 1
        order = module.order or self.order
        if n_leading == 1 and module.may_be_joined and self._is_joined(x):
            x = self._taken_apart(x, order)
            n_leading = 2
        if n_leading >= 2:
            # Without a known number of steps any second axis could be that of time.
            other = Order(1 - order.value)
            for tried in (order, other) if self.n_steps else (order,):
                if self._is_in(tried, x):
                    self._check_clear(x, module)
                    return x if tried is Order.TIME_FIRST else x.transpose(0, 1)
        if x.shape[0] == self.n_samples:
            return x[None]
        steps = f" (of {self.n_steps} steps)" if self.n_steps else ""
        raise DataError(
            f"a module takes a tensor of shape {tuple(x.shape)}, in which no axis is that of the "
            f"{self.n_samples} samples{steps}."
        )

    def _leading_axes(self, x: Tensor, module: ModuleLayout) -> int:
        """Axes before those of the units."""
        if module.unit_axes is not None:
            return x.ndim - module.unit_axes
        if module.is_any:
            is_second = x.shape[0] != self.n_samples and x.shape[1:2] == (self.n_samples,)
            return 2 if is_second else 1
        return 1 if module.order is None else 2

    def _is_joined(self, x: Tensor) -> bool:
        """Whether the first axis has a multiple of the samples, as many as there are steps."""
        n_steps, rest = divmod(x.shape[0], self.n_samples)
        return rest == 0 and n_steps != 1 and self.n_steps in (0, n_steps)

    def _taken_apart(self, x: Tensor, order: Order) -> Tensor:
        """The first axis as two, of steps and samples."""
        n_steps = x.shape[0] // self.n_samples
        if order is Order.TIME_FIRST:
            return x.reshape(n_steps, self.n_samples, *x.shape[1:])
        return x.reshape(self.n_samples, n_steps, *x.shape[1:])

    def _is_in(self, order: Order, x: Tensor) -> bool:
        """Whether the first two axes are of steps and samples, in an order."""
        n_steps, n_samples = x.shape[order.value], x.shape[1 - order.value]
        return n_samples == self.n_samples and self.n_steps in (0, n_steps)

    def _check_clear(self, x: Tensor, module: ModuleLayout) -> None:
        is_clear = self.n_steps or module.order is not None or x.shape[0] != x.shape[1]
        if not (is_clear or self.is_order_known):
            raise unclear(x, self.n_samples)
        if not self.n_steps:
            self.is_order_known = True


def unclear(x: Tensor, n_samples: int) -> DataError:
    """The error for a tensor of which two axes may be that of the samples."""
    return DataError(
        f"of a tensor of shape {tuple(x.shape)} it is not clear which axis is that of {n_samples} "
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
        is_nearly_whole: whether they are not, but closer to whole numbers than 1 in 1,000.
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


class Scanner:
    """Looks at what tensors hold, in memory that it reuses from call to call."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[torch.device, torch.dtype, bool], Tensor] = {}

    def contents(self, by_step: Tensor, are_values: bool = False) -> TensorContents:
        """What a tensor [T, B, units...] holds; of values, only how many are not zero."""
        flat = by_step.flatten(2)
        if flat.dtype not in (torch.float32, torch.float64):
            flat = flat.float()
        is_binary = not are_values and self._is_binary(flat)
        marks = flat if is_binary else self.marks(flat)
        is_small = marks.shape[0] * marks.shape[2] < MAX_EXACT_FLOAT32
        nonzero = marks.sum(dim=(0, 2), dtype=torch.float32 if is_small else torch.float64)
        if is_binary or are_values:
            return TensorContents(nonzero, nonzero, is_whole=is_binary)
        sizes = flat.abs()
        peak = float(sizes.max())
        if _is_zero(torch.frac(flat, out=marks)):
            return TensorContents(sizes.sum(dim=(0, 2), dtype=torch.float64), nonzero, peak)
        distance = torch.sub(flat, flat.round(), out=marks).abs_().max()
        is_near = bool(distance < 1e-3)
        return TensorContents(nonzero, nonzero, peak, is_whole=False, is_nearly_whole=is_near)

    def marks(self, flat: Tensor) -> Tensor:
        """1 where something is not zero, in the floating point type of the tensor: comparisons that
        give bool take torch fifty times longer."""
        return torch.ne(flat, 0, out=self._memory(flat))

    def _is_binary(self, flat: Tensor) -> bool:
        # x - x x is 0 for 0 and 1 only, in floating point, too.
        return _is_zero(torch.addcmul(flat, flat, flat, value=-1, out=self._memory(flat)))

    def _memory(self, flat: Tensor) -> Tensor:
        """Memory of the shape of a tensor, which the next call overwrites."""
        key = flat.device, flat.dtype, torch.is_inference_mode_enabled()
        if key not in self._scratch:
            self._scratch[key] = torch.empty_like(flat)
        return self._scratch[key].resize_(flat.shape)


def _is_zero(flat: Tensor) -> bool:
    """Whether all is zero; `any` takes much longer."""
    low, high = torch.aminmax(flat)
    return low.item() == 0 and high.item() == 0


def view_key(x: Tensor) -> tuple[Any, ...]:
    """Equal for two views of one memory that hold the same numbers; of inference tensors, which do
    not say whether they have changed, never."""
    version = object() if x.is_inference() else x._version
    view = x.numel() if x.is_contiguous() else (x.shape, x.stride())
    return x.storage_offset(), view, version
