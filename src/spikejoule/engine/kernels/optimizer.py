"""Gradient clipping and Adam over flat parameters, in one pass over memory each.

Adam: Kingma and Ba, ICLR 2015, arXiv:1412.6980, in the form of ``torch.optim.Adam``
(weight decay is added to the gradient). Clipping: by the norm over all parameters,
Pascanu, Mikolov and Bengio, ICML 2013, arXiv:1211.5063, in the form of
``torch.nn.utils.clip_grad_norm_``.

Parameters are handled in rows (the weights of one source, or one bias vector). A row
that no lane touched in a batch has a gradient of zero that is never read.

The weights of a pixel that never fires shrink under weight decay, and their moments
with them, until they are denormal numbers, on which arithmetic is a hundred times
slower. Gradients and moments below TINY are therefore taken as zero: next to Adam's
epsilon of 1e-8 they change no step.

Parameters of a quantised network are then rounded to the grids of their layers
(spikejoule/network/quantisation.py).
"""

import math

import numpy as np

from spikejoule.compiling import compiled, compiled_parallel

TINY = 1e-16
"""Far below Adam's epsilon; its square times 1 - beta2 is still a normal float32."""


@compiled
def _sum_of_squares(values, start, stop, sums):
    # Sixteen running sums, so that the loop runs in vector registers and in a fixed
    # order.
    sums[:] = 0
    for first in range(start, stop, np.uint64(16)):
        for k in range(np.uint64(16)):
            sums[k] += values[first + k] * values[first + k]
    total = 0.0
    for k in range(np.uint64(16)):
        total += sums[k]
    return total


@compiled_parallel
def gather_gradient(chunk, gradient, rows):
    """Sum the rows of one chunk over all lanes into lane 0, and the squares of the sum.

    Args:
        chunk: of the rows.
        gradient: ``BatchGradient``; the touched rows of lane 0 become the union of all
            lanes', and ``squares[chunk]`` receives.
        rows: ``ParameterRows``.
    """
    gradients = gradient.gradients
    touched = gradient.touched
    starts = rows.starts
    lengths = rows.lengths
    chunks = rows.chunks
    lanes = np.uint64(gradients.shape[0])
    total = gradients[0]
    sums = np.empty(16, gradients.dtype)
    square = 0.0
    for row in range(np.uint64(chunks[chunk]), np.uint64(chunks[chunk + 1])):
        start = np.uint64(starts[row])
        stop = np.uint64(starts[row] + lengths[row])
        any_lane = touched[0, row]
        for lane in range(np.uint64(1), lanes):
            if touched[lane, row]:
                any_lane = True
                for k in range(start, stop):
                    total[k] += gradients[lane, k]
                    gradients[lane, k] = 0
                touched[lane, row] = False
        touched[0, row] = any_lane
        if any_lane:
            square += _sum_of_squares(total, start, stop, sums)
    gradient.squares[chunk] = square


@compiled
def clip_coefficient(squares, max_norm):
    """Factor that brings the norm of the gradient to at most `max_norm`; 1 where that
    is 0.
    """
    if max_norm <= 0.0:
        return 1.0
    norm = math.sqrt(squares.sum())
    return min(1.0, max_norm / (norm + 1e-6))


@compiled
def _adam_row(start, stop, weights, gradient, touched, first, second, settings):
    tiny = settings.tiny
    zero = tiny - tiny
    for k in range(start, stop):
        slope = settings.weight_decay * weights[k]
        if touched:
            slope += settings.clip * gradient[k]
            gradient[k] = 0
        slope = slope if abs(slope) > tiny else zero
        mean = settings.beta1 * first[k] + settings.rest1 * slope
        square = settings.beta2 * second[k] + settings.rest2 * slope * slope
        first[k] = mean if abs(mean) > tiny else zero
        second[k] = square if square > tiny * tiny else zero
        root = math.sqrt(second[k]) * settings.correction
        weights[k] -= settings.rate * first[k] / (root + settings.epsilon)


@compiled_parallel
def adam_step(chunk, parameters, gradient, touched, moments, rows, settings, kept):
    """One step of Adam in place; `gradient` and `touched` are cleared for the next
    batch.

    Args:
        chunk: of the rows.
        parameters: real [P].
        gradient: of the batch, real [P].
        touched: rows in which it is not zero, bool [R].
        moments, rows, settings: ``Moments``, ``ParameterRows`` and ``AdamSettings``.
        kept: 1 for each parameter that is kept and 0 for a pruned one, which stays
            zero; of size 0 where nothing is pruned.
    """
    first = moments.first
    second = moments.second
    starts = rows.starts
    lengths = rows.lengths
    chunks = rows.chunks
    for row in range(chunks[chunk], chunks[chunk + 1]):
        start = np.uint64(starts[row])
        stop = np.uint64(starts[row] + lengths[row])
        _adam_row(
            start, stop, parameters, gradient, touched[row], first, second, settings
        )
        if kept.size > 0:
            for k in range(start, stop):
                parameters[k] *= kept[k]
        touched[row] = False


@compiled
def _round_row(parameters, rounded, per_unit, unit, limit):
    """One row; returns how many of its parameters do not round to zero."""
    count = 0
    for k in range(parameters.size):
        value = min(max(np.rint(parameters[k] * per_unit), -limit), limit)
        rounded[k] = value * unit
        count += value != 0
    return count


@compiled_parallel
def round_parameters(chunk, parameters, rounded, rows, grids, not_zero):
    """Round every parameter to its grid: ``round(w 2^k) 2^-k``, saturated.

    Args:
        chunk: of the rows.
        parameters: as the optimizer keeps them, real [P].
        rounded: receives what stands on the grids, real [P].
        rows: ``ParameterRows``.
        grids: ``Grids``.
        not_zero: receives the parameters of each row that do not round to zero, int64
            [R].
    """
    starts = rows.starts
    lengths = rows.lengths
    chunks = rows.chunks
    per_unit = grids.per_unit
    units = grids.units
    limits = grids.limits
    for row in range(chunks[chunk], chunks[chunk + 1]):
        start = starts[row]
        end = starts[row] + lengths[row]
        not_zero[row] = _round_row(
            parameters[start:end],
            rounded[start:end],
            per_unit[row],
            units[row],
            limits[row],
        )
