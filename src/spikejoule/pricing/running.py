"""Run a model on samples, batch by batch, while a `Watch` counts.

Time is the first or the second axis of a batch, or there is none. The model makes the
steps itself, or takes one after another; unless the user says which, both are tried. A
batch with as many samples as steps is run in two halves, so that axes can be told apart
by their sizes.

What users pass is checked in two ways: arguments by their annotations (`checked`), and
models, loaders and functions by running them, where any exception becomes one sentence.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError, validate_call
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spikejoule.compare.notes import Note, warning
from spikejoule.core.errors import (
    DataError,
    ParameterError,
    first_problem,
    in_brief,
    in_one_sentence,
)
from spikejoule.encoding.counting import clear_class
from spikejoule.encoding.encode_images import EncodedImages
from spikejoule.encoding.events import array_of
from spikejoule.network.nodes import Shape
from spikejoule.pricing.layers import WEIGHTED
from spikejoule.pricing.neurons import Known
from spikejoule.pricing.other_counters import Counts, Tool, count_as
from spikejoule.pricing.parts import INPUT
from spikejoule.pricing.states import ModelState
from spikejoule.pricing.tensors import first_tensor, unclear
from spikejoule.pricing.watching import Watch

TimeAxis = Literal[0, 1, "none"]
Loop = Literal["auto", "model", "price"]
Answer = Callable[[Any], Tensor]
P = ParamSpec("P")
R = TypeVar("R")


def checked(call: Callable[P, R]) -> Callable[P, R]:
    """Check the arguments of a function against its annotations.

    The function raises a ParameterError that names the argument and what is allowed.
    """
    config = ConfigDict(arbitrary_types_allowed=True)
    validated: Any = validate_call(config=config)(call)

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
    """A batch of samples.

    Attributes:
        samples: as the model takes them.
        labels: their classes, [B]; None without.
    """

    samples: Tensor
    labels: NDArray[np.int64] | None


def batches_of(
    loader: Any, time_axis: TimeAxis, batch_size: int
) -> Iterator[SampleBatch]:
    """Yield the batches of a loader, of one tensor with all samples, or of events.

    Raises:
        ArtifactError, DataError, ParameterError: they are no samples, or cannot be
        read.
    """
    with in_one_sentence("reading the samples"):
        if isinstance(loader, np.ndarray | Tensor):
            whole = _samples(loader, time_axis)
            loader = torch.split(whole, batch_size, dim=_sample_axis(time_axis))
        elif isinstance(loader, EncodedImages):
            starts = range(0, len(loader), batch_size)
            loader = [loader[start : start + batch_size] for start in starts]
        for item in loader:
            # A TensorDataset gives tuples of one tensor or two.
            is_tuple = isinstance(item, tuple | list) and len(item) in (1, 2)
            parts: Sequence[Any] = item if is_tuple else (item,)
            labels = None
            if len(parts) == 2:
                labels = array_of(parts[1], "labels").reshape(-1)
            yield SampleBatch(_samples(parts[0], time_axis), labels)


def _sample_axis(time_axis: TimeAxis) -> int:
    return 1 if time_axis == 0 else 0


def _samples(values: Any, time_axis: TimeAxis) -> Tensor:
    """Return samples as a dense tensor; DataError if they cannot be samples."""
    if isinstance(values, Tensor):
        x = values
    elif isinstance(values, EncodedImages):
        if time_axis == "none":
            raise ParameterError("encoded images have steps: set time_axis=0.")
        x = torch.from_numpy(values.to_dense()).transpose(0, time_axis)
    else:
        x = torch.from_numpy(array_of(values, "samples"))
    if x.layout != torch.strided:
        x = x.to_dense()
    axes = ["samples", "units"]
    if time_axis != "none":
        axes = ["time", *axes]
    is_index = x.dtype == torch.int64
    if x.ndim < len(axes) - is_index or not x.numel():
        raise DataError(
            f"the samples have the shape {tuple(x.shape)}; needed are axes of "
            f"{', '.join(axes)}, none of them empty."
        )
    # The extremes show NaN and infinity, in a tenth of the time of `isfinite`.
    if x.is_floating_point() and not all(map(torch.isfinite, torch.aminmax(x))):
        raise DataError("a batch holds numbers that are not finite.")
    return x


@dataclass(frozen=True)
class Stepping:
    """How a model takes its steps, and what its output means.

    Attributes:
        time_axis: of a batch.
        loop: who makes the steps: ``model``, ``price``, or ``auto`` to try both.
        answer: returns the scores [B, classes] in the model's output; None for its
            first tensor, summed over time.
        tools: whose counts are taken, too.
    """

    time_axis: TimeAxis = "none"
    loop: Loop = "model"
    answer: Answer | None = None
    tools: tuple[Tool, ...] = ()


class Run:
    """A model that runs on batches of samples.

    Attributes:
        model: the model.
        known: what is known of its modules.
        called: the model in messages.
        state: in which the model was given.
        watch: what was counted.
        loop: who makes the steps, once it is known.
        steps: of the samples; 0 where the model makes them itself.
        scores: for each batch, float64 [B, classes], without outputs that are no
            scores.
        has_scores: whether every output was scores of classes.
        is_split_known: whether the counts of each sample are known, not only their sum.
        other_output: shape of the last output, summed over time, that was none.
        other_counts: of other tools.
    """

    def __init__(
        self,
        model: nn.Module,
        known: Known,
        stepping: Stepping,
        records: bool = False,
        called: str = "the model",
    ) -> None:
        self.model = model
        self.known = known
        self.answer = stepping.answer
        self.called = called
        tensors = [*model.parameters(), *model.buffers()]
        if any(is_lazy(tensor) for tensor in tensors):
            raise ParameterError(
                f"{called} has lazy layers without a shape: run it on a batch first."
            )
        time_axis = stepping.time_axis
        self.loop = "model" if time_axis == "none" else stepping.loop
        # First: reading a weight may change what it is computed from.
        self.state = ModelState(model)
        self.watch = Watch(model, known, records)
        self.steps = 0
        self.scores: list[NDArray[np.float64]] = []
        self.has_scores = True
        self.other_output: Shape = ()
        self.is_split_known = True
        # The shapes of batches whose split is checked.
        self._checked: set[torch.Size] = set()
        self.other_counts: dict[Tool, Counts] = {
            tool: Counter() for tool in stepping.tools
        }
        self._time_axis = None if time_axis == "none" else time_axis
        self._sample_axis = _sample_axis(time_axis)
        self._output_time_axis = self._time_axis
        first = next(iter(tensors), torch.zeros(0))
        self._device = first.device
        self._dtype = first.dtype if first.is_floating_point() else torch.float32
        self._takes_integers = any(
            isinstance(module, nn.Embedding | nn.EmbeddingBag)
            or (isinstance(module, WEIGHTED) and not module.weight.is_floating_point())
            for module in model.modules()
        )

    def take(self, x: Tensor) -> None:
        """Run the model on a batch."""
        n_samples = self._n_samples(x)
        n_steps = self._n_steps(x)
        self.steps = max(self.steps, n_steps)
        parts: tuple[Tensor, ...] = (x,)
        if n_samples == n_steps and n_samples > 1:
            parts = x.tensor_split(2, dim=self._sample_axis)
        what = f"{self.called}, given a batch of shape {tuple(x.shape)},"
        with in_one_sentence(what), torch.no_grad():
            try:
                for part in parts:
                    inputs = self._on_device(part)
                    scores = self._scores(inputs)
                    self._check_possible(n_steps)
                    self._keep(scores, self._n_samples(part))
                    self._check_split(inputs)
                    self._count_as_others(inputs)
            finally:
                self.state.restore()

    def _check_possible(self, n_steps: int) -> None:
        """Refuse counts beyond what samples of some steps can cause.

        Raises:
            DataError: the model makes steps itself, and was given those of the samples.
        """
        words = self.watch.more_than_possible(n_steps) if n_steps > 1 else ""
        if words:
            raise DataError(
                f"{self.called} {words} for the {n_steps} steps of a sample: it makes "
                "steps of its own, so give it samples without a time axis "
                "(time_axis='none')."
            )

    def _check_split(self, x: Tensor) -> None:
        """Compare the counts of two samples with those of their runs alone.

        Only where sizes do not tell whose counts are whose.
        """
        watch = self.watch
        if not watch.is_split_doubtful or x.shape in self._checked:
            return
        self._checked.add(x.shape)
        for number in {0, self._n_samples(x) - 1}:
            self.watch = Watch(self.model, self.known)
            sample = x.narrow(self._sample_axis, number, 1)
            try:
                if self.loop == "model":
                    self._all_steps(sample)
                else:
                    self._step_by_step(sample)
            except Exception:
                # The model takes batches of one size only.
                self.is_split_known = False
            else:
                self.is_split_known &= watch.agrees_with(self.watch, number)
        self.watch = watch

    def _reset(self) -> None:
        """Bring the model into the state in which a batch starts."""
        self.state.restore()
        self.known.reset(self.model)

    def _n_samples(self, x: Tensor) -> int:
        return x.shape[self._sample_axis]

    def _n_steps(self, x: Tensor) -> int:
        """Count the steps of a batch; 0 where the model makes them itself."""
        return 0 if self._time_axis is None else x.shape[self._time_axis]

    def _on_device(self, x: Tensor) -> Tensor:
        """Move samples to the model's device and floating point type.

        Integers stay integers for a model with integer weights or embeddings.
        """
        if self._takes_integers and not x.is_floating_point():
            return x.to(self._device)
        return x.to(self._device, self._dtype)

    def _scores(self, x: Tensor) -> Tensor:
        """Run the model and return its output, summed over time."""
        if self.loop == "model":
            return self._all_steps(x)
        if self.loop == "price":
            return self._step_by_step(x)
        # auto: the model may make the steps itself.
        try:
            whole = self._all_steps(x)
            failure = None
        except Exception as error:
            failure = in_brief(error)
        if failure is None and not self.watch.has_made_no_steps(self._n_steps(x)):
            self.loop = "model"
            return whole
        # It does not: forget what was counted, and make the steps here.
        watch = self.watch
        self.watch = Watch(self.model, self.known, watch.calls.records)
        try:
            scores = self._step_by_step(x)
        except Exception as error:
            if failure is None:
                # It runs on whole batches only: its neurons decide once.
                self.loop = "model"
                self.watch = watch
                return whole
            raise ParameterError(
                f"{self.called}, given a batch of shape {tuple(x.shape)}, fails, whole "
                f"({failure}) and step by step ({in_brief(error)})."
            ) from error
        self.loop = "price"
        return scores

    def _count_as_others(self, x: Tensor) -> None:
        """Run the model once more for each of the other tools."""
        for tool, totals in self.other_counts.items():
            self._reset()
            with count_as(tool, self.model) as counts:
                if self.loop == "model":
                    self.model(x)
                else:
                    for _ in self._outputs_by_step(x, self.model):
                        pass
            totals.update(counts)

    def _keep(self, scores: Tensor, n_samples: int) -> None:
        """Keep the scores of a batch, if the output is scores of classes."""
        if scores.ndim == 2 and len(scores) == n_samples and scores.shape[1] > 1:
            self.scores.append(scores.detach().cpu().double().numpy())
        else:
            self.has_scores = False
            self.other_output = tuple(scores.shape)

    def _all_steps(self, x: Tensor) -> Tensor:
        """Let the model take all steps at once."""
        n_samples = self._n_samples(x)
        self._reset()
        with self.watch.batch(n_samples, self._n_steps(x), self._time_axis):
            output = self.watch.run(x)
        if self.answer is not None:
            return self.answer(output)
        scores = first_tensor(output)
        if scores.ndim != 3:
            return scores
        # Output in time is summed over the axis that is not that of the samples.
        if scores.shape[0] != scores.shape[1]:
            self._output_time_axis = 0 if scores.shape[1] == n_samples else 1
        elif self._output_time_axis is None and n_samples > 1:
            raise unclear(scores, n_samples)
        return scores.float().sum(dim=self._output_time_axis or 0)

    def _step_by_step(self, x: Tensor) -> Tensor:
        """Let the model take one step after another."""
        self._reset()
        answer = self.answer or first_tensor
        total = torch.zeros(())
        with self.watch.batch(self._n_samples(x), 1, None):
            for output in self._outputs_by_step(x, self.watch.run):
                total = total + answer(output).float()
        return total

    def _outputs_by_step(self, x: Tensor, run: Callable[..., Any]) -> Iterator[Any]:
        """Run the model, with `run`, on one step after another."""
        carries_state = any(
            simulator.carries_state for simulator in self.known.simulators.values()
        )
        state: Any = None
        for step in x.unbind(dim=self._time_axis or 0):
            if carries_state:
                output, state = run(step, state)
            else:
                output = run(step)
            yield output

    @property
    def not_counted(self) -> list[str]:
        """What ran and is not counted, in words."""
        suffix = "" if self.called == "the model" else f" of {self.called}"
        return [f"{words}{suffix}" for words in self.watch.not_counted]

    @property
    def notes(self) -> list[Note]:
        """Warnings about how the model ran."""
        return [warning(words) for words in self._warnings()]

    def _warnings(self) -> Iterator[str]:
        places = [*self.watch.places.values()]
        nearly_whole = [place.name for place in places if place.emits_nearly_whole]
        if nearly_whole:
            yield (
                f"{', '.join(nearly_whole)} gives numbers that are almost integers, "
                "which are counted as real values: round them if they are spikes."
            )
        if self.model.training:
            subject = f"{self.called} ({type(self.model).__name__})"
            yield (
                f"{subject[0].upper()}{subject[1:]} ran in training mode, and was "
                "counted like that: call eval() to count inference."
            )
        if not self.is_split_known:
            yield (
                "It is not clear which counts belong to which sample: totals and means "
                "are right, and there are no intervals."
            )
        if not any(place.fires for place in places):
            return
        # Warn of input or neurons that were probably meant differently.
        in_one = [place for place in places if place.population and place.took_one_step]
        if self._time_axis is None and in_one:
            yield (
                "Some neurons ran for a single step: if the samples have a time axis, "
                "set time_axis."
            )
        elif self.loop == "model" and self.watch.has_made_no_steps(self.steps):
            yield f"The samples have {self.steps} steps, but neurons ran for one."
        peaks = [
            place.peak
            for place in places
            if INPUT in place.sources and not place.receives_values
        ]
        peak = max(peaks, default=0.0)
        if peak > 1:
            yield (
                f"The input has integers up to {peak:g}; each counts as that many "
                "spikes."
            )

    @property
    def all_scores(self) -> NDArray[np.float64] | None:
        """The scores of all samples, [N, classes]; None if some outputs are none."""
        return np.concatenate(self.scores) if self.has_scores and self.scores else None

    def answers(self) -> NDArray[np.int64] | None:
        """Return the class of each sample, [N]; None if the model gives no scores."""
        scores = self.all_scores
        return None if scores is None else clear_class(scores)
