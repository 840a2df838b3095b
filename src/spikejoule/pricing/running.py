"""Giving a model its samples, batch by batch, while a `Watch` counts.

Batches have time as their first or second axis, or none. The model makes the steps itself, or is
given one step after the other: which of both is tried, unless it is said. A batch of as many
samples as steps is taken in two, so that axes are told apart by their sizes.

What a user gives is checked in two places: arguments by their annotations (`checked`), and code,
be it a model, a loader or a function, by running it: what it raises becomes one sentence.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError, validate_call
from torch import Tensor, nn

from spikejoule.core.errors import DataError, ParameterError, first_problem, in_one_sentence
from spikejoule.encoding.counting import best_class
from spikejoule.encoding.events import array_of
from spikejoule.pricing.layers import NORMS, WEIGHTED, first_tensor
from spikejoule.pricing.neurons import Known
from spikejoule.pricing.watching import INPUT, Watch, unclear

TimeAxis = Literal[0, 1, "none"]
Loop = Literal["auto", "model", "price"]
Answer = Callable[[Any], Tensor]
Batch = tuple[Tensor, NDArray[np.int64] | None]
P = ParamSpec("P")
R = TypeVar("R")

NO_ANSWER = -1
"""The class of a sample for which no class, or more than one, has the most spikes."""


def checked(call: Callable[P, R]) -> Callable[P, R]:
    """A function whose arguments have the types that it states, or a ParameterError says which has
    not, and what is allowed."""
    validated: Any = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(call)

    @wraps(call)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = signature(call).bind(*args, **kwargs).arguments
        try:
            found: R = validated(**given)
        except ValidationError as error:
            raise ParameterError(f"{first_problem(error)}.") from error
        return found

    return checking


def batches_of(loader: Any, time_axis: TimeAxis, batch_size: int) -> Iterator[Batch]:
    """Batches and their labels, None where there are none.

    Raises:
        ArtifactError, DataError, ParameterError: what is given are no samples, or cannot be read.
    """
    with in_one_sentence("reading the samples"):
        if isinstance(loader, np.ndarray | Tensor):
            whole = _samples(loader, time_axis)
            loader = torch.split(whole, batch_size, dim=int(time_axis == 0))
        for item in loader:
            # Of a TensorDataset one or two.
            parts = item if isinstance(item, tuple | list) and len(item) in (1, 2) else (item,)
            labels = array_of(parts[1], "labels").reshape(-1) if len(parts) == 2 else None
            yield _samples(parts[0], time_axis), labels


def _samples(given: Any, time_axis: TimeAxis) -> Tensor:
    x = given if isinstance(given, Tensor) else torch.from_numpy(array_of(given, "samples"))
    x = x.to_dense() if x.layout != torch.strided else x
    shape = tuple(x.shape)
    needed = ["samples", "units"] if time_axis == "none" else ["time", "samples", "units"]
    if len(shape) < len(needed) or not x.numel():
        raise DataError(
            f"the samples have the shape {shape}; needed are axes of {', '.join(needed)}, "
            "and something in each."
        )
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
        steps: of the samples; 0 where the model makes them itself.
        scores: of each batch, float64 [B, classes], of those that were scores of classes.
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
        records: bool = False,
        called: str = "the model",
    ) -> None:
        self.model, self.known, self.answer, self.called = model, known, answer, called
        self.time_axis, self.loop = time_axis, "model" if time_axis == "none" else loop
        self.watch = Watch(model, known, records)
        self.steps = 0
        self.scores: list[NDArray[np.float64]] = []
        self.has_scores, self.n_classes = True, 0
        self._axis = None if time_axis == "none" else time_axis
        self._axis_of_output = self._axis
        held = next(iter((*model.parameters(), *model.buffers())), torch.zeros(0))
        self._device = held.device
        self._dtype = held.dtype if held.is_floating_point() else torch.float32
        self._takes_integers = any(
            isinstance(one, WEIGHTED) and not one.weight.is_floating_point()
            for one in model.modules()
        )

    def take(self, x: Tensor) -> None:
        """Run the model on a batch; what it measures of batches in training it forgets."""
        norms = [one for one in self.model.modules() if isinstance(one, NORMS)]
        kept = [(held, held.clone()) for one in norms for held in one.buffers()]
        axis = int(self.time_axis == 0)
        size, steps = x.shape[axis], None if self._axis is None else x.shape[self._axis]
        self.steps = max(self.steps, steps or 0)
        halves = x.tensor_split(2, dim=axis) if size == steps and size > 1 else (x,)
        shape = tuple(x.shape)
        with in_one_sentence(f"{self.called}, given a batch of shape {shape},"), torch.no_grad():
            try:
                for part in halves:
                    scores = self._scores(self._given(part), part.shape[axis], steps)
                    self._answer(scores, part.shape[axis])
            finally:
                for held, before in kept:
                    held.copy_(before)

    def _given(self, x: Tensor) -> Tensor:
        """Samples on the model's device and in its floating point; integers stay integers where it
        has weights of integers."""
        if self._takes_integers and not x.is_floating_point():
            return x.to(self._device)
        return x.to(self._device, self._dtype)

    def _scores(self, x: Tensor, size: int, steps: int | None) -> Any:
        """What it gives, summed over time."""
        if self.loop == "model":
            return self._whole(x, size, steps)
        if self.loop == "price":
            return self._step_by_step(x, size)
        try:
            found = self._whole(x, size, steps)
            if steps != 1 and self.watch.has_taken_one_step:
                raise DataError(
                    f"neurons have taken one step for the {steps} of the samples: the model makes "
                    "no steps itself."
                )
        except Exception as error:
            self.watch = Watch(self.model, self.known, self.watch.records)
            try:
                found = self._step_by_step(x, size)
            except Exception as second:
                # What the model itself refuses says more than that its axes are unclear; the first
                # failure stays in the traceback.
                raise second if isinstance(error, DataError) else error from second
            self.loop = "price"
        else:
            self.loop = "model"
        return found

    def _answer(self, scores: Any, size: int) -> None:
        """Keep the scores of each sample, if there are scores of classes."""
        if scores is None or scores.ndim != 2 or len(scores) != size or scores.shape[1] < 2:
            self.has_scores = False
            return
        self.scores.append(scores.detach().cpu().double().numpy())
        self.n_classes = scores.shape[1]

    def _whole(self, x: Tensor, size: int, steps: int | None) -> Tensor | None:
        """All steps at once, by the model."""
        self.known.reset(self.model)
        with self.watch.batch(size, steps, self._axis):
            given = self.model(x)
        if self.answer is not None:
            return self.answer(given)
        found: Tensor = first_tensor(given)
        if found.ndim != 3:
            return found
        # Of spikes in time, the sum over the axis that is not that of the samples.
        if found.shape[0] != found.shape[1]:
            self._axis_of_output = 1 if found.shape[1] != size else 0
        elif self._axis_of_output is None and size > 1:
            raise unclear(found, size)
        return found.float().sum(dim=self._axis_of_output or 0)

    def _step_by_step(self, x: Tensor, size: int) -> Tensor | None:
        """The model is given one step after the other."""
        self.known.reset(self.model)
        carries = any(one.carries_state for one in self.known.simulators)
        total: Tensor | None = None
        state: Any = None
        with self.watch.batch(size, 1, None):
            for step in x.unbind(dim=int(self.time_axis)):
                given = self.model(step, state) if carries else self.model(step)
                if carries:
                    given, state = given
                found = first_tensor(given) if self.answer is None else self.answer(given)
                total = found.float() if total is None else total + found
        return total

    @property
    def not_counted(self) -> list[str]:
        """What ran and is not known."""
        whose = "" if self.called == "the model" else f" of {self.called}"
        return [f"{text}{whose}" for text in self.watch.not_counted]

    @property
    def notes(self) -> list[str]:
        """What there is to know of how it ran, a sentence each."""
        places = [*self.watch.places.values()]
        firing = [one for one in places if one.fires]
        nearly = ", ".join(one.name for one in places if one.gives_nearly)
        readers = [one for one in places if INPUT in one.sources and not one.takes_values]
        peak = max((one.peak for one in readers), default=0.0)
        own = [one.module for one in firing if isinstance(one.module, tuple(self.known.own))]
        kept = {type(one).__name__ for one in own if not callable(getattr(one, "reset", None))}
        whose = f"{self.called} ({type(self.model).__name__})"
        said = {
            f"{nearly} gives numbers that are almost whole, which are counted as values: round "
            "them if they are spikes.": nearly,
            f"{whose[0].upper()}{whose[1:]} is in training mode, and was counted as it ran: call "
            "eval() for an inference.": self.model.training,
            "Some neurons work in one step: if the samples have an axis of time, time_axis has to "
            "say which.": firing and self._axis is None and self.watch.has_taken_one_step,
            f"The input holds whole numbers up to {peak:g}, which are counted as so many spikes.":
            firing and peak > 1,
            f"{', '.join(kept)} has no reset(): what it holds is taken over from one batch to the "
            "next.": kept and self.loop == "price" and len(self.watch.sizes) > 1,
        }  # fmt: skip
        return [words for words, holds in said.items() if holds]

    @property
    def all_scores(self) -> NDArray[np.float64] | None:
        """The scores of all samples, [N, classes]; None where the model gives none."""
        return np.concatenate(self.scores) if self.has_scores and self.scores else None

    def answers(self) -> NDArray[np.int64] | None:
        """The class of each sample, [N], `NO_ANSWER` where several have the highest score; None
        where the model gives no scores."""
        scores = self.all_scores
        if scores is None:
            return None
        is_highest = scores == scores.max(axis=1, keepdims=True)
        return np.where(is_highest.sum(axis=1) > 1, NO_ANSWER, best_class(scores))
