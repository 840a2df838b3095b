"""Rounding parameters to the grids of their layers (spikejoule/model/quantisation.py)."""

import numba
import numpy as np

from spikejoule.core.compiling import compiled, compiled_parallel


@compiled
def _round_row(parameters, rounded, per_unit, unit, limit):
    """One row; returns how many of its parameters do not round to zero."""
    count = 0
    for k in range(parameters.size):
        value = min(max(np.rint(parameters[k] * per_unit), -limit), limit)
        rounded[k] = value * unit
        count += value != 0
    return count


@compiled
def _round_rows(first, stop, parameters, rounded, rows, grids, not_zero):
    """The rows of one chunk; see :func:`round_parameters`."""
    starts, lengths = rows.starts, rows.lengths
    per_unit, units, limits = grids.per_unit, grids.units, grids.limits
    for row in range(first, stop):
        start, end = starts[row], starts[row] + lengths[row]
        not_zero[row] = _round_row(
            parameters[start:end], rounded[start:end], per_unit[row], units[row], limits[row]
        )


@compiled_parallel
def round_parameters(parameters, rounded, rows, grids, not_zero):
    """Round every parameter to its grid: ``round(w 2^k) 2^-k``, saturated.

    Args:
        parameters: as the optimizer keeps them, real [P].
        rounded: receives what stands on the grids, real [P].
        rows: ``ParameterRows``.
        grids: ``Grids``.
        not_zero: receives the parameters of each row that do not round to zero, int64 [R].
    """
    chunks = rows.chunks
    for chunk in numba.prange(chunks.size - 1):
        _round_rows(
            np.int64(chunks[chunk]),
            np.int64(chunks[chunk + 1]),
            parameters,
            rounded,
            rows,
            grids,
            not_zero,
        )
