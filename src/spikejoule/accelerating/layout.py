"""The axes of a model's samples, and those of the engine, [T, B, ...]."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from spikejoule.accelerating.known_cells import KnownCells
from spikejoule.accelerating.parts import Part
from spikejoule.core.errors import ParameterError
from spikejoule.pricing.modules.neurons import FLAT


@dataclass(frozen=True)
class Layout:
    """The axes of samples.

    Attributes:
        time: the time axis, 0 or 1; `FLAT` for samples and steps in one axis,
            [B T, ...]; None for samples without steps, which are the input of every
            step.
        steps: T, where the axes do not tell it.
        batch_size: B, in its place.
    """

    time: int | str | None = 0
    steps: int | None = None
    batch_size: int | None = None

    def by_step(self, x: Tensor) -> Tensor:
        """Return samples as [T, B, ...]."""
        if self.time is None:
            return x.expand(self.steps or 1, *x.shape)
        if self.time == FLAT:
            sizes = (self.batch_size or -1, self.steps or -1)
            return x.reshape(*sizes, *x.shape[1:]).transpose(0, 1)
        return x.transpose(0, 1) if self.time == 1 else x

    def as_given(self, y: Tensor) -> Tensor:
        """Return an output [T, B, ...] with the axes of the samples."""
        if self.time == FLAT:
            return y.transpose(0, 1).flatten(0, 1)
        return y.transpose(0, 1) if self.time == 1 else y


def layout_of(parts: list[Part], cells: KnownCells) -> Layout:
    """Find the axes that the neurons of a model take.

    Raises:
        ParameterError: they take different ones.
    """
    modules = [part.module for part in parts if cells.read(part.module) is not None]
    layouts = {_of_neurons(module, cells) for module in modules}
    if len(layouts) > 1:
        names = ", ".join(type(module).__name__ for module in modules)
        raise ParameterError(
            f"the neurons ({names}) take time in different axes; allowed is one step, "
            "or one time axis, for all."
        )
    return next(iter(layouts), Layout())


def _of_neurons(module: nn.Module, cells: KnownCells) -> Layout:
    time = cells.time(module)
    if time == FLAT:
        neurons: Any = module
        # -1 where the other one tells it.
        sizes = (neurons.num_timesteps, neurons.batch_size)
        return Layout(FLAT, *(size if size > 0 else None for size in sizes))
    # Neurons that take one step: their steps are passed in one tensor.
    return Layout(0 if time is None else time)
