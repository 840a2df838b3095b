"""The emitted kernels of foreign graphs against plain loops: equal bit for bit.

Each sum takes its units in the order of the loops; a multiply-add is rounded once in both.
"""

import functools
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.core.compiling.emit import LANES
from spikejoule.graphs.kernels import synapses, vectors
from spikejoule.graphs.kernels.lists import Given, Membrane, take_nonzero
from tests.engine.twins import like, multiply_add

FLOATS = pytest.mark.parametrize("kind", [np.float32, np.float64])
FIRST = 3 * LANES


@numba.njit
def add_products(amounts, first, units, rows, n_rows, weights, column, stride, n_targets, sums,
                 place, apart):  # fmt: skip
    for k in range(n_targets):
        for lane in range(LANES):
            total = like(0.0, sums[0])
            for e in range(n_rows):
                weight = weights[column + rows[e] * stride + k]
                total = multiply_add(weight, amounts[first + units[e] * LANES + lane], total)
            sums[place + k * apart + lane] += total


@numba.njit
def sum_rows(amounts, first, units, n_units, weights, column, stride, n_vectors, out, place):
    for k in range(n_vectors * LANES):
        total = like(0.0, out[0])
        for e in range(n_units):
            weight = weights[column + units[e] * stride + k]
            total = multiply_add(weight, amounts[first + units[e] * LANES], total)
        out[place + k] = total


@numba.njit
def add_transposed(rows, first, apart, sums, place):
    for k in range(LANES):
        for lane in range(LANES):
            sums[place + k * LANES + lane] += rows[first + lane * apart + k]


@numba.njit
def add_vector(values, first, sums, place):
    for lane in range(LANES):
        sums[place + lane] += values[first + lane]


@numba.njit
def count_vector(values, first, weight, totals, place):
    any_lane = False
    for lane in range(LANES):
        if values[first + lane] != 0:
            totals[place + lane] += weight
            any_lane = True
    return any_lane


@numba.njit
def follow_vectors(keep, gain, arriving, current, first, n_units):
    for unit in range(n_units):
        for at in range(first + unit * LANES, first + (unit + 1) * LANES):
            current[at] = multiply_add(keep[unit], current[at], gain[unit] * arriving[at])


