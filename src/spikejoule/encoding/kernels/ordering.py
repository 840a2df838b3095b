"""From spikes by pixel to spikes by step: the second half of every encoder."""

import numpy as np

from spikejoule.core.compiling.jit import compiled


@compiled
def order_by_step(steps, pixels, n_spikes, n_steps, lengths, places, sources):
    """Order the spikes of one image by step, then by pixel: a counting sort.

    Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        steps, pixels: of each spike, pixels in descending order, uint16.
        n_spikes: how many.
        n_steps: T.
        lengths: receives the number of spikes of each step, int64 [T].
        places: memory for the place of each step's next spike, int32 [T].
        sources: receives the pixels, uint16.

    Returns:
        the number of spikes.
    """
    count = np.uint64(n_spikes)
    lengths[:] = 0
    for k in range(count):
        lengths[np.uint64(steps[k])] += 1
    place = 0
    for step in range(n_steps):
        places[step] = place
        place += lengths[step]
    # From the last spike to the first: pixels came in descending order.
    for k in range(count):
        event = count - np.uint64(1) - k
        its_step = np.uint64(steps[event])
        sources[np.uint64(places[its_step])] = pixels[event]
        places[its_step] += 1
    return np.int64(count)
