"""Pruning: removing the synapses of least magnitude while the network learns.

A removed synapse carries no synaptic event, in training or in inference. The removed
fraction follows the cubic schedule of Zhu and Gupta (2017, arXiv:1710.01878),

    fraction(x) = fraction * (1 - (1 - x)^3)    for x from 0 to 1,

where x runs from the first to the last pruning epoch; the remaining epochs train the
pruned network. The magnitudes of all weight matrices are ranked together (Han et al.,
NIPS 2015, arXiv:1506.02626). A removed synapse never returns.

Magnitude already weighs the effect of a synapse against its cost: a source with s
spikes per inference adds s contributions of size w, whose squares sum to s w^2, and
causes s synaptic events. That is w^2 per event for any s.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.parameters import ParameterSection, Real, refused

Masks = dict[str, NDArray[np.bool_]]
"""By name of a weight matrix [target, source]: False where a synapse is removed."""


class PruningSettings(ParameterSection):
    """How much is pruned, and when.

    Attributes:
        pruned_fraction: fraction of the synapses to remove in total; 0 prunes nothing.
        prune_start: fraction of the epochs before the first synapse is removed.
        prune_end: fraction of the epochs after which all are removed, above
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
        """Fraction of the synapses removed in an epoch (from 1 on) of `max_epochs`."""
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
    """Make masks that remove a fraction of all synapses, those of least magnitude.

    Equal magnitudes are removed in the order of the matrices.

    Args:
        state: parameters by name; biases are no synapses.
        fraction: fraction of the synapses to remove, in [0, 1).
    """
    weights = {name: values for name, values in state.items() if values.ndim > 1}
    flat = np.concatenate([np.abs(values).ravel() for values in weights.values()])
    n_removed = round(fraction * flat.size)
    kept = np.ones(flat.size, dtype=np.bool_)
    # A stable sort: which of two equal magnitudes goes does not depend on the machine.
    kept[np.argsort(flat, kind="stable")[:n_removed]] = False
    masks: Masks = {}
    first = 0
    for name, values in weights.items():
        masks[name] = kept[first : first + values.size].reshape(values.shape)
        first += values.size
    return masks
