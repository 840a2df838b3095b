"""The emitted kernels against plain loops, the engine's against their twins: equal bit for bit.

No tolerance is needed: an emitted kernel computes each column by itself, in the order of the loops,
whatever the vectors; a multiply-add is rounded once in both.
"""

import math
from copy import deepcopy
from typing import Any

import numba
import numpy as np
import pytest
from numba.extending import intrinsic

from spikejoule.core.compiling import bits
from spikejoule.core.compiling.emit import LANES, Lanes, broadcast
from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.kernels import through_time, vector
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    Block,
    BySource,
    Layer,
    Neuron,
    Rows,
    Spikes,
    Surrogate,
)
from spikejoule.engine.kernels.through_time import SURROGATE_CODES
from spikejoule.model.surrogates import SURROGATES
from tests.engine import twins

FLOATS = pytest.mark.parametrize("kind", [np.float32, np.float64])
RESETS = pytest.mark.parametrize("reset", [RESET_TO_ZERO, RESET_BY_SUBTRACTION])
DENSITIES = pytest.mark.parametrize("density", [0.0, 0.02, 0.4, 1.0])


def emitted(of: Any) -> Any:
    """Compile a call of an intrinsic, as the kernels make it."""

    @numba.njit
    def call(*arguments: Any) -> Any:
        return of(*arguments)

    return call


integrate_and_fire = emitted(vector.integrate_and_fire)
accumulate_rows = emitted(vector.accumulate_rows)
accumulate_narrow_rows = emitted(vector.accumulate_narrow_rows)
list_set_bits = emitted(bits.list_set_bits)
list_at_least = emitted(bits.list_at_least)
lowest_set_bit = emitted(bits.lowest_set_bit)
population_count = emitted(bits.population_count)
membrane_deltas = emitted(through_time.membrane_deltas)
hidden_deltas = emitted(through_time.hidden_deltas)


def assert_same(kernel: Any, twin: Any, *arguments: Any) -> list[np.ndarray]:
    """Run both on copies of the arguments; every array must hold the same bits afterwards."""

    def arrays(value: Any) -> list[np.ndarray]:
        if isinstance(value, np.ndarray):
            return [value]
        return [a for part in value for a in arrays(part)] if isinstance(value, tuple) else []

    ours, theirs = deepcopy(arguments), deepcopy(arguments)
    kernel(*ours)
    twin(*theirs)
    for found, expected in zip(arrays(ours), arrays(theirs), strict=True):
        assert found.tobytes() == expected.tobytes()
    return arrays(ours)


def spikes_of(generator: np.random.Generator, n_rows: int, n_units: int, density: float) -> Spikes:
    """Random spikes whose offsets do not begin at 0, as those of a later sample."""
    dense = (generator.random((1, n_rows + 1, n_units)) < density).astype(np.uint8)
    events = EventList.from_dense(dense)
    return Spikes(events.sources, events.offsets[1:].copy())


def neuron_of(kind: type, reset: int = RESET_TO_ZERO) -> Neuron:
    return Neuron(kind(0.9), kind(1.0), reset, 0, kind(0), kind(0), kind(0), kind(0))


def neuron_on_grid(kind: type, reset: int) -> Neuron:
    """In units of 1/64, with a range that potentials leave."""
    bounds = kind(-1.5), kind(0.75)
    return Neuron(kind(230 / 256), kind(1.0), reset, 1, kind(1 / 64), kind(64), *bounds)


