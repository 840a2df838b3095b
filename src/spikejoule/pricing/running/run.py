"""Run a model on samples, batch by batch, while a `Watch` counts.

Time is the first or the second axis of a batch, or there is none. The model makes the
steps itself, or takes one after another; unless the user says which, both are tried. A
batch with as many samples as steps is run in two halves, so that axes can be told apart
by their sizes.

Any exception in the model becomes one sentence.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spikejoule.core.errors import (
    DataError,
    ParameterError,
    in_brief,
    in_one_sentence,
)
from spikejoule.pricing.modules.axes import unclear
from spikejoule.pricing.modules.neurons import Known
from spikejoule.pricing.modules.parts import Omission
from spikejoule.pricing.running.other_counters import Counts, Tool, count_as
from spikejoule.pricing.running.samples import BatchAxes, ModelInput, TimeAxis
from spikejoule.pricing.running.scores import Scores
from spikejoule.pricing.tensors.nested import first_tensor
from spikejoule.pricing.tensors.states import ModelState
from spikejoule.pricing.watching.watch import Watch

Loop = Literal["auto", "model", "price"]
Answer = Callable[[Any], Tensor]


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
        axes: of a batch.
        loop: who makes the steps, once it is known.
        steps: of the samples; 0 where the model makes them itself.
        scores: that the model gave.
        is_split_known: whether the counts of each sample are known, not only their sum.
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
        if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
            raise ParameterError(
                f"{called} has lazy layers without a shape: run it on a batch first."
            )
        self.model = model
        self.known = known
        self.called = called
        self.axes = BatchAxes.of(stepping.time_axis)
        self.loop = "model" if self.axes.time is None else stepping.loop
        # First: reading a weight may change what it is computed from.
        self.state = ModelState(model)
        self._records = records
        self.watch = self._new_watch()
        self.steps = 0
        self.scores = Scores()
        self.is_split_known = True
        self.other_counts: dict[Tool, Counts] = {
            tool: Counter() for tool in stepping.tools
        }
        self._answer = stepping.answer
        self._input = ModelInput(model)
        self._output_time_axis = self.axes.time
        # The shapes of batches whose split is checked.
        self._checked: set[torch.Size] = set()

    def _new_watch(self) -> Watch:
        """Return a watch without counts. Only records need the samples of each call."""
        return Watch(self.model, self.known, self._records, self._records)

    def take(self, x: Tensor) -> None:
        """Run the model on a batch."""
        n_samples = self.axes.n_samples(x)
        n_steps = self.axes.n_steps(x)
        self.steps = max(self.steps, n_steps)
        parts: tuple[Tensor, ...] = (x,)
        if n_samples == n_steps and n_samples > 1:
            parts = x.tensor_split(2, dim=self.axes.sample)
        what = f"{self.called}, given a batch of shape {tuple(x.shape)},"
        with in_one_sentence(what), torch.no_grad():
            for part in parts:
                inputs = self._input.of(part)
                scores = self._run(inputs)
                self._check_possible(n_steps)
                self.scores.add(scores, self.axes.n_samples(part))
                self._check_split(inputs)
                self._count_as_others(inputs)

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
        self.is_split_known &= not watch.layout.is_lost
        if (
            not (self.is_split_known and watch.is_split_doubtful)
            or x.shape in self._checked
        ):
            return
        self._checked.add(x.shape)
        for number in {0, self.axes.n_samples(x) - 1}:
            self.watch = self._new_watch()
            sample = x.narrow(self.axes.sample, number, 1)
            try:
                self._run(sample)
            except Exception:
                # The model takes batches of one size only.
                self.is_split_known = False
            else:
                self.is_split_known &= watch.agrees_with(self.watch, number)
        self.watch = watch

    @contextmanager
    def _one_run(self) -> Iterator[None]:
        """Start a run with neurons at rest, and leave the model as it was given."""
        try:
            self.known.reset(self.model)
            yield
        finally:
            self.state.restore()

    def _run(self, x: Tensor) -> Tensor:
        """Run the model and return its output, summed over time."""
        if self.loop == "model":
            return self._all_steps(x)
        if self.loop == "price":
            return self._step_by_step(x)
        return self._try_both(x)

    def _try_both(self, x: Tensor) -> Tensor:
        """Find out who makes the steps: the model may make them itself."""
        try:
            whole = self._all_steps(x)
            failure = None
        except Exception as error:
            failure = error
        if failure is None and not self.watch.has_made_no_steps(self.axes.n_steps(x)):
            self.loop = "model"
            return whole
        # It does not: forget what was counted, and make the steps here.
        watch = self.watch
        self.watch = self._new_watch()
        try:
            scores = self._step_by_step(x)
        except Exception as error:
            if failure is None:
                # It runs on whole batches only: its neurons decide once.
                self.loop = "model"
                self.watch = watch
                return whole
            raise ParameterError(
                f"{in_brief(failure)}: {self.called} fails, given a batch of shape "
                f"{tuple(x.shape)}; given one step, it fails with {in_brief(error)}."
            ) from failure
        self.loop = "price"
        return scores

    def _count_as_others(self, x: Tensor) -> None:
        """Run the model once more for each of the other tools."""
        for tool, totals in self.other_counts.items():
            with self._one_run(), count_as(tool, self.model) as counts:
                if self.loop == "model":
                    self.model(x)
                else:
                    for _ in self._outputs_by_step(x, self.model):
                        pass
            totals.update(counts)

    def _all_steps(self, x: Tensor) -> Tensor:
        """Let the model take all steps at once."""
        n_samples = self.axes.n_samples(x)
        n_steps = self.axes.n_steps(x)
        with self._one_run(), self.watch.batch(n_samples, n_steps, self.axes.time):
            output = self.watch.run(x)
            # Copied: it may be a state of the model, which is restored now.
            return self._answer_of(output, n_samples).clone()

    def _answer_of(self, output: Any, n_samples: int) -> Tensor:
        """Return what a model that took all steps answers, summed over time."""
        if self._answer is not None:
            return self._answer(output)
        scores = first_tensor(output)
        if scores.ndim != 3:
            return scores
        # Output in time is summed over the axis that is not that of the samples.
        if scores.shape[0] != scores.shape[1]:
            self._output_time_axis = 0 if scores.shape[1] == n_samples else 1
        elif self._output_time_axis is None and n_samples > 1:
            raise unclear(scores, n_samples)
        self.scores.summed_steps = scores.shape[self._output_time_axis or 0]
        return scores.float().sum(dim=self._output_time_axis or 0)

    def _step_by_step(self, x: Tensor) -> Tensor:
        """Let the model take one step after another."""
        answer = self._answer or first_tensor
        total = torch.zeros(())
        n_samples = self.axes.n_samples(x)
        with self._one_run(), self.watch.batch(n_samples, 1, None):
            for output in self._outputs_by_step(x, self.watch.run):
                total = total + answer(output).float()
        self.scores.summed_steps = self.axes.n_steps(x)
        return total

    def _outputs_by_step(self, x: Tensor, run: Callable[..., Any]) -> Iterator[Any]:
        """Run the model, with `run`, on one step after another."""
        carries_state = any(
            simulator.carries_state for simulator in self.known.simulators.values()
        )
        state: Any = None
        for step in x.unbind(dim=self.axes.time or 0):
            if carries_state:
                output, state = run(step, state)
            else:
                output = run(step)
            yield output

    @property
    def not_counted(self) -> list[Omission]:
        """What ran and is not counted."""
        model = "" if self.called == "the model" else self.called
        return [replace(omission, model=model) for omission in self.watch.not_counted]
