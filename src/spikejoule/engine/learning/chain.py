"""The kernels that train chains with convolution, pooling and recurrence."""

from itertools import pairwise

import numpy as np

from spikejoule.compiling.emit import LANES, aligned_zeros
from spikejoule.engine.chain import int32, link_tables
from spikejoule.engine.kernels.chain import ChainArrays
from spikejoule.engine.kernels.structures import ConstantInputs
from spikejoule.engine.layout import (
    ConnectionLayout,
    Integers,
    Masks,
    ParameterLayout,
    Plane,
)
from spikejoule.engine.learning.gradient_set import new_gradient
from spikejoule.engine.learning.kernels.chain import (
    ChainBackward,
    ChainTraining,
    add_lane,
)
from spikejoule.engine.learning.kernels.structures import (
    BatchGradient,
    LabelledBatch,
    Learning,
    Sampling,
)


def transposed_weights(layout: ParameterLayout) -> Integers:
    """Return the index of each transposed weight of all links, flat.

    Nothing flows back to the input, so the first link has none.
    """
    parts = [
        _transposed(connection, before.target)
        for before, connection in pairwise(layout.forward)
    ]
    parts += [_transposed(own, own.target) for own in layout.recurrent]
    indices = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
    # Padding is taken from the last vector of the parameters, which is zeros.
    return np.where(indices < 0, layout.size - LANES, indices)


def _transposed(layout: ConnectionLayout, sender: Plane) -> Integers:
    """Return the index of each transposed weight among the parameters, flat.

    The transposed weights are [tap, reach, width of the sender]; -1 marks padding.
    """
    axes = layout.weight_axes
    groups, targets, sources, n_taps = np.ix_(*map(np.arange, axes))
    channels = groups * axes[2] + sources
    columns = groups * layout.target.group_width + targets
    starts = layout.weights.start + channels * layout.weights.length
    matrices = np.full((axes[3], layout.target.reach, sender.width), -1)
    places = starts + n_taps * layout.target.group_width + targets
    matrices[n_taps, columns, sender.columns[channels]] = places
    return matrices.reshape(-1)


class ChainGradients:
    """A `spikejoule.engine.learning.gradient_set.GradientSet` for any chain.

    Args:
        layout: of the parameters.
        chain: what the forward pass reads.
        lanes: number of parts in which a batch's gradient is summed.

    Attributes:
        fan_outs: of each source of each link.
    """

    def __init__(self, layout: ParameterLayout, chain: ChainArrays, lanes: int) -> None:
        self._layout = layout
        self._chain = chain
        self._lanes = lanes
        dtype = self._chain.parameters.dtype
        self._gradient = new_gradient(layout, lanes, lanes, dtype)
        self._transposed_from = int32(transposed_weights(layout))
        self.fan_outs = np.concatenate(layout.fan_outs({}))
        tables = link_tables(layout)
        n_members = np.concatenate([table.n_members for table in tables])
        self._backward = ChainBackward(
            transposed=aligned_zeros((self._transposed_from.size,), dtype),
            members_of=int32(np.cumsum([0, *n_members])),
            members=int32(np.concatenate([table.members for table in tables])),
            fan_outs=self.fan_outs,
            learned_start=layout.learned_start,
        )

    def prune(self, masks: Masks) -> None:
        """See the protocol."""
        self.fan_outs[:] = np.concatenate(self._layout.fan_outs(masks))

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        sampling: Sampling,
        threads: int,
    ) -> BatchGradient:
        """Run both passes of a batch; each lane is one thread's, whatever `threads`."""
        chain = self._chain
        backward = self._backward
        gradient = self._gradient
        np.take(
            chain.parameters,
            self._transposed_from,
            out=backward.transposed,
            # Without a mode other than "raise", numpy buffers `out`; all indices exist.
            mode="clip",
        )
        gradient.counts[:] = 0
        training = ChainTraining(batch, currents, learning, chain, backward, gradient)
        # Plain tuples: numba looks up their types faster than those of named tuples.
        add_lane(self._lanes, tuple(map(tuple, training)))
        return gradient
