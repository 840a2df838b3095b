"""From what is given to what arrives: full connection, convolution, pooling.

Each adds for one given unit after another, in their order, so that a sum does not depend on the
batch. A sum of samples in a batch of any size is the same.
"""

import numpy as np

from spikejoule.foundation.compiling.jit import compiled, compiled_inline


@compiled
def add_dense(given, weights, sums):
    """``sums[b] += amount * weights[unit]``; weights are real [n_in, n_out], sums [B, n_out]."""
    units, amounts, counts = given.units, given.amounts, given.counts
    for b in range(counts.size):
        row = sums[b]
        for k in range(counts[b]):
            amount, weight = amounts[b, k], weights[units[b, k]]
            for j in range(row.size):
                row[j] += amount * weight[j]


@compiled_inline
def _places(at, reach, stride, size):
    """The places (first, past the last) of a window of that reach that an input lies under."""
    if stride == 1:
        return max(0, at - reach + 1), min(size, at + 1)
    # Without signs: these divide sooner, and a division takes longer than the rest of a tap.
    step = np.uint32(stride)
    first = 0 if at < reach else np.int64(np.uint32(at - reach) // step) + 1
    return first, min(size, np.int64(np.uint32(at) // step) + 1)


@compiled_inline
def _channel_and_place(unit, slide):
    """Channel, row and column of a unit (c, y, x)."""
    plane, width = np.uint32(slide.height * slide.width), np.uint32(slide.width)
    number = np.uint32(unit)
    channel = number // plane
    place = number - channel * plane
    y = place // width
    return np.int64(channel), np.int64(y), np.int64(place - y * width)


@compiled
def add_convolution(given, slide, weights, planes):
    """Add what arrives through a convolution.

    Args:
        given: of units (c, y, x).
        slide: the window.
        weights: real, flat [C_in * kernel_y * kernel_x * channels of a group of the output], each
            row of the kernel from its last column to its first: the columns of the output that an
            input reaches use them in this order.
        planes: receives, real [B, rows * columns * C_out].
    """
    units, amounts, counts = given.units, given.amounts, given.counts
    taps = slide.kernel_y * slide.kernel_x
    reach_y = (slide.kernel_y - 1) * slide.dilation_y + 1
    reach_x = (slide.kernel_x - 1) * slide.dilation_x + 1
    all_channels = planes.shape[1] // (slide.rows * slide.columns)
    n_channels = weights.size // (slide.channels * taps)
    # What neighbouring columns of the output use lies side by side then.
    is_run = slide.stride_x == 1 and slide.dilation_x == 1 and n_channels == all_channels
    last = slide.kernel_x - 1
    for b in range(counts.size):
        sums = planes[b]
        for k in range(counts[b]):
            amount = amounts[b, k]
            channel, y, x = _channel_and_place(units[b, k], slide)
            first_channel = 0
            if n_channels != all_channels:
                first_channel = channel // slide.per_group * n_channels
            y += slide.padding_y
            x += slide.padding_x
            top, bottom = _places(y, reach_y, slide.stride_y, slide.rows)
            left, right = _places(x, reach_x, slide.stride_x, slide.columns)
            for row in range(top, bottom):
                down = y - row * slide.stride_y
                if slide.dilation_y != 1:
                    if down % slide.dilation_y != 0:
                        continue
                    down //= slide.dilation_y
                tap_y = channel * slide.kernel_y + down
                if is_run:
                    source = np.uint64((tap_y * slide.kernel_x + last - x + left) * n_channels)
                    into = np.uint64((row * slide.columns + left) * all_channels)
                    for j in range(np.uint64(max(right - left, 0) * n_channels)):
                        sums[into + j] += amount * weights[source + j]
                    continue
                for column in range(left, right):
                    along = x - column * slide.stride_x
                    if slide.dilation_x != 1:
                        if along % slide.dilation_x != 0:
                            continue
                        along //= slide.dilation_x
                    tap = tap_y * slide.kernel_x + last - along
                    source = np.uint64(tap * n_channels)
                    target = (row * slide.columns + column) * all_channels + first_channel
                    into = np.uint64(target)
                    for j in range(np.uint64(n_channels)):
                        sums[into + j] += amount * weights[source + j]


@compiled
def take_planes(planes, n_channels, sums):
    """``sums[b, c * P + p] = planes[b, p * C + c]`` for C channels and P places."""
    n_places = planes.shape[1] // n_channels
    for b in range(planes.shape[0]):
        for channel in range(n_channels):
            row = sums[b, channel * n_places : (channel + 1) * n_places]
            for place in range(n_places):
                row[place] = planes[b, place * n_channels + channel]


@compiled
def add_pooling(given, slide, sums):
    """Add each amount to the windows that its unit lies in, real [B, C * rows * columns]."""
    units, amounts, counts = given.units, given.amounts, given.counts
    for b in range(counts.size):
        row_sums = sums[b]
        for k in range(counts[b]):
            amount = amounts[b, k]
            channel, y, x = _channel_and_place(units[b, k], slide)
            y += slide.padding_y
            x += slide.padding_x
            top, bottom = _places(y, slide.kernel_y, slide.stride_y, slide.rows)
            left, right = _places(x, slide.kernel_x, slide.stride_x, slide.columns)
            for row in range(top, bottom):
                start = (channel * slide.rows + row) * slide.columns
                for column in range(left, right):
                    row_sums[start + column] += amount
