"""Pruning: removing the synapses of least weight while the network learns.

A removed synapse carries no synaptic event, neither in training nor in inference. The share of
removed synapses grows by the cubic schedule of Zhu and Gupta (2017, arXiv:1710.01878),

    share(x) = share * (1 - (1 - x)^3)    for x from 0 to 1,

where x runs from the first to the last pruning epoch; the remaining epochs train what is left. The
synapses removed are those of least magnitude over all weight matrices together (Han et al., NIPS
2015, arXiv:1506.02626). A removed synapse never returns.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Masks = dict[str, npt.NDArray[np.bool_]]
"""By the name of a weight matrix [target, source]: False where a synapse is removed."""


@dataclass(frozen=True)
class PruningSettings:
    """How much is pruned, and when.

    Attributes:
        fraction: share of the synapses that is removed in the end, in [0, 1); 0 prunes nothing.
        start_fraction: share of the epochs before the first synapse is removed, in [0, 1).
        end_fraction: share of the epochs after which the last one is, in (start_fraction, 1].
    """

    fraction: float = 0.0
    start_fraction: float = 0.2
    end_fraction: float = 0.6

    def share(self, epoch: int, max_epochs: int) -> float:
        """Share of the synapses that is removed during an epoch (from 1 on) of `max_epochs`."""
        first = math.floor(self.start_fraction * max_epochs) + 1
        last = max(first, math.ceil(self.end_fraction * max_epochs))
        if epoch < first:
            return 0.0
        progress = min(1.0, (epoch - first + 1) / (last - first + 1))
        return self.fraction * (1 - (1 - progress) ** 3)

    def is_final(self, epoch: int, max_epochs: int) -> bool:
        """Whether all pruning is done by an epoch."""
        return self.share(epoch, max_epochs) == self.fraction


def is_pruned(training_config: Mapping[str, Any]) -> bool:
    """Whether synapses of a network were removed in the training that these parameters describe."""
    return bool(training_config.get("pruned_fraction"))


def magnitude_masks(state: Mapping[str, npt.NDArray[Any]], share: float) -> Masks:
    """Masks that remove the given share of all synapses, those of least magnitude.

    Of equal magnitudes, the earlier in the order of the matrices goes first.

    Args:
        state: parameters by name; biases are no synapses.
        share: of the synapses to remove, in [0, 1).
    """
    weights = {name: values for name, values in state.items() if values.ndim == 2}
    magnitudes = np.concatenate([np.abs(values).ravel() for values in weights.values()])
    kept = np.ones(magnitudes.size, dtype=np.bool_)
    kept[np.argsort(magnitudes, kind="stable")[: round(share * magnitudes.size)]] = False
    masks: Masks = {}
    first = 0
    for name, values in weights.items():
        masks[name] = kept[first : first + values.size].reshape(values.shape)
        first += values.size
    return masks
