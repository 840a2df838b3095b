"""Find the order of a model's modules by running it.

Every module must receive what the one before has returned, unchanged but for its shape:
then the model computes nothing besides its modules, up to their last one.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from spikejoule.accelerating.known_cells import KnownCells
from spikejoule.accelerating.layout import Layout, layout_of
from spikejoule.accelerating.outputs import stacked
from spikejoule.accelerating.parts import Part, leaves
from spikejoule.core.errors import ParameterError, in_brief
from spikejoule.pricing.tensors.nested import first_tensor
from spikejoule.pricing.tensors.states import ModelState


@dataclass(frozen=True)
class Call:
    """A module that was called, the tensor that it got, and that which it returned."""

    part: Part
    received: Tensor
    returned: Tensor


@dataclass(frozen=True)
class Traced:
    """A model that was run.

    Attributes:
        parts: its modules, in the order of one step.
        layout: of its samples.
        output: what it returned; of a model that takes one step, that of all steps,
            stacked.
    """

    parts: list[Part]
    layout: Layout
    output: Any


@dataclass
class _Run:
    """Calls of a run, in their order, and the output."""

    calls: list[Call] = field(default_factory=list)
    output: Any = None


def traced(model: nn.Module, cells: KnownCells, x: Tensor) -> Traced:
    """Run a model on samples, whole or step by step, and find its order.

    Raises:
        ParameterError: it fails, or computes something besides its modules.
    """
    state = ModelState(model)
    try:
        cells.known.reset(model)
        with torch.no_grad():
            failure = None
            try:
                whole = _run(model, cells, [(x,)])
            except Exception as error:
                failure = in_brief(error)
            if failure is None and not _takes_one_step(whole, cells, x):
                return _in_order(whole, cells, x)
            state.restore()
            cells.known.reset(model)
            try:
                return _in_order(_step_by_step(model, cells, x), cells, x)
            except ParameterError:
                raise
            except Exception as error:
                reason = f", and whole ({failure})" if failure else ""
                raise ParameterError(
                    f"the model, given samples of the shape {tuple(x.shape)}, fails "
                    f"step by step ({in_brief(error)}){reason}."
                ) from error
    finally:
        state.restore()


def _run(model: nn.Module, cells: KnownCells, inputs: Sequence[Any]) -> _Run:
    """Call a model, once for each input, and record the calls of its modules."""
    run = _Run()
    outputs = []
    with ExitStack() as stack:
        for part in leaves(model, cells):

            def record(module: nn.Module, x: Any, out: Any, part: Part = part) -> None:
                # Copies: a model may change what it passes on.
                received = first_tensor(x).clone()
                run.calls.append(Call(part, received, first_tensor(out).clone()))

            stack.callback(part.module.register_forward_hook(record).remove)
        for arguments in inputs:
            outputs.append(model(*arguments))
    run.output = outputs[0] if len(outputs) == 1 else stacked(outputs)
    return run


def _step_by_step(model: nn.Module, cells: KnownCells, x: Tensor) -> _Run:
    """Run a model that takes one step after another, and maybe its state."""
    if not cells.carries_state:
        return _run(model, cells, [(step,) for step in x])

    class Stepper(nn.Module):
        """Passes the state on."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.state: Any = None

        def forward(self, step: Tensor) -> Any:
            out, self.state = self.model(step, self.state)
            return out

    return _run(Stepper(), cells, [(step,) for step in x])


def _takes_one_step(run: _Run, cells: KnownCells, x: Tensor) -> bool:
    """Whether a run on all steps has passed them to neurons that take one."""
    neurons = [call for call in run.calls if _steps_once(call.part, cells)]
    if not neurons or len(x) == 1:
        return False
    first = [call for call in neurons if call.part == neurons[0].part]
    return len(first) == 1 and first[0].received.shape[:2] == x.shape[:2]


def _steps_once(part: Part, cells: KnownCells) -> bool:
    return cells.read(part.module) is not None and cells.time(part.module) is None


def _in_order(run: _Run, cells: KnownCells, x: Tensor) -> Traced:
    """Find the order of one step, and check that every step has it."""
    steps = [*_steps_of(run.calls)]
    parts = [call.part for call in steps[0]]
    for step in steps:
        for before, call in pairwise(step):
            if not _is_same(before.returned, call.received):
                raise ParameterError(
                    f"{call.part.name} receives something other than what "
                    f"{before.part.name} returns; allowed are modules in a row, which "
                    "pass their output on unchanged."
                )
    layout = layout_of(parts, cells)
    received = [step[0].received for step in steps]
    if any(_steps_once(part, cells) for part in parts):
        layout = _layout_of_steps(received, x, parts[0])
    elif not _is_same(received[0], x):
        raise _changed(parts[0])
    return Traced(parts, layout, run.output)


def _steps_of(calls: list[Call]) -> Iterator[list[Call]]:
    """Split calls into steps with the same order.

    Raises:
        ParameterError: there are none.
    """
    if not calls:
        raise ParameterError("the model calls none of its modules.")
    parts = [call.part for call in calls]
    length = next(
        n
        for n in range(1, len(parts) + 1)
        if len(parts) % n == 0 and parts[:n] * (len(parts) // n) == parts
    )
    for start in range(0, len(calls), length):
        yield calls[start : start + length]


def _layout_of_steps(received: list[Tensor], x: Tensor, first: Part) -> Layout:
    """Find the axis of samples along which the first module received steps.

    Raises:
        ParameterError: there is none.
    """
    for axis in (0, 1):
        steps = x.unbind(axis) if x.ndim > axis else ()
        if len(steps) == len(received) and all(map(_is_same, received, steps)):
            return Layout(axis)
    if all(_is_same(step, x) for step in received):
        return Layout(None, len(received))
    raise _changed(first)


def _changed(first: Part) -> ParameterError:
    return ParameterError(
        f"{first.name} receives something other than the samples, or not one step of "
        "them after another; allowed are samples [T, B, ...]."
    )


def _is_same(before: Tensor, after: Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same order."""
    return before.numel() == after.numel() and torch.equal(
        before.reshape(-1), after.reshape(-1).to(before.dtype)
    )
