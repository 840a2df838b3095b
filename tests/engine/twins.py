"""The engine's emitted kernels once more, as plain loops: what each computes, without LLVM.

Every function here has the name, the arguments and the order of additions of an intrinsic of
``engine/kernels/vector.py`` or ``engine/kernels/through_time.py``, and the surrogates have the
formulas of ``model/surrogates``, so the two are equal bit for bit (test_twins.py). numba compiles
them as they stand.

Two things have no name in plain numba: a multiply-add that is rounded once, and a number in the
type of another. They are the two intrinsics here, on single numbers.
"""

import math

import numba
import numpy as np
from numba.extending import intrinsic

from spikejoule.core.compiling.emit import LANES
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, RESET_TO_ZERO
from spikejoule.engine.kernels.through_time import SURROGATE_CODES


@intrinsic
def multiply_add(typing_context, a, b, c):
    """a * b + c, rounded once, in the type of `a`."""

    def codegen(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), codegen


@intrinsic
def like(typing_context, value, x):
    """`value` in the type of `x`."""

    def codegen(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], value, x)

    return x(value, x), codegen


@numba.njit
def integrate_and_fire(spikes, parameters, layer, block, neuron, n_steps, potentials, fired):
    """v[t] = decay u[t-1] + bias + weights of the spikes;  s[t] = (v[t] >= threshold);
    u[t] = 0 or v[t] - threshold where s[t], else v[t].

    On a grid decay u[t-1] is rounded down to it, and u[t] saturates.
    """
    first, width = block.column, LANES * block.vectors
    membrane = np.zeros(width, parameters.dtype)
    for t in range(n_steps):
        for j in range(width):
            bias = parameters[layer.bias_start + first + j]
            if neuron.on_grid:
                value = membrane[j] * neuron.per_unit
                lower = np.floor(value * neuron.decay)
                lower += np.floor(multiply_add(value, neuron.decay, -lower))
                membrane[j] = lower * neuron.unit + bias
            else:
                membrane[j] = multiply_add(membrane[j], neuron.decay, bias)
        for e in range(spikes.offsets[t], spikes.offsets[t + 1]):
            row = layer.weight_start + np.int64(spikes.sources[e]) * layer.stride + first
            for j in range(width):
                membrane[j] += parameters[row + j]
        out = t * layer.stride + first
        for word in range(block.vectors):
            fired[out // LANES + word] = 0
        for j in range(width):
            potentials[out + j] = membrane[j]
            if membrane[j] >= neuron.threshold:
                fired[(out + j) // LANES] |= 1 << (j % LANES)
                if neuron.reset == RESET_BY_SUBTRACTION:
                    membrane[j] -= neuron.threshold
                else:
                    membrane[j] = 0
            if neuron.on_grid:
                membrane[j] = min(max(membrane[j], neuron.lowest), neuron.highest)


@numba.njit
def accumulate_rows(gradient, start, stride, block, by_source, deltas):
    """gradient[active[k]] += deltas[steps[e]] for e from firsts[k] to firsts[k + 1]."""
    first, width = block.column, LANES * block.vectors
    for k in range(by_source.n_active):
        row = start + np.int64(by_source.active[k]) * stride + first
        for e in range(np.int64(by_source.firsts[k]), np.int64(by_source.firsts[k + 1])):
            delta = np.int64(by_source.steps[e]) * stride + first
            for j in range(width):
                gradient[row + j] += deltas[delta + j]


@numba.njit
def accumulate_narrow_rows(gradient, start, stride, vectors, spikes, n_rows, deltas):
    """gradient[source] += deltas[row] for every source of each row."""
    for row in range(n_rows):
        for e in range(spikes.offsets[row], spikes.offsets[row + 1]):
            into = start + np.int64(spikes.sources[e]) * stride
            for j in range(LANES * vectors):
                gradient[into + j] += deltas[row * stride + j]


LOG_2_HIGH = 0.693145751953125
LOG_2_LOW = LOG_2_HIGH - math.log(2)
INVERSE_LOG_2 = 1 / math.log(2)
INVERSE_FACTORIALS = tuple(1 / math.factorial(power) for power in range(14))


@numba.njit
def _exponential(x, degree, lowest):
    if x < like(lowest, x):
        return like(0.0, x)
    n = np.rint(x * like(INVERSE_LOG_2, x))
    r = multiply_add(n, like(-LOG_2_HIGH, x), x)
    r = multiply_add(n, like(LOG_2_LOW, x), r)
    total = like(INVERSE_FACTORIALS[degree], x)
    for power in range(degree - 1, -1, -1):
        total = multiply_add(total, r, like(INVERSE_FACTORIALS[power], x))
    return total * like(2.0**n, x)


@numba.njit
def exponential32(x):
    """exp(x) for x <= 0 in float32: 2^n exp(r), exp(r) by the terms up to r^7 / 7!."""
    return _exponential(x, 7, -60.0)


@numba.njit
def exponential64(x):
    """exp(x) for x <= 0 in float64: 2^n exp(r), exp(r) by the terms up to r^13 / 13!."""
    return _exponential(x, 13, -600.0)


@intrinsic
def _is_single(typing_context, x):
    def codegen(context, builder, signature, arguments):
        return context.get_constant(numba.types.boolean, x == numba.types.float32)

    return numba.types.boolean(x), codegen


@numba.njit
def exponential(x):
    """exp(x) for x <= 0, in the type of x."""
    if _is_single(x):
        return exponential32(x)
    return exponential64(x)


ARCTANGENT = SURROGATE_CODES["arctangent"]
BOXCAR = SURROGATE_CODES["boxcar"]
CONSTANT = SURROGATE_CODES["constant"]
FAST_SIGMOID = SURROGATE_CODES["fast_sigmoid"]
GAUSSIAN = SURROGATE_CODES["gaussian"]
SIGMOID = SURROGATE_CODES["sigmoid"]
TRIANGLE = SURROGATE_CODES["triangle"]


@numba.njit
def derivative(surrogate, x):
    """The surrogate derivative at x = v - threshold; the formulas are in model/surrogates."""
    code, a, b = surrogate
    zero, one = like(0.0, x), like(1.0, x)
    if code == ARCTANGENT:
        return a / multiply_add(b, x * x, one)
    if code == BOXCAR:
        return a if abs(x) < b else zero
    if code == CONSTANT:
        return a
    if code == FAST_SIGMOID:
        root = a / multiply_add(b, abs(x), one)
        return root * root
    if code == GAUSSIAN:
        return a * exponential(-(b * (x * x)))
    if code == SIGMOID:
        tail = exponential(-(b * abs(x)))
        root = one / (one + tail)
        return (a * tail) * (root * root)
    if code == TRIANGLE:
        return a * max(one - abs(x), zero)
    raise ValueError("no such surrogate")


@numba.njit
def delta_of_step(membrane, own, later, neuron, surrogate):
    """dL/dv[t] = dL/ds[t] f(v[t] - threshold) + k dL/dv[t+1], k = decay, but 0 where a spike resets
    to zero.
    """
    kept = neuron.decay
    if membrane >= neuron.threshold and neuron.reset == RESET_TO_ZERO:
        kept = like(0.0, membrane)
    return multiply_add(own, derivative(surrogate, membrane - neuron.threshold), kept * later)


@numba.njit
def membrane_deltas(
    spike_gradient, deltas, potentials, block, n_steps, neuron, surrogate, sums, sums_start
):
    """From one dL/ds of all steps to dL/dv, and its sum over the steps."""
    for j in range(block.column, block.column + LANES * block.vectors):
        later = like(0.0, neuron.decay)
        total = like(0.0, neuron.decay)
        for t in range(n_steps - 1, -1, -1):
            place = deltas.start + t * deltas.stride + j
            membrane = potentials[t * deltas.stride + j]
            later = delta_of_step(membrane, spike_gradient[j], later, neuron, surrogate)
            deltas.values[place] = later
            total += later
        sums[sums_start + j] = total


@numba.njit
def hidden_deltas(
    following,
    n_following,
    weights,
    deltas,
    potentials,
    block,
    n_steps,
    neuron,
    surrogate,
    costs,
    sums,
    sums_start,
):
    """dL/ds[t] = costs + following[t] @ weights, and through time to dL/dv, and its sum."""
    for j in range(block.column, block.column + LANES * block.vectors):
        later = like(0.0, neuron.decay)
        total = like(0.0, neuron.decay)
        for t in range(n_steps - 1, -1, -1):
            own = costs[j]
            for k in range(n_following):
                delta = following.values[following.start + t * following.stride + k]
                own = multiply_add(delta, weights[k * deltas.stride + j], own)
            membrane = potentials[t * deltas.stride + j]
            later = delta_of_step(membrane, own, later, neuron, surrogate)
            deltas.values[deltas.start + t * deltas.stride + j] = later
            total += later
        sums[sums_start + j] = total