@numba.njit
def fire_vectors(membrane, subtracts, current, potential, amounts, active, totals, first, total_at,
                 n_units):  # fmt: skip
    for unit in range(n_units):
        active[first // LANES + unit] = 0
        for lane in range(LANES):
            at = first + unit * LANES + lane
            kept = multiply_add(membrane.keep[unit], potential[at], membrane.drive[unit])
            value = multiply_add(membrane.gain[unit], current[at], kept)
            amounts[at] = 0
            if value >= membrane.limit[unit]:
                amounts[at] = 1
                active[first // LANES + unit] = 1
                totals[total_at + lane] += 1
                value = value - membrane.threshold[unit] if subtracts else membrane.reset[unit]
            potential[at] = value


TWINS = {
    twin.__name__: twin
    for twin in (
        add_products, sum_rows, add_transposed, add_vector, count_vector, follow_vectors,
        fire_vectors,
    )
}  # fmt: skip


@functools.cache
def emitted(name: str) -> Any:
    """A compiled call of an intrinsic, as the kernels make it."""
    kernel = getattr(vectors, name)
    return numba.njit(lambda *arguments: kernel(*arguments))


def assert_same(name: str, *arguments: Any) -> None:
    """Run both on copies of the arguments; every array must hold the same bits afterwards."""
    copies = [
        [of.copy() if isinstance(of, np.ndarray) else of for of in arguments] for _ in range(2)
    ]
    assert emitted(name)(*copies[0]) == TWINS[name](*copies[1])
    for found, expected in zip(*copies, strict=True):
        if isinstance(found, np.ndarray):
            assert found.tobytes() == expected.tobytes()


def numbers(kind: type, *shape: int, zeros: float = 0.0) -> Any:
    generator = np.random.default_rng(list(shape))
    values = generator.normal(0, 1, shape).astype(kind)
    values[generator.random(shape) < zeros] = 0
    return values


def test_every_intrinsic_has_a_twin() -> None:
    kinds = type(vectors.add_vector)
    assert {name for name, of in vars(vectors).items() if type(of) is kinds} == set(TWINS)


@FLOATS
@pytest.mark.parametrize("n_units", [0, 1, 9])
class TestProducts:
    def test_every_number_of_targets(self, kind: type, n_units: int) -> None:
        units = np.array([0, 2, 3, 4, 7, 8, 9, 11, 13], np.int32)
        rows = units[::-1].copy()
        amounts, weights = numbers(kind, FIRST + 14 * LANES, zeros=0.5), numbers(kind, 5 + 14 * 20)
        for size in vectors.TARGETS:
            for apart in (LANES, 3 * LANES):
                sums = numbers(kind, FIRST + 8 * apart)
                assert_same("add_products", amounts, FIRST, units, rows, n_units, weights, 5, 20,
                            size, sums, FIRST, apart)  # fmt: skip

    def test_every_number_of_vectors(self, kind: type, n_units: int) -> None:
        units = np.array([0, 2, 3, 4, 7, 8, 9, 11, 13], np.int32)
        amounts, weights = numbers(kind, 7 + 14 * LANES, zeros=0.5), numbers(kind, 5 + 14 * 70)
        for size in range(1, vectors.MOST_VECTORS + 1):
            assert_same("sum_rows", amounts, 7, units, n_units, weights, 5, 70, size,
                        numbers(kind, 3 + 64), 3)  # fmt: skip


@FLOATS
class TestVectors:
    def test_additions_and_counts(self, kind: type) -> None:
        values, sums = numbers(kind, 40, zeros=0.5), numbers(kind, 30)
        assert_same("add_vector", values, 5, sums, 9)
        totals = np.arange(30, dtype=np.int64)
        assert_same("count_vector", values, 5, 123, totals, 9)
        assert_same("count_vector", np.zeros(40, kind), 5, 123, totals, 9)
        rows = numbers(kind, 4 + LANES * 21)
        assert_same("add_transposed", rows, 4, 21, numbers(kind, 6 + LANES * LANES), 6)

    def test_currents(self, kind: type) -> None:
        constants = numbers(kind, 2, 5)
        arriving, current = numbers(kind, FIRST + 5 * LANES), numbers(kind, FIRST + 6 * LANES)
        assert_same("follow_vectors", *constants, arriving, current, FIRST, 5)

    @pytest.mark.parametrize("subtracts", [False, True])
    def test_neurons(self, kind: type, subtracts: bool) -> None:
        n_units, size = 6, FIRST + 7 * LANES
        membrane = Membrane(*numbers(kind, 6, n_units))
        membrane.keep[0], membrane.gain[0], membrane.drive[0] = 1, 0, 0
        potential = numbers(kind, size + 1)[1:].copy()
        potential[FIRST : FIRST + 4] = membrane.limit[0]  # fires at the limit itself
        membrane.limit[1] = 1e30  # none of its lanes fires
        assert_same(
            "fire_vectors", membrane, subtracts, numbers(kind, size), potential,
            np.full(size, 7, kind), np.full(3 + 7, 7, np.uint8), np.arange(20, dtype=np.int64),
            FIRST, 2, n_units,
        )  # fmt: skip


@FLOATS
@pytest.mark.parametrize("density", [0.0, 0.01, 0.1, 0.6])
def test_few_and_many_spikes_take_two_ways_to_the_same_sums(kind: type, density: float) -> None:
    """A sample alone takes rows of weights, sixteen at once may not: no bit depends on it."""
    n_in, n_out = 90, 83
    spikes = np.random.default_rng(3).random((n_in, LANES)) < density
    weights = numbers(kind, n_in, n_out)

    def sums_of(amounts: Any) -> Any:
        given = Given(
            np.ascontiguousarray(amounts, kind)[None], np.zeros((1, n_in), np.uint8),
            np.zeros((1, n_in + 1), np.int32), np.zeros(1, np.int64),
            np.zeros((1, LANES), np.int64),
        )  # fmt: skip
        take_nonzero(given)
        sums = np.zeros((1, n_out, LANES), kind)
        synapses.add_dense(given, weights, sums)
        return sums[0]

    together = sums_of(spikes)
    for lane in range(LANES):
        alone = np.zeros_like(spikes)
        alone[:, lane] = spikes[:, lane]
        assert sums_of(alone)[:, lane].tobytes() == together[:, lane].tobytes()
    expected = weights.T.astype(np.float64) @ spikes
    assert np.allclose(together, expected, rtol=0, atol=1e-4 if kind is np.float32 else 1e-12)
