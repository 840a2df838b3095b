"""Gradient clipping and Adam over all parameters, in two passes over memory.

Adam: Kingma and Ba, ICLR 2015, arXiv:1412.6980, as in ``torch.optim.Adam`` (weight
decay is added to the gradient). Clipping: by the norm over all parameters, Pascanu,
Mikolov and Bengio, ICML 2013, arXiv:1211.5063, as in
``torch.nn.utils.clip_grad_norm_``.

Parameters are one flat array of rows (the weights of one source, or the biases of one
layer), each padded to whole vectors of 16. A batch is split into lanes, whose gradients
are computed apart. `gather_gradient` adds the lanes up and sums the squares for
clipping; `adam_step` clips and updates. Both skip the gradient of a row that no lane
touched in the batch, which is zero. Threads share the rows in chunks.

Under weight decay, the weights of a pixel that never fires, and their moments, shrink
until they are denormal numbers, on which arithmetic is a hundred times slower.
Gradients and moments below TINY are therefore set to zero; compared with Adam's epsilon
of 1e-8 they are negligible.

For a quantised network, `round_parameters` then rounds all parameters to the grids of
their layers (spikejoule/network/quantisation.py).

`gather_gradient` and `adam_step`, which Python calls in every batch, take plain tuples,
whose types numba looks up faster than those of named tuples.
"""

import math

import numpy as np

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.engine.kernels.structures import ParameterRows
from spikejoule.engine.learning.kernels.structures import (
    AdamArrays,
    AdamSettings,
    BatchGradient,
)

TINY = 1e-16
"""Far below Adam's epsilon; its square times 1 - beta2 is still a normal float32."""


@compiled
def _sum_of_squares(values, start, stop, sums):
    # Sixteen running sums. LLVM may not reorder additions, so a single sum would be
    # computed one element at a time; sixteen fill a vector, in a fixed order. Rows are
    # whole vectors, so none is left over. Indices are unsigned: numba checks the sign
    # of signed ones, for negative indices.
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
    """Add up the gradients of all lanes in lane 0, and sum the squares of the result.

    Args:
        chunk: number of a chunk of rows; callers pass the number of chunks
            (`compiled_parallel`).
        gradient: ``BatchGradient`` as a plain tuple. Lane 0 receives the gradient, is
            touched where any lane was, and the other lanes are cleared.
            ``squares[chunk]`` receives the sum of squares.
        rows: ``ParameterRows`` as a plain tuple.
    """
    batch = BatchGradient(*gradient)
    gradients = batch.gradients
    touched = batch.touched
    starts, lengths, chunks = ParameterRows(*rows)
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
    batch.squares[chunk] = square


@compiled
def clip_coefficient(squares, max_norm):
    """Return the factor that limits the gradient's norm; 1 if `max_norm` is 0."""
    if max_norm <= 0.0:
        return 1.0
    norm = math.sqrt(squares.sum())
    # PyTorch adds 1e-6, too.
    return min(1.0, max_norm / (norm + 1e-6))


@compiled
def _adam_row(start, stop, is_touched, arrays, settings):
    """Update the parameters of one row, ``start`` to ``stop``, and their moments."""
    parameters = arrays.parameters
    gradient = arrays.gradient
    first = arrays.first
    second = arrays.second
    tiny = settings.tiny
    # Zero of the parameters' type: a literal 0.0 is float64, and would widen the sums.
    zero = tiny - tiny
    for k in range(start, stop):
        total = settings.weight_decay * parameters[k]
        if is_touched:
            total += settings.clip * gradient[k]
            gradient[k] = 0
        total = total if abs(total) > tiny else zero
        mean = settings.beta1 * first[k] + settings.rest1 * total
        square = settings.beta2 * second[k] + settings.rest2 * total * total
        first[k] = mean if abs(mean) > tiny else zero
        second[k] = square if square > tiny * tiny else zero
        root = math.sqrt(second[k]) * settings.correction
        parameters[k] -= settings.rate * first[k] / (root + settings.epsilon)


@compiled_parallel
def adam_step(chunk, arrays, rows, settings):
    """Take one step of Adam for one chunk of rows, in place.

    The gradient and its touched rows are cleared for the next batch. Pruned parameters
    stay zero.

    Args:
        chunk: as for :func:`gather_gradient`.
        arrays: ``AdamArrays`` as a plain tuple.
        rows: ``ParameterRows`` as a plain tuple.
        settings: ``AdamSettings`` as a plain tuple.
    """
    adam = AdamArrays(*arrays)
    constants = AdamSettings(*settings)
    starts, lengths, chunks = ParameterRows(*rows)
    for row in range(chunks[chunk], chunks[chunk + 1]):
        start = np.uint64(starts[row])
        stop = np.uint64(starts[row] + lengths[row])
        _adam_row(start, stop, adam.touched[row], adam, constants)
        if adam.kept.size > 0:
            for k in range(start, stop):
                adam.parameters[k] *= adam.kept[k]
        adam.touched[row] = False


@compiled
def _round_row(parameters, rounded, per_unit, unit, limit):
    """Round one row; return how many of its parameters do not round to zero."""
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
        chunk: as for :func:`gather_gradient`.
        parameters: not rounded, as the optimizer keeps them, real [P].
        rounded: receives the parameters on their grids, real [P].
        rows: ``ParameterRows``.
        grids: ``Grids``.
        not_zero: receives the number of parameters in each row that do not round to
            zero, int64 [R].
    """
    starts = rows.starts
    lengths = rows.lengths
    chunks = rows.chunks
    per_unit = grids.per_unit
    units = grids.units
    limits = grids.limits
    for row in range(chunks[chunk], chunks[chunk + 1]):
        start = starts[row]
        stop = starts[row] + lengths[row]
        not_zero[row] = _round_row(
            parameters[start:stop],
            rounded[start:stop],
            per_unit[row],
            units[row],
            limits[row],
        )
