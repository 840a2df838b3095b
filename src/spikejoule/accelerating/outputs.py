"""What a model makes of the spikes and potentials of its last layer.

A model that was traced returns tensors, maybe in tuples, lists or dictionaries. Each
must be one of the `FORMS` of the spikes or of the potentials.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor

from spikejoule.core.errors import ParameterError

FORMS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "of all steps": lambda y: y,
    "of all steps, samples first": lambda y: y.transpose(0, 1),
    "summed over the steps": lambda y: y.sum(0),
    "of their mean": lambda y: y.mean(0),
    "of the last step": lambda y: y[-1],
    "of their maximum": lambda y: y.amax(0),
}
"""What may be made of a tensor [T, B, ...]."""
TOLERANCE: Final = 0.02
"""Largest relative difference between two tensors that count as equal.

Rounding may change a few spikes.
"""

Source = Literal["spikes", "potentials"]


@dataclass(frozen=True)
class Output:
    """A tensor that a model returns.

    Attributes:
        source: what it is made of.
        form: how, see `FORMS`.
    """

    source: Source
    form: str = "of all steps"

    def of(self, recorded: Mapping[Source, Tensor]) -> Tensor:
        """Return the tensor, given spikes and potentials, [T, B, ...]."""
        return FORMS[self.form](recorded[self.source])


def map_leaves(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with each leaf changed."""
    if isinstance(tree, dict):
        return {key: map_leaves(item, change) for key, item in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(map_leaves(item, change) for item in tree)
    return change(tree)


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of nested tuples, lists and dictionaries."""
    leaves: list[Any] = []
    map_leaves(tree, leaves.append)
    return leaves


def stacked(trees: list[Any]) -> Any:
    """Stack the tensors of the outputs of all steps."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.stack(trees)
    if isinstance(first, dict):
        return {key: stacked([tree[key] for tree in trees]) for key in first}
    if type(first) in (tuple, list):
        return type(first)(stacked([*items]) for items in zip(*trees, strict=True))
    return first


def outputs_like(tree: Any, recorded: Mapping[Source, Tensor]) -> Any:
    """Return the tree of a model's output, with an `Output` for each tensor.

    Raises:
        ParameterError: a tensor is made in another way, or there is more than one.
    """

    def output_like(found: Any) -> Output:
        if not isinstance(found, Tensor):
            raise ParameterError(
                f"the model returns a {type(found).__name__}; allowed are tensors, in "
                "tuples, lists and dictionaries."
            )
        candidates = [Output(source, form) for source in recorded for form in FORMS]
        fitting = [
            output for output in candidates if is_same(output.of(recorded), found)
        ]
        if not fitting:
            forms = "; ".join(FORMS)
            raise ParameterError(
                f"the model returns a tensor of the shape {tuple(found.shape)} that is "
                "made in another way than from the spikes or potentials of its last "
                f"layer: allowed are those {forms}."
            )
        if len(fitting) > 1:
            forms = " or ".join(f"{one.source} {one.form}" for one in fitting)
            raise ParameterError(
                f"the model may return {forms}: for these samples they are equal; give "
                "an example= with more steps, samples and output spikes."
            )
        return fitting[0]

    return map_leaves(tree, output_like)


def is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape, and are equal but for rounding."""
    if one.shape != other.shape:
        return False
    difference = (one - other).abs().sum()
    return bool(difference <= TOLERANCE * other.abs().sum())
