"""Pruning: removing the synapses of least weight while the network learns.

A removed synapse carries no synaptic event, neither in training nor in inference. The
fraction of removed synapses grows by the cubic schedule of Zhu and Gupta (2017,
arXiv:1710.01878),

    fraction(x) = fraction * (1 - (1 - x)^3)    for x from 0 to 1,

where x runs from the first to the last pruning epoch; the remaining epochs train what
is left. The synapses removed are those of least magnitude over all weight matrices
together (Han et al., NIPS 2015, arXiv:1506.02626). A removed synapse never returns.

Magnitude already weighs what a synapse does against what it costs. A source of s spikes
per inference gives its target s contributions of size w, whose squares add up to s w^2,
for s synaptic events: w^2 for each event, whatever s is.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.parameters import ParameterSection, Real, refused

Masks = dict[str, NDArray[np.bool_]]
"""By the name of a weight matrix [target, source]: False where a synapse is removed."""


class PruningSettings(ParameterSection):
    """How much is pruned, and when.

    Attributes:
        pruned_fraction: fraction of the synapses that is removed in the end; 0 prunes
            nothing.
        prune_start: fraction of the epochs before the first synapse is removed.
        prune_end: fraction of the epochs after which the last one is, above
            `prune_start`.
    """

    pruned_fraction: Real = Field(default=0.0, ge=0, lt=1)
    prune_start: Real = Field(default=0.2, ge=0, lt=1)
    prune_end: Real = Field(default=0.6, gt=0, le=1)

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.prune_start >= self.prune_end:
            raise refused(
                f"train.prune_end: {self.prune_end} is not allowed; allowed: more than "
                f"train.prune_start, which is {self.prune_start}"
            )
        return self

    def pruned_fraction_at(self, epoch: int, max_epochs: int) -> float:
        """Fraction of the synapses that is removed during an epoch (from 1 on) of
        `max_epochs`.
        """
        first = math.floor(self.prune_start * max_epochs) + 1
        last = max(first, math.ceil(self.prune_end * max_epochs))
        if epoch < first:
            return 0.0
        progress = min(1.0, (epoch - first + 1) / (last - first + 1))
        return self.pruned_fraction * (1 - (1 - progress) ** 3)

    def is_pruned_by(self, epoch: int, max_epochs: int) -> bool:
        """Whether all pruning is done by an epoch (from 1 on) of `max_epochs`."""
        return self.pruned_fraction_at(epoch, max_epochs) == self.pruned_fraction


def pruning_masks(state: Mapping[str, NDArray[Any]], fraction: float) -> Masks:
    """Masks that remove the given fraction of all synapses, those of least magnitude.

    Of equal magnitudes, the earlier in the order of the matrices goes first.

    Args:
        state: parameters by name; biases are no synapses.
        fraction: of the synapses to remove, in [0, 1).
    """
    weights = {name: values for name, values in state.items() if values.ndim > 1}
    flat = np.concatenate([np.abs(values).ravel() for values in weights.values()])
    kept = np.ones(flat.size, dtype=np.bool_)
    kept[np.argsort(flat, kind="stable")[: round(fraction * flat.size)]] = False
    masks: Masks = {}
    first = 0
    for name, values in weights.items():
        masks[name] = kept[first : first + values.size].reshape(values.shape)
        first += values.size
    return masks