class TestForward:
    @FLOATS
    @RESETS
    @DENSITIES
    @pytest.mark.parametrize("on_grid", [False, True])
    @pytest.mark.parametrize("vectors", range(1, vector.MAX_BLOCK + 1))
    def test_every_block(
        self, kind: type, reset: int, density: float, vectors: int, on_grid: bool
    ) -> None:
        n_sources, n_steps, stride = 23, 9, LANES * (vectors + 2)
        generator = np.random.default_rng([vectors, int(100 * density)])
        parameters = generator.normal(0.05, 0.4, 7 + (n_sources + 1) * stride).astype(kind)
        if on_grid:
            parameters = np.rint(64 * parameters) / kind(64)
        neuron = (neuron_on_grid if on_grid else neuron_of)(kind, reset)
        layer = Layer(n_sources, stride - 3, stride, 7, 7 + n_sources * stride, 0, 0)
        spikes = spikes_of(generator, n_steps, n_sources, density)
        potentials = np.full(n_steps * stride, -7, kind)
        fired = np.zeros(n_steps * stride // LANES, np.uint16)
        out = assert_same(
            integrate_and_fire, twins.integrate_and_fire, spikes, parameters, layer,
            Block(LANES, vectors), neuron, n_steps, potentials, fired,
        )  # fmt: skip
        potentials, fired = (array.reshape(n_steps, -1) for array in out[-2:])
        assert (potentials[:, :LANES] == -7).all()
        assert (potentials[:, LANES * (vectors + 1) :] == -7).all()
        assert not fired[:, 0].any()
        assert not fired[:, -1].any()
        if on_grid:
            assert np.array_equal(64 * potentials, np.floor(64 * potentials))
            assert density < 0.4 or potentials.max() > 1 + neuron.highest

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_a_leak_is_rounded_down_exactly(self, sign: int) -> None:
        """Up to 24 bits, where a product in float32 is not exact any more."""
        values = sign * np.random.default_rng(1).integers(0, 2**24, 4000 * LANES)
        neuron = neuron_on_grid(np.float32, RESET_TO_ZERO)._replace(
            threshold=np.float32(np.inf), lowest=np.float32(-np.inf), highest=np.float32(np.inf)
        )
        spikes = Spikes(np.zeros(1, np.uint16), np.array([0, 1, 1]))
        layer = Layer(1, LANES, LANES, 0, LANES, 0, 0)
        for block in values.reshape(-1, LANES):
            parameters = np.concatenate([block / 64, np.zeros(LANES)]).astype(np.float32)
            potentials = np.zeros(2 * LANES, np.float32)
            integrate_and_fire(
                spikes, parameters, layer, Block(0, 1), neuron, 2, potentials,
                np.zeros(2, np.uint16),
            )  # fmt: skip
            assert (64 * potentials[LANES:]).tolist() == [230 * v // 256 for v in block.tolist()]

    @pytest.mark.parametrize("bit", [0, 1, 15, 16, 31, 62, 63])
    def test_set_bits(self, bit: int) -> None:
        for number in (1 << bit, (1 << 63) | (1 << bit), ((1 << 64) - 1) >> bit << bit):
            word = np.uint64(number)
            assert lowest_set_bit(word) == bit
            assert population_count(word) == number.bit_count()
        assert (lowest_set_bit(np.uint64(0)), population_count(np.uint64(0))) == (64, 0)


class TestLists:
    """As this machine lists them, and as those do that cannot pack a vector."""

    @pytest.mark.parametrize("name", ["uint16", "uint32"])
    @pytest.mark.parametrize("listing", [list_set_bits, numba.njit(bits.list_bit_by_bit)])
    @DENSITIES
    def test_every_number_of_words(self, density: float, listing: Any, name: str) -> None:
        for n_words in range(1, 10):
            generator = np.random.default_rng(n_words)
            is_set = generator.random((2 + n_words, LANES)) < density
            words = (is_set << np.arange(LANES)).sum(axis=1).astype(np.uint16)
            found = np.full(3 + LANES * n_words + SPARE_SPIKES, 7).astype(name)
            end = listing(words, 2, n_words, found, 3)
            assert found[:end].tolist() == [7, 7, 7, *np.flatnonzero(is_set[2:])]

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    @pytest.mark.parametrize("listing", [list_at_least, numba.njit(bits.list_one_by_one)])
    def test_values_from_a_bound_on(self, listing: Any, kind: type) -> None:
        beyond = np.iinfo(kind).max + 1
        for n_values in (0, 1, 31, 32, 33, 63, 64, 100):
            values = np.random.default_rng(n_values).integers(0, beyond, n_values).astype(kind)
            for least in (0, 1, beyond // 3, beyond - 1, beyond):
                found = np.zeros(n_values + SPARE_SPIKES, np.uint16)
                count = listing(values, n_values, least, found)
                assert found[:count].tolist() == np.flatnonzero(values >= least).tolist()


class TestWeightGradients:
    @FLOATS
    @DENSITIES
    @pytest.mark.parametrize("vectors", range(1, vector.MAX_BLOCK + 1))
    def test_rows_by_source(self, kind: type, density: float, vectors: int) -> None:
        n_sources, n_rows, stride = 21, 11, LANES * (vectors + 2)
        generator = np.random.default_rng([vectors, int(100 * density)])
        fires = generator.random((n_sources, n_rows)) < density
        active = np.flatnonzero(fires.any(axis=1))
        counts = fires[active].sum(axis=1)
        by_source = BySource(
            active.astype(np.uint32),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32),
            np.nonzero(fires)[1].astype(np.uint32),
            active.size,
        )
        gradient = generator.normal(size=5 + n_sources * stride).astype(kind)
        deltas = generator.normal(size=n_rows * stride).astype(kind)
        out = assert_same(
            accumulate_rows, twins.accumulate_rows, gradient, 5, stride, Block(LANES, vectors),
            by_source, deltas,
        )  # fmt: skip
        changed = (out[0] != gradient)[5:].reshape(n_sources, stride)
        assert changed[active, LANES:-LANES].all()
        changed[active, LANES:-LANES] = False
        assert not changed.any()

    @FLOATS
    @DENSITIES
    @pytest.mark.parametrize("vectors", range(1, vector.NARROW + 1))
    def test_narrow_rows(self, kind: type, density: float, vectors: int) -> None:
        n_sources, n_rows, stride = 33, 12, LANES * vectors
        generator = np.random.default_rng([vectors, int(100 * density)])
        spikes = spikes_of(generator, n_rows, n_sources, density)
        gradient = generator.normal(size=3 + n_sources * stride).astype(kind)
        deltas = generator.normal(size=n_rows * stride).astype(kind)
        assert_same(
            accumulate_narrow_rows, twins.accumulate_narrow_rows, gradient, 3, stride, vectors,
            spikes, n_rows, deltas,
        )  # fmt: skip


def surrogate_of(name: str, kind: type) -> Surrogate:
    a, b = SURROGATES[name]().constants()
    return Surrogate(SURROGATE_CODES[name], kind(a), kind(b))


@pytest.mark.parametrize("name", list(SURROGATES))
@FLOATS
@RESETS
class TestThroughTime:
    def test_every_block(self, kind: type, reset: int, name: str) -> None:
        for n_steps in (1, 8):
            for vectors in range(1, through_time.MAX_DELTA_BLOCK + 1):
                stride = LANES * (vectors + 1)
                generator = np.random.default_rng([vectors, n_steps])
                gradient = generator.normal(size=stride).astype(kind)
                deltas = np.zeros(4 + n_steps * stride, kind)
                potentials = generator.normal(0.8, 0.8, n_steps * stride).astype(kind)
                potentials[::7] = 1.0
                sums = generator.normal(size=2 + stride).astype(kind)
                assert_same(
                    membrane_deltas, twins.membrane_deltas, gradient, Rows(deltas, 4, stride),
                    potentials, Block(LANES, vectors), n_steps, neuron_of(kind, reset),
                    surrogate_of(name, kind), sums, 2,
                )  # fmt: skip

    @pytest.mark.parametrize("in_place", [False, True])
    def test_every_tile(self, kind: type, reset: int, name: str, in_place: bool) -> None:
        for n_following, n_steps in ((1, 1), (10, 5), (17, 13)):
            for vectors in through_time.TILE_VECTORS:
                stride, next_stride = LANES * (vectors + 1), LANES * 2
                generator = np.random.default_rng([vectors, n_following])
                following = generator.normal(size=6 + n_steps * next_stride).astype(kind)
                weights = generator.normal(size=n_following * stride).astype(kind)
                potentials = generator.normal(0.8, 0.8, n_steps * stride).astype(kind)
                potentials[::7] = 1.0
                costs, sums = generator.normal(size=(2, 2 + stride)).astype(kind)
                deltas = Rows(np.zeros(3 + n_steps * stride, kind), 3, stride)
                if in_place:
                    deltas = Rows(potentials, 0, stride)
                assert_same(
                    hidden_deltas, twins.hidden_deltas, Rows(following, 6, next_stride),
                    n_following, weights, deltas, potentials, Block(LANES, vectors), n_steps,
                    neuron_of(kind, reset), surrogate_of(name, kind), costs, sums, 2,
                )  # fmt: skip


@intrinsic
def emitted_exponential(typing_context: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x = broadcast(builder, arguments[0])
        value = Lanes(builder, x.type).exponential(x)
        return builder.extract_element(value, numba.core.cgutils.intp_t(3))

    return x(x), codegen


exponential = emitted(emitted_exponential)


class TestExponentials:
    @FLOATS
    def test_exponential(self, kind: type) -> None:
        edges = [0.0, -0.0, -1e-30, -60.0, -60.1, -600.0, -600.1, -np.inf]
        values = np.concatenate([edges, -(np.random.default_rng(1).random(500) ** 4) * 61])
        epsilon = float(np.finfo(kind).eps)
        for x in values.astype(kind):
            found, expected = exponential(x), twins.exponential(x)
            assert kind(found).tobytes() == kind(expected).tobytes()
            if x >= (-60 if kind is np.float32 else -600):
                assert found == pytest.approx(math.exp(x), rel=4 * epsilon)
