"""Giving a model its samples, batch by batch, while a `Watch` counts.

Batches have time as their first or second axis, or none. The model makes the steps itself, or is
given one step after the other: which of both is tried, unless it is said. A batch of as many
samples as steps is taken in two, so that axes are told apart by their sizes.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.core.errors import DataError, ParameterError
from spikejoule.encoding.events import array_of
from spikejoule.modules.populations import Known
from spikejoule.modules.watching import Watch, first_tensor

TimeAxis = Literal[0, 1, "none"]
Loop = Literal["auto", "model", "price"]
Answer = Callable[[Any], Tensor]
Watching = Callable[[nn.Module, Known], Watch]
Batch = tuple[Tensor, NDArray[np.int64] | None]

NO_ANSWER = -1
"""The class of a sample for which no class, or more than one, has the most spikes."""


def batches_of(loader: Any, time_axis: TimeAxis, batch_size: Any) -> Iterator[Batch]:
    """Batches and their labels, None where there are none.

    Raises:
        DataError: what is given are no samples.
        ParameterError: `batch_size` is no positive whole number.
    """
    if isinstance(loader, np.ndarray):
        loader = torch.from_numpy(array_of(loader, "samples"))
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ParameterError(f"batch_size is {batch_size!r}; allowed: whole numbers from 1")
    if isinstance(loader, Tensor):
        loader = torch.split(_usable(loader), batch_size, dim=int(time_axis == 0))
    if isinstance(loader, str | bytes | dict) or not hasattr(loader, "__iter__"):
        raise DataError(
            f"samples are given as {type(loader).__name__}, but must be a tensor, or batches of "
            "them, such as a DataLoader has."
        )
    for item in loader:
        x, labels = item, None
        if isinstance(item, tuple | list) and len(item) == 1:  # of a TensorDataset
            (x,) = item
        if isinstance(item, tuple | list) and len(item) == 2:
            x, labels = item[0], array_of(item[1], "labels").reshape(-1)
        if isinstance(x, np.ndarray):
            x = torch.from_numpy(array_of(x, "samples"))
        if not isinstance(x, Tensor):
            raise DataError(
                f"a batch is {type(item).__name__}, but must be a tensor of samples, or a pair of "
                "one and labels."
            )
        yield _usable(x), labels


def _usable(x: Tensor) -> Tensor:
    if x.is_meta:
        raise DataError("the samples are a tensor of the device meta, which holds no numbers.")
    x = x.to_dense() if x.layout != torch.strided else x
    if not x.numel():
        raise DataError(f"there are no samples in a batch of the shape {tuple(x.shape)}.")
    if x.is_floating_point() and not x.isfinite().all():
        raise DataError("a batch holds numbers that are not finite.")
    return x


class Run:
    """A model that runs on batches of samples.

    Attributes:
        model: it.
        known: what is known of its modules.
        watch: what was counted.
        loop: who takes the steps, once it is known.
        predictions: of each batch, int64 [B]; `NO_ANSWER` where there is none.
        has_scores: whether all that the model gave were scores of classes.
        n_classes: of these.
    """

    def __init__(
        self,
        model: nn.Module,
        known: Known,
        time_axis: TimeAxis = "none",
        loop: Loop = "model",
        answer: Answer | None = None,
        watching: Watching = Watch,
    ) -> None:
        self.model, self.known, self.answer = model, known, answer
        self.time_axis, self.loop = time_axis, "model" if time_axis == "none" else loop
        self._watching = watching
        self.watch = watching(model, known)
        self.predictions: list[NDArray[np.int64]] = []
        self.has_scores, self.n_classes = True, 0
        self._summed: int | None = None
        held = next(iter((*model.parameters(), *model.buffers())), torch.zeros(0))
        self._device = held.device
        self._dtype = held.dtype if held.is_floating_point() else torch.float32

    def take(self, x: Tensor) -> None:
        """Run the model on a batch."""
        x = x.to(self._device, self._dtype)
        axis = int(self.time_axis == 0)
        if x.ndim < 2 + (self.time_axis != "none"):
            raise DataError(
                f"a batch has the shape {tuple(x.shape)}; needed are axes of samples and units"
                + (", and of time." if self.time_axis != "none" else ".")
            )
        size, steps = x.shape[axis], None if self.time_axis == "none" else x.shape[1 - axis]
        halves = x.tensor_split(2, dim=axis) if size == steps and size > 1 else (x,)
        for part in halves:
            self._take(part, part.shape[axis], steps)

    def _take(self, x: Tensor, size: int, steps: int | None) -> None:
        with torch.no_grad():
            if self.loop == "auto":
                try:
                    scores = self._whole(x, size, steps)
                    if steps not in (None, 1) and self.watch.has_taken_one_step:
                        raise DataError(
                            f"neurons have taken one step for the {steps} of the samples: the "
                            "model makes no steps itself."
                        )
                except Exception as error:
                    self.watch = self._watching(self.model, self.known)
                    try:
                        scores = self._step_by_step(x, size, steps or 1)
                    except Exception as second:
                        # What the model itself refuses says more than that its axes are unclear;
                        # the first failure stays in the traceback.
                        raise second if isinstance(error, DataError) else error from second
                    self.loop = "price"
                else:
                    self.loop = "model"
            elif self.loop == "model":
                scores = self._whole(x, size, steps)
            else:
                scores = self._step_by_step(x, size, steps or 1)
        if scores is None or scores.ndim != 2 or len(scores) != size or scores.shape[1] < 2:
            self.has_scores = False
            return
        best = scores.max(dim=1, keepdim=True)
        tied = (scores == best.values).sum(dim=1) > 1
        found = best.indices[:, 0].masked_fill(tied, NO_ANSWER)
        self.predictions.append(found.cpu().numpy())
        self.n_classes = scores.shape[1]

    def _whole(self, x: Tensor, size: int, steps: int | None) -> Tensor | None:
        """All steps at once, by the model."""
        self.known.reset(self.model)
        order = {"0": "tb", "1": "bt"}.get(str(self.time_axis), "")
        with self.watch.batch(size, steps, order):
            given = self.model(x)
        if self.answer is not None:
            return self.answer(given)
        found: Tensor = first_tensor(given)
        if found.ndim != 3:
            return found
        # Of spikes in time, the sum over the axis that is not that of the samples.
        if tuple(found.shape[:2]) != (size, size):
            self._summed = int(found.shape[1] != size)
        elif self.time_axis != "none":
            self._summed = int(self.time_axis)
        elif self._summed is None and size > 1:
            raise DataError(
                f"of the model's output of shape {tuple(found.shape)} it is not clear which axis "
                f"is that of {size} samples: choose batches of another size."
            )
        return found.float().sum(dim=self._summed or 0)

    def _step_by_step(self, x: Tensor, size: int, steps: int) -> Tensor | None:
        """The model is given one step after the other."""
        self.known.reset(self.model)
        carries = any(one.carries_state for one in self.known.simulators)
        total: Tensor | None = None
        state: Any = None
        with self.watch.batch(size, 1, ""):
            for step in x.unbind(dim=int(self.time_axis)):
                given = self.model(step, state) if carries else self.model(step)
                if carries:
                    given, state = given
                found = first_tensor(given) if self.answer is None else self.answer(given)
                total = found.float() if total is None else total + found
        return total

    def answers(self) -> NDArray[np.int64] | None:
        """The class of each sample, [N]; None where the model gives no scores."""
        return np.concatenate(self.predictions) if self.has_scores and self.predictions else None


def check_choices(time_axis: Any, loop: Any) -> None:
    """ParameterError unless both are allowed."""
    is_number = isinstance(time_axis, int) and not isinstance(time_axis, bool)
    if not (is_number or isinstance(time_axis, str)) or time_axis not in (0, 1, "none"):
        raise ParameterError(
            f"time_axis is {time_axis!r}; allowed: 0 for batches [T, B, ...], 1 for [B, T, ...], "
            "and 'none' for batches without time, of which the model makes steps itself"
        )
    if loop not in ("auto", "model", "price"):
        raise ParameterError(f"loop is {loop!r}; allowed: auto, model, price")
