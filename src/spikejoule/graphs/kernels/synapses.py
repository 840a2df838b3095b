"""From what is given to what arrives: full connection, convolution, pooling.

Each sum takes one unit after another, in their order, so that it does not depend on the other
samples of its block: what a unit does not give is added as a zero, or not at all.
"""

import numpy as np

from spikejoule.core.compiling import compiled, compiled_inline
from spikejoule.core.compiling.emit import LANES
from spikejoule.graphs.kernels.vectors import (
    MOST_VECTORS,
    TARGETS,
    add_products,
    add_transposed,
    add_vector,
    count_vector,
    sum_rows,
)


@compiled_inline
def _targets_at_once(left):
    """The most of TARGETS that are left."""
    for size in TARGETS:
        if size <= left:
            return size
    return 0


@compiled
def _by_lane(amounts, active_units, units):
    """List the units that give something to each sample; how many is returned, int64 [LANES].

    Args:
        amounts: of a block, real [n, LANES].
        active_units: those that give something to any sample.
        units: receives, int32 [LANES, most units + 1].
    """
    counts = np.zeros(LANES, np.int64)
    for lane in range(LANES):
        count = np.uint64(0)
        for k in range(active_units.size):
            unit = active_units[k]
            units[lane, count] = unit
            count += np.uint64(amounts[unit, lane] != 0)
        counts[lane] = count
    return counts


@compiled_inline
def _is_sparse(n_active, n_pairs, n_out):
    """Whether rows of weights, sample by sample, cost less than vectors of sixteen samples.

    In multiply-adds of vectors, as measured: listing the units of a sample takes two for each that
    is looked at, and changing the places of 16 x 16 sums 100.
    """
    vectors = n_out // LANES
    rows = vectors * (2 * n_pairs + 100) + 2 * LANES * n_active
    return vectors > 0 and rows < n_active * n_out


@compiled
def add_dense(given, weights, sums):
    """``sums[b, j] += amount * weights[unit, j]``; weights are real [n_in, n_out]."""
    amounts, units, counts = given.amounts, given.units, given.counts
    n_in, n_out = weights.shape
    of_lane = np.empty((LANES, n_in + 1), np.int32)
    rows = np.empty((LANES, MOST_VECTORS * LANES), sums.dtype)
    n_pairs = np.zeros(LANES, np.int64)
    for b in range(counts.size):
        first, into, target = b * n_in * LANES, b * n_out * LANES, 0
        n_pairs[:] = 0
        for k in range(counts[b]):
            count_vector(amounts, first + units[b, k] * LANES, 1, n_pairs, 0)
        if _is_sparse(counts[b], n_pairs.sum(), n_out):
            n_units = _by_lane(amounts[b], units[b, : counts[b]], of_lane)
            while target + LANES <= n_out:
                size = min(MOST_VECTORS, (n_out - target) // LANES)
                for lane in range(LANES):
                    sum_rows(
                        amounts,
                        first + lane,
                        of_lane[lane],
                        n_units[lane],
                        weights,
                        target,
                        n_out,
                        size,
                        rows,
                        lane * MOST_VECTORS * LANES,
                    )
                for k in range(size):
                    add_transposed(
                        rows, k * LANES, MOST_VECTORS * LANES, sums, into + target * LANES
                    )
                    target += LANES
        while target < n_out:
            size = _targets_at_once(n_out - target)
            add_products(
                amounts,
                first,
                units[b],
                units[b],
                counts[b],
                weights,
                target,
                n_out,
                size,
                sums,
                into + target * LANES,
                LANES,
            )
            target += size


@compiled
def add_convolution(given, slide, weights, sums):
    """Add what arrives through a convolution.

    Args:
        given: of units (c, y, x).
        slide: the window.
        weights: real [C_in, kernel_y, kernel_x, channels of a group of the output].
        sums: receives; of units (channel, row, column).
    """
    amounts, active = given.amounts, given.active
    taps = slide.kernel_y * slide.kernel_x
    n_places = slide.rows * slide.columns
    n_channels, n_out = weights.shape[3], sums.shape[1] // n_places
    units = np.empty(slide.per_group * taps + 1, np.int32)
    rows = np.empty(slide.per_group * taps + 1, np.int32)
    for b in range(given.counts.size):
        first = b * active.shape[1] * LANES
        for row in range(slide.rows):
            for column in range(slide.columns):
                top = row * slide.stride_y - slide.padding_y
                left = column * slide.stride_x - slide.padding_x
                for group in range(n_out // n_channels):
                    channel = group * slide.per_group
                    count = _window(active[b], slide, channel, top, left, units, rows)
                    target = group * n_channels
                    past = target + n_channels
                    while target < past:
                        size = _targets_at_once(past - target)
                        place = (b * n_out + target) * n_places + row * slide.columns + column
                        add_products(
                            amounts,
                            first,
                            units,
                            rows,
                            count,
                            weights,
                            target - group * n_channels,
                            n_channels,
                            size,
                            sums,
                            place * LANES,
                            n_places * LANES,
                        )
                        target += size


@compiled_inline
def _inside(at, dilation, reach, size):
    """First and past the last place of a kernel that is inside an axis of that size."""
    first = max(0, -(at // dilation))
    return first, min(reach, (size - 1 - at) // dilation + 1)


@compiled_inline
def _window(active, slide, channel, top, left, units, rows):
    """List the active units of a window, and the row of weights of each; return how many."""
    first_y, past_y = _inside(top, slide.dilation_y, slide.kernel_y, slide.height)
    first_x, past_x = _inside(left, slide.dilation_x, slide.kernel_x, slide.width)
    count = np.uint64(0)
    for c in range(channel, channel + slide.per_group):
        for tap_y in range(first_y, past_y):
            y = top + tap_y * slide.dilation_y
            line = np.uint64((c * slide.height + y) * slide.width)
            tap = (c * slide.kernel_y + tap_y) * slide.kernel_x
            for tap_x in range(first_x, past_x):
                unit = line + np.uint64(left + tap_x * slide.dilation_x)
                units[count] = unit
                rows[count] = tap + tap_x
                count += np.uint64(active[unit])
    return np.int64(count)


@compiled
def add_pooling(given, slide, sums):
    """Add to each window the amounts that lie in it; sums are of (channel, row, column)."""
    amounts, n_units, n_out = given.amounts, given.active.shape[1], sums.shape[1]
    for b in range(given.counts.size):
        into = b * n_out * LANES
        for channel in range(slide.channels):
            for row in range(slide.rows):
                top = row * slide.stride_y - slide.padding_y
                first_y, past_y = _inside(top, 1, slide.kernel_y, slide.height)
                for column in range(slide.columns):
                    left = column * slide.stride_x - slide.padding_x
                    first_x, past_x = _inside(left, 1, slide.kernel_x, slide.width)
                    for y in range(top + first_y, top + past_y):
                        line = b * n_units + (channel * slide.height + y) * slide.width + left
                        for x in range(first_x, past_x):
                            add_vector(amounts, (line + x) * LANES, sums, into)
                    into += LANES
