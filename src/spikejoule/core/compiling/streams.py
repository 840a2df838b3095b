"""Random streams, each begun by a key and a number: SplitMix64 (exponential.py) on one integer."""

import numpy as np

from spikejoule.core.compiling.exponential import GOLDEN
from spikejoule.core.compiling.jit import compiled


@compiled
def mix(value):
    """SplitMix64's output function: a bijection of 64-bit integers."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def stream_start(key, sample):
    """State of the random stream of one sample under a key."""
    return mix(key ^ mix(np.uint64(sample) + np.uint64(GOLDEN)))
