"""Pruning: removing the weights of smallest magnitude during training.

A removed synapse carries no synaptic event, in training or in inference. The removed
fraction follows the cubic schedule of Zhu and Gupta (2017, arXiv:1710.01878),

    removed(x) = pruned_fraction * (1 - (1 - x)^3),

where x = k / n in pruning epoch k of n; weights are removed before the epoch's first
batch. The remaining epochs train the pruned network. The magnitudes of all weight
matrices are ranked together (Han et al., NIPS 2015, arXiv:1506.02626). A removed weight
stays 0, so it ranks lowest, and every later mask removes it, too.

Spike counts are not used in the ranking, because magnitude already weighs the effect of
a synapse against its cost: if its source spikes s times per inference, a weight w is
added s times, in s synaptic events, and the squares of what is added sum to s w^2,
which is w^2 per event for any s.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.parameters import ParameterSection, Real, refused

Masks = dict[str, NDArray[np.bool_]]
"""By parameter name, in the shape of the weights: False where one is removed."""


class PruningSettings(ParameterSection):
    """How much is pruned, and when.

    Attributes:
        pruned_fraction: fraction of the weights to remove in total; 0 prunes nothing.
        prune_start: fraction of the epochs before the first pruning epoch.
        prune_end: fraction of the epochs up to the last pruning epoch; above
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
        """Fraction of the weights removed in an epoch (from 1 on) of `max_epochs`."""
        first = math.floor(self.prune_start * max_epochs) + 1
        last = max(first, math.ceil(self.prune_end * max_epochs))
        if epoch < first:
            return 0.0
        progress = min(1.0, (epoch - first + 1) / (last - first + 1))
        return self.pruned_fraction * (1 - (1 - progress) ** 3)

    def is_pruned_by(self, epoch: int, max_epochs: int) -> bool:
        """Whether pruning is complete in an epoch (from 1 on) of `max_epochs`."""
        return self.pruned_fraction_at(epoch, max_epochs) == self.pruned_fraction


def pruning_masks(state: Mapping[str, NDArray[Any]], fraction: float) -> Masks:
    """Make masks that remove a fraction of all weights, those of smallest magnitude.

    Equal magnitudes are removed in the order of `state`.

    Args:
        state: parameters by name; biases are ignored.
        fraction: fraction of the weights to remove, in [0, 1).
    """
    weights = {name: values for name, values in state.items() if values.ndim > 1}
    flat = np.concatenate([np.abs(values).ravel() for values in weights.values()])
    n_removed = round(fraction * flat.size)
    kept = np.ones(flat.size, dtype=np.bool_)
    # With a stable sort, ties are broken in the same way on every machine.
    kept[np.argsort(flat, kind="stable")[:n_removed]] = False
    masks: Masks = {}
    first = 0
    for name, values in weights.items():
        masks[name] = kept[first : first + values.size].reshape(values.shape)
        first += values.size
    return masks
