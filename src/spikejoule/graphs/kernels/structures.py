"""What the kernels of foreign networks receive, by name.

Samples go sixteen abreast: an array of what n units have is real [B, n, LANES], its last axis being
the samples of one of B blocks, so that a vector holds what a unit has in all of them. "Real" is
float32 or float64.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]


class Given(NamedTuple):
    """What the units of a node give in a step, and which of them give something to any sample.

    Attributes:
        amounts: real [B, n, LANES]; zeros and ones for spikes.
        active: 1 for a unit that gives something to any sample of the block, uint8 [B, n].
        units: those that do, ascending, the first ``counts[b]`` of a row; int32 [B, n + 1].
        counts: int64 [B].
        totals: units that gave something in all steps so far, by sample, int64 [B, LANES].
    """

    amounts: Array
    active: Array
    units: Array
    counts: Array
    totals: Array


class Slide(NamedTuple):
    """How a window slides over (C, H, W), see graphs/windows.py; all are int64.

    Attributes:
        height, width: H, W of the input.
        rows, columns: places of the window.
        kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x: of it.
        channels: C.
        per_group: channels of the input that see each other.
    """

    height: int
    width: int
    rows: int
    columns: int
    kernel_y: int
    kernel_x: int
    stride_y: int
    stride_x: int
    padding_y: int
    padding_x: int
    dilation_y: int
    dilation_x: int
    channels: int
    per_group: int


class Membrane(NamedTuple):
    """Constants of neurons with a potential, real [n] each.

    Attributes:
        keep: share of the potential that is left after a step.
        gain: of the current.
        drive: what is added in every step.
        threshold: what a reset by subtraction takes away.
        limit: the least potential of a spike: the threshold, or the number above it.
        reset: potential after it.
    """

    keep: Array
    gain: Array
    drive: Array
    threshold: Array
    limit: Array
    reset: Array
