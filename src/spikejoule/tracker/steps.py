"""Optimizers: their steps in each epoch, and what they find in the gradients.

A gradient whose version has changed since autograd wrote it was changed in place, as
clipping does.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from spikejoule.core.errors import ParameterError
from spikejoule.counts.training import Rule
from spikejoule.pricing.torch_private import version_of

_RULES: Final[dict[str, Rule]] = {
    "Adam": "adam",
    "AdamW": "adamw",
    "RMSprop": "rmsprop",
    "SGD": "sgd",
}
KNOWN: Final = ", ".join(_RULES)
_UNKNOWN_OPTIONS: Final = ("amsgrad", "centered", "nesterov")
"""Options that change what a step computes, and are not counted."""


def rule_of(optimizer: Optimizer, group: dict[str, Any]) -> Rule | None:
    """Return how an optimizer updates a group of parameters; None if not known."""
    rule = _RULES.get(type(optimizer).__name__)
    if any(group.get(option) for option in _UNKNOWN_OPTIONS):
        return None
    if rule in ("sgd", "rmsprop") and group.get("momentum"):
        return "momentum" if rule == "sgd" else None
    return rule


class OptimizerSteps:
    """The steps of an optimizer.

    Attributes:
        optimizer: the optimizer.
        steps: in each epoch.
    """

    def __init__(self, optimizer: Optimizer, name: str) -> None:
        self.optimizer = optimizer
        self.name = name
        self.steps = [0]
        self.passes_before = 0

    @property
    def parameters(self) -> list[Tensor]:
        """All of its parameters."""
        return [x for group in self.optimizer.param_groups for x in group["params"]]


class StepCounter:
    """Counts the steps of optimizers by hooks on them and on the parameters.

    Attributes:
        optimizers: each with its steps.
        clips: whether gradients were changed between a backward pass and a step.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        passes: Callable[[], int],
        end_step: Callable[[], None],
    ) -> None:
        """Start without steps.

        Args:
            model: the model.
            optimizers: those of its parameters.
            passes: returns the training passes so far.
            end_step: is called before each step.

        Raises:
            ParameterError: an optimizer has no parameter of the model.
        """
        self._own = {id(x): x for x in model.parameters() if x.requires_grad}
        self.optimizers: list[OptimizerSteps] = []
        for number, optimizer in enumerate(optimizers, start=1):
            name = "optimizer" if len(optimizers) == 1 else f"optimizer {number}"
            steps = OptimizerSteps(optimizer, name)
            if not any(id(x) in self._own for x in steps.parameters):
                raise ParameterError(
                    f"{name} has no parameter of the model that learns."
                )
            self.optimizers.append(steps)
        self.clips = False
        self._passes = passes
        self._end_step = end_step
        # By parameter: the version of its gradient, and backward passes since a step.
        self._versions: dict[int, int] = {}
        self._backwards: Counter[int] = Counter()

    def open_row(self) -> None:
        """Begin an epoch."""
        for optimizer in self.optimizers:
            optimizer.steps.append(0)

    def hooked(self) -> ExitStack:
        """Hook optimizers and parameters, until the returned stack is closed."""
        hooks = ExitStack()
        for parameter in self._own.values():
            untyped: Any = parameter
            handle = untyped.register_post_accumulate_grad_hook(self._note_gradient)
            hooks.callback(handle.remove)
        for steps in self.optimizers:

            def before(
                optimizer: Any, args: Any, kwargs: Any, steps: OptimizerSteps = steps
            ) -> None:
                self._begin_step(steps)

            handle = steps.optimizer.register_step_pre_hook(before)
            hooks.callback(handle.remove)
        return hooks

    def _note_gradient(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        self._versions[id(parameter)] = version_of(parameter.grad)
        self._backwards[id(parameter)] += 1

    def _begin_step(self, steps: OptimizerSteps) -> None:
        """Count a step that is about to be taken."""
        own = [x for x in steps.parameters if id(x) in self._own]
        backwards = max(self._backwards.pop(id(x), 0) for x in own)
        passes = self._passes() - steps.passes_before
        self._check(steps.name, backwards, passes)
        for x in own:
            version = self._versions.get(id(x))
            if x.grad is not None and version is not None:
                self.clips |= version_of(x.grad) != version
        steps.passes_before += passes
        steps.steps[-1] += 1
        self._end_step()

    @staticmethod
    def _check(name: str, backwards: int, passes: int) -> None:
        """Refuse steps whose passes are not those that were counted.

        Raises:
            ParameterError: there was no backward pass, more of them than forward passes
            in training mode, or none of these.
        """
        if backwards == 0:
            raise ParameterError(
                f"{name} takes a step without a backward pass of the model since the "
                "last one: call loss.backward() before each step."
            )
        if backwards > passes:
            raise ParameterError(
                f"{name} takes a step after {backwards} backward passes, but {passes} "
                "forward passes in training mode: track counts one backward pass for "
                "each forward pass, with model.train()."
            )


def learns_now(model: nn.Module) -> tuple[bool, ...]:
    """Return which parameters have gradients, in order."""
    return tuple(x.requires_grad for x in model.parameters())


def optimizers_of(optimizer: Any) -> list[torch.optim.Optimizer]:
    """Return one optimizer, or several.

    Raises:
        ParameterError: something is no optimizer.
    """
    optimizers = [*optimizer] if isinstance(optimizer, list | tuple) else [optimizer]
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise ParameterError(
                f"optimizer is a {type(one).__name__}, but must be a torch.optim "
                "optimizer, or a list of them."
            )
    if not optimizers:
        raise ParameterError("optimizer is an empty list, but must name at least one.")
    return optimizers
