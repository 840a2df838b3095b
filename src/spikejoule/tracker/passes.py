"""Forward passes of a model, counted by epoch while the user's loop runs.

A pass trains if the model is in training mode and gradients are enabled. All others,
such as validation inside the block, are counted apart.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.core.errors import DataError, ParameterError
from spikejoule.pricing.modules.neurons import Known
from spikejoule.pricing.running.samples import TimeAxis
from spikejoule.pricing.tensors.nested import first_tensor
from spikejoule.pricing.torch_private import without_function_modes
from spikejoule.pricing.watching.watch import Watch


@dataclass(frozen=True)
class Steps:
    """How the user's loop gives time steps to the model.

    Attributes:
        time_axis: of the model's input; ``none`` without one.
        calls: how often the loop calls the model for a batch: once, or for each step.
    """

    time_axis: TimeAxis
    calls: int = 1

    @property
    def axis(self) -> int | None:
        """The time axis of the model's input; None without one."""
        return None if self.time_axis == "none" else self.time_axis

    def n_samples(self, x: Tensor) -> int:
        """Return the samples in the model's input."""
        return x.shape[1 if self.time_axis == 0 else 0]

    def in_call(self, x: Tensor) -> int:
        """Return the steps in the model's input; 0 if the model makes them."""
        if self.calls > 1:
            return 1
        return 0 if self.axis is None else x.shape[self.axis]


class Passes:
    """The passes of one kind, in a row for each epoch.

    Attributes:
        watch: counts their operations.
        samples: in each row.
        batches: passes in each row.
        largest: samples of the largest batch.
        n_steps: of a sample; 0 if the model makes them.
        in_batch: samples of the running batch.
        reached: gradients that each connection's optimizer steps have read, by row and
            name: those of sources that have sent something since the step before.
    """

    def __init__(self, model: nn.Module, known: Known) -> None:
        self.watch = Watch(model, known)
        self.watch.rows.notes_fired = True
        self.watch.repeated.is_on = True
        self.samples: list[int] = []
        self.batches: list[int] = []
        self.largest = 0
        self.n_steps = 0
        self.reached: list[dict[str, int]] = []
        self.in_batch = 0
        self._senders: dict[str, NDArray[np.bool_]] = {}
        self.open_row()

    def open_row(self) -> None:
        """Begin an epoch."""
        self.watch.rows.open_row()
        self.samples.append(0)
        self.batches.append(0)
        self.reached.append({})

    @property
    def total(self) -> int:
        """Passes in all rows."""
        return sum(self.batches)

    def begin(self, n_samples: int, n_steps: int, time_axis: int | None) -> None:
        """Begin a batch; arguments as for `Watch.begin`."""
        self.watch.begin(n_samples, n_steps, time_axis)
        self.in_batch = n_samples

    def end(self) -> None:
        """End a batch: add its counts to the row."""
        for place in self.watch.places.values():
            fired = place.count_touched()
            if fired is not None:
                known = self._senders.get(place.name)
                self._senders[place.name] = fired if known is None else known | fired
        self.watch.rows.merge_batch()
        self.samples[-1] += self.in_batch
        self.batches[-1] += 1
        self.largest = max(self.largest, self.in_batch)

    def end_step(self) -> None:
        """Count the gradients that an optimizer step reads, of senders so far."""
        reached = self.reached[-1]
        for name, fired in self._senders.items():
            fan_out = self.watch.places[name].fan_out
            assert fan_out is not None
            reached[name] = reached.get(name, 0) + int(fan_out[fired].sum())
        self._senders = {}


class CalledPasses(Passes):
    """The passes of a model that is called, once for a batch or for each step."""

    def __init__(self, model: nn.Module, known: Known, steps: Steps) -> None:
        super().__init__(model, known)
        self._steps = steps
        self._calls = 0

    def begin_call(self, x: Tensor) -> None:
        """Begin a call of the model.

        Raises:
            DataError: the calls of a batch have different samples.
        """
        n_samples = self._steps.n_samples(x)
        if self._calls == 0:
            axis = self._steps.axis if self._steps.calls == 1 else None
            self.begin(n_samples, self._steps.in_call(x), axis)
            self.watch.note_weights()
        elif n_samples != self.in_batch:
            raise DataError(
                f"call {self._calls + 1} of {self._steps.calls} for a batch has "
                f"{n_samples} samples, but the first had {self.in_batch}: set "
                "loop_steps to the number of steps that your loop takes."
            )

    def end_call(self, x: Tensor) -> bool:
        """End a call of the model; returns whether the batch is complete.

        Raises:
            DataError, ParameterError: the model does not take the steps as it is said.
        """
        self._calls += 1
        if self._calls < self._steps.calls:
            return False
        self._calls = 0
        self.watch.repeated.count()
        n_steps = self._steps.in_call(x) if self._steps.calls == 1 else 0
        if self.largest == 0 and n_steps > 1:
            self._check(n_steps)
        self.n_steps = max(self.n_steps, n_steps, self._steps.calls)
        if self._steps.axis is None and self._steps.calls == 1:
            self.n_steps = 0
        self.end()
        return True

    def forget_call(self) -> None:
        """Forget a batch in which the model has failed."""
        self._calls = 0
        self.watch.repeated.begin()
        self.watch.rows.forget_batch()

    def _check(self, n_steps: int) -> None:
        if self.watch.has_made_no_steps(n_steps):
            raise ParameterError(
                f"the samples have {n_steps} steps, but the model's neurons ran for "
                "one: time_axis is another axis, or your loop calls the model for "
                "each step (loop_steps)."
            )
        words = self.watch.more_than_possible(n_steps)
        if words:
            raise DataError(
                f"the model {words} for the {n_steps} steps of a sample: it makes "
                "steps of its own (time_axis='none')."
            )


class PassCounter:
    """Counts the passes of a model by hooks on it.

    Attributes:
        training, apart: passes that train, and all others.
    """

    def __init__(self, model: nn.Module, known: Known, steps: Steps) -> None:
        self.training = CalledPasses(model, known, steps)
        self.apart = CalledPasses(model, known, steps)
        self._model = model
        self._running: CalledPasses | None = None
        self._call = ExitStack()
        self._x = torch.zeros(0)

    def hooked(self) -> ExitStack:
        """Hook the model, until the returned stack is closed."""
        hooks = ExitStack()
        before = self._model.register_forward_pre_hook(
            self._begin, prepend=True, with_kwargs=True
        )
        after = self._model.register_forward_hook(
            self._end, with_kwargs=True, always_call=True
        )
        for handle in (before, after):
            hooks.callback(handle.remove)
        return hooks

    def _begin(self, model: nn.Module, args: Any, kwargs: Any) -> None:
        check_precision(self._model)
        trains = model.training and torch.is_grad_enabled()
        self._running = self.training if trains else self.apart
        self._x = first_tensor((args, kwargs)).detach()
        self._running.begin_call(self._x)
        self._call.enter_context(self._running.watch.begun_call((args, kwargs)))

    def _end(self, model: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        passes = self._running
        if passes is None:
            return
        self._running = None
        self._call.close()
        if out is None:
            passes.forget_call()  # it has failed
            return
        # `spikejoule.price`, called in the block, watches functions, but not these.
        with without_function_modes(), torch.no_grad():
            passes.end_call(self._x)


def check_precision(model: nn.Module) -> None:
    """Raise ParameterError if a model runs in mixed precision."""
    device = next(model.parameters()).device.type
    if torch.is_autocast_enabled(device):
        raise ParameterError(
            "the model runs under torch.autocast, in mixed precision; track counts "
            "32-bit training: leave out autocast."
        )
