"""From what is given to what arrives: full connection, convolution, pooling.

Each adds for one given unit after another, in their order, so that a sum does not depend on the
batch. A sum of samples in a batch of any size is the same.
"""

from spikejoule.foundation.compiling.jit import compiled


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


@compiled
def add_convolution(given, slide, weights, planes):
    """Add what arrives through a convolution.

    Args:
        given: of units (c, y, x).
        slide: the window.
        weights: real [C_in, kernel_y, kernel_x, channels of a group of the output].
        planes: receives, real [B, rows * columns, C_out].
    """
    units, amounts, counts = given.units, given.amounts, given.counts
    plane = slide.height * slide.width
    n_channels = weights.shape[3]
    for b in range(counts.size):
        for k in range(counts[b]):
            amount, unit = amounts[b, k], units[b, k]
            channel, place = unit // plane, unit % plane
            first = channel // slide.per_group * n_channels
            y = place // slide.width + slide.padding_y
            x = place % slide.width + slide.padding_x
            for tap_y in range(slide.kernel_y):
                at_y = y - tap_y * slide.dilation_y
                if at_y < 0 or at_y % slide.stride_y != 0:
                    continue
                row = at_y // slide.stride_y
                if row >= slide.rows:
                    continue
                for tap_x in range(slide.kernel_x):
                    at_x = x - tap_x * slide.dilation_x
                    if at_x < 0 or at_x % slide.stride_x != 0:
                        continue
                    column = at_x // slide.stride_x
                    if column >= slide.columns:
                        continue
                    sums = planes[b, row * slide.columns + column, first : first + n_channels]
                    weight = weights[channel, tap_y, tap_x]
                    for j in range(n_channels):
                        sums[j] += amount * weight[j]


@compiled
def take_planes(planes, sums):
    """``sums[b, c * P + p] = planes[b, p, c]``."""
    n_places, n_channels = planes.shape[1], planes.shape[2]
    for b in range(planes.shape[0]):
        for channel in range(n_channels):
            row = sums[b, channel * n_places : (channel + 1) * n_places]
            for place in range(n_places):
                row[place] = planes[b, place, channel]


@compiled
def add_pooling(given, slide, sums):
    """Add each amount to the windows that its unit lies in, real [B, C * rows * columns]."""
    units, amounts, counts = given.units, given.amounts, given.counts
    plane = slide.height * slide.width
    for b in range(counts.size):
        for k in range(counts[b]):
            amount, unit = amounts[b, k], units[b, k]
            channel, place = unit // plane, unit % plane
            y = place // slide.width + slide.padding_y
            x = place % slide.width + slide.padding_x
            for tap_y in range(slide.kernel_y):
                at_y = y - tap_y
                if at_y < 0 or at_y % slide.stride_y != 0 or at_y // slide.stride_y >= slide.rows:
                    continue
                row = channel * slide.rows + at_y // slide.stride_y
                for tap_x in range(slide.kernel_x):
                    at_x = x - tap_x
                    if at_x < 0 or at_x % slide.stride_x != 0:
                        continue
                    column = at_x // slide.stride_x
                    if column < slide.columns:
                        sums[b, row * slide.columns + column] += amount
