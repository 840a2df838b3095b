"""Run a model on samples, batch by batch, while a `Watch` counts.

Batches have time as their first or second axis, or none. The model makes the steps
itself, or takes one step after the other: unless the user says which, both are tried. A
batch with as many samples as steps is run in two halves, so that sizes tell the axes
apart.

What a user gives is checked in two places: arguments by their annotations (`checked`),
and a model, a loader or a function by running it, so that what it raises becomes one
sentence.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError, validate_call
from torch import Tensor, nn

from spikejoule.core.errors import (
    DataError,
    ParameterError,
    first_problem,
    in_one_sentence,
)
from spikejoule.encoding.counting import best_class
from spikejoule.encoding.events import array_of
from spikejoule.energy.notes import Note, warning
from spikejoule.pricing.layers import NORMS, WEIGHTED
from spikejoule.pricing.neurons import Known
from spikejoule.pricing.tensors import first_tensor, unclear
from spikejoule.pricing.watching import INPUT, Watch

TimeAxis = Literal[0, 1, "none"]
Loop = Literal["auto", "model", "price"]
Answer = Callable[[Any], Tensor]
P = ParamSpec("P")
R = TypeVar("R")

NO_ANSWER = -1
"""The class of a sample for which no class, or more than one, has the highest score."""


def checked(call: Callable[P, R]) -> Callable[P, R]:
    """A function whose arguments have the types that it states; else a ParameterError
    names the argument, and what is allowed."""
    validated: Any = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(
        call
    )

    @wraps(call)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        arguments: Any = signature(call).bind(*args, **kwargs).arguments
        try:
            result: R = validated(**arguments)
        except ValidationError as error:
            raise ParameterError(f"{first_problem(error)}.") from error
        return result

    return checking


@dataclass(frozen=True, eq=False)
class SampleBatch:
    """Some samples.

    Attributes:
        samples: as the model takes them.
        labels: their classes, [B]; None where there are none.
    """

    samples: Tensor
    labels: NDArray[np.int64] | None


def batches_of(
    loader: Any, time_axis: TimeAxis, batch_size: int
) -> Iterator[SampleBatch]:
    """The batches of a loader, or of one tensor that holds all samples.

    Raises:
        ArtifactError, DataError, ParameterError: they are no samples, or cannot be
        read.
    """
    with in_one_sentence("reading the samples"):
        if isinstance(loader, np.ndarray | Tensor):
            whole = _samples(loader, time_axis)
            loader = torch.split(whole, batch_size, dim=_axis_of_samples(time_axis))
        for item in loader:
            # A TensorDataset gives tuples of one tensor or two.
            is_tuple = isinstance(item, tuple | list) and len(item) in (1, 2)
            parts: Sequence[Any] = item if is_tuple else (item,)
            labels = (
                array_of(parts[1], "labels").reshape(-1) if len(parts) == 2 else None
            )
            yield SampleBatch(_samples(parts[0], time_axis), labels)


def _axis_of_samples(time_axis: TimeAxis) -> int:
    return 1 if time_axis == 0 else 0


def _samples(values: Any, time_axis: TimeAxis) -> Tensor:
    x = (
        values
        if isinstance(values, Tensor)
        else torch.from_numpy(array_of(values, "samples"))
    )
    if x.layout != torch.strided:
        x = x.to_dense()
    needed = (
        ["samples", "units"] if time_axis == "none" else ["time", "samples", "units"]
    )
    if x.ndim < len(needed) or not x.numel():
        raise DataError(
            f"the samples have the shape {tuple(x.shape)}; needed are axes of "
            f"{', '.join(needed)}, "
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
        scores: of each batch, float64 [B, classes], of those that were scores of
            classes.
        has_scores: whether all that the model gave were scores of classes.
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
        self.model = model
        self.known = known
        self.answer = answer
        self.called = called
        self.loop = "model" if time_axis == "none" else loop
        self.watch = Watch(model, known, records)
        self.steps = 0
        self.scores: list[NDArray[np.float64]] = []
        self.has_scores = True
        self._time_axis = None if time_axis == "none" else time_axis
        self._axis_of_samples = _axis_of_samples(time_axis)
        self._axis_to_sum = self._time_axis
        held = next(iter((*model.parameters(), *model.buffers())), torch.zeros(0))
        self._device = held.device
        self._dtype = held.dtype if held.is_floating_point() else torch.float32
        self._takes_integers = any(
            isinstance(module, WEIGHTED) and not module.weight.is_floating_point()
            for module in model.modules()
        )

    def take(self, x: Tensor) -> None:
        """Run the model on a batch."""
        n_samples = self._n_samples(x)
        n_steps = self._n_steps(x)
        self.steps = max(self.steps, n_steps)
        parts: tuple[Tensor, ...] = (x,)
        if n_samples == n_steps and n_samples > 1:
            parts = x.tensor_split(2, dim=self._axis_of_samples)
        what = f"{self.called}, given a batch of shape {tuple(x.shape)},"
        with in_one_sentence(what), torch.no_grad(), _norms_unchanged(self.model):
            for part in parts:
                scores = self._scores(self._on_device(part))
                self._keep(scores, self._n_samples(part))

    def _n_samples(self, x: Tensor) -> int:
        return x.shape[self._axis_of_samples]

    def _n_steps(self, x: Tensor) -> int:
        """Steps of a batch; 0 where the model makes them itself."""
        return 0 if self._time_axis is None else x.shape[self._time_axis]

    def _on_device(self, x: Tensor) -> Tensor:
        """Samples on the model's device and in its floating point type; integers stay
        integers where it has integer weights."""
        if self._takes_integers and not x.is_floating_point():
            return x.to(self._device)
        return x.to(self._device, self._dtype)

    def _scores(self, x: Tensor) -> Tensor:
        """What the model gives, summed over time."""
        if self.loop == "model":
            return self._all_steps(x)
        if self.loop == "price":
            return self._step_by_step(x)
        try:
            scores = self._all_steps(x)
            if self._n_steps(x) != 1 and self.watch.has_taken_one_step:
                raise DataError(
                    f"neurons have taken one step for the {self._n_steps(x)} of "
                    "the samples: the "
                    "model makes no steps itself."
                )
        except Exception as error:
            self.watch = Watch(self.model, self.known, self.watch.records)
            try:
                scores = self._step_by_step(x)
            except Exception as second:
                # What the model itself refuses says more than that its axes are
                # unclear; the first failure stays in the traceback.
                raise second if isinstance(error, DataError) else error from second
            self.loop = "price"
        else:
            self.loop = "model"
        return scores

    def _keep(self, scores: Tensor, n_samples: int) -> None:
        """Keep the scores of each sample, if there are scores of classes."""
        if scores.ndim == 2 and len(scores) == n_samples and scores.shape[1] > 1:
            self.scores.append(scores.detach().cpu().double().numpy())
        else:
            self.has_scores = False

    def _all_steps(self, x: Tensor) -> Tensor:
        """The model takes all steps at once."""
        n_samples = self._n_samples(x)
        self.known.reset(self.model)
        with self.watch.batch(n_samples, self._n_steps(x), self._time_axis):
            given = self.model(x)
        if self.answer is not None:
            return self.answer(given)
        scores = first_tensor(given)
        if scores.ndim != 3:
            return scores
        # Spikes in time are summed over the axis that is not that of the samples.
        if scores.shape[0] != scores.shape[1]:
            self._axis_to_sum = 0 if scores.shape[1] == n_samples else 1
        elif self._axis_to_sum is None and n_samples > 1:
            raise unclear(scores, n_samples)
        return scores.float().sum(dim=self._axis_to_sum or 0)

    def _step_by_step(self, x: Tensor) -> Tensor:
        """The model takes one step after the other."""
        assert self._time_axis is not None
        self.known.reset(self.model)
        carries = any(
            simulator.carries_state for simulator in self.known.simulators.values()
        )
        total = torch.zeros(())
        state: Any = None
        with self.watch.batch(self._n_samples(x), 1, None):
            for step in x.unbind(dim=self._time_axis):
                if carries:
                    given, state = self.model(step, state)
                else:
                    given = self.model(step)
                scores = (
                    first_tensor(given) if self.answer is None else self.answer(given)
                )
                total = total + scores.float()
        return total

    @property
    def not_counted(self) -> list[str]:
        """What ran and is not known."""
        whose = "" if self.called == "the model" else f" of {self.called}"
        return [f"{text}{whose}" for text in self.watch.not_counted]

    @property
    def notes(self) -> list[Note]:
        """What a user should know about how it ran."""
        places = [*self.watch.places.values()]
        firing = [place for place in places if place.fires]
        sentences = []
        nearly = ", ".join(place.name for place in places if place.gives_nearly)
        if nearly:
            sentences.append(
                f"{nearly} gives numbers that are almost whole, which are counted as "
                "values: round them if they are spikes."
            )
        if self.model.training:
            whose = f"{self.called} ({type(self.model).__name__})"
            sentences.append(
                f"{whose[0].upper()}{whose[1:]} is in training mode, and was "
                "counted as it ran: "
                "call eval() for an inference."
            )
        if firing and self._time_axis is None and self.watch.has_taken_one_step:
            sentences.append(
                "Some neurons work in one step: if the samples have an axis of "
                "time, time_axis has "
                "to say which."
            )
        peaks = [
            place.peak
            for place in places
            if INPUT in place.sources and not place.takes_values
        ]
        peak = max(peaks, default=0.0)
        if firing and peak > 1:
            sentences.append(
                f"The input holds whole numbers up to {peak:g}, which are counted "
                "as so many "
                "spikes."
            )
        own = [
            place.module
            for place in firing
            if isinstance(place.module, tuple(self.known.own))
        ]
        kept = {
            type(neurons).__name__
            for neurons in own
            if not callable(getattr(neurons, "reset", None))
        }
        if kept and self.loop == "price" and len(self.watch.sizes) > 1:
            sentences.append(
                f"{', '.join(kept)} has no reset(): what it holds is taken over "
                "from one batch to "
                "the next."
            )
        return [warning(words) for words in sentences]

    @property
    def all_scores(self) -> NDArray[np.float64] | None:
        """The scores of all samples, [N, classes]; None where the model gives none."""
        return np.concatenate(self.scores) if self.has_scores and self.scores else None

    def answers(self) -> NDArray[np.int64] | None:
        """The class of each sample, [N], `NO_ANSWER` where several have the highest
        score; None where the model gives no scores."""
        scores = self.all_scores
        if scores is None:
            return None
        is_highest = scores == scores.max(axis=1, keepdims=True)
        return np.where(is_highest.sum(axis=1) > 1, NO_ANSWER, best_class(scores))


@contextmanager
def _norms_unchanged(model: nn.Module) -> Iterator[None]:
    """Norms in training normalise a batch by itself, and remember nothing of it."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, NORMS) and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
