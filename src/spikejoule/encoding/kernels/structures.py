"""What kernels that emit spikes write to."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from spikejoule.core.compiling.bits import LISTED_AT_ONCE

SPARE_SPIKES = LISTED_AT_ONCE
"""Places behind the last spike of a buffer. A kernel may write to so many: it writes a whole vector
of units, of which those that fired are the first."""


class LaneSpikes(NamedTuple):
    """The spikes of N samples over T steps, written by lanes of consecutive samples.

    Attributes:
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64 [K + 1].
        buffers: receives the units that fired, a row a lane, uint16
            [K, most spikes of a lane + SPARE_SPIKES].
        counts: receives the number of spikes of each lane, int64 [K].
        lengths: receives the number of spikes of each (sample, step), int64 [N * T].
    """

    bounds: NDArray[Any]
    buffers: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[Any]
