"""Kernels against plain loops for blocks of every size; any number of threads."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikejoule.compiling.emit import LANES
from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.kernels import vector
from spikejoule.engine.kernels.structures import (
    RESET_TO_ZERO,
    Block,
    Layer,
    LayerForward,
    NeuronConstants,
    Spikes,
)
from spikejoule.engine.learning import make_trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.compiling.calls import compiled_call
from tests.engine import with_threads
from tests.engine.agreement import assert_spikes
from tests.tools.processes import start_python
from tests.tools.without_torch import needs_torch

# One worker for all: each would compile the double-precision kernels for itself.
pytestmark = pytest.mark.xdist_group("engines")

both_engines = pytest.mark.parametrize(
    "engine", ["event", pytest.param("dense", marks=needs_torch)]
)
# Blocks of one to five vectors, several blocks in a row, and partly filled vectors
WIDTHS = (1, 15, 16, 17, 32, 48, 64, 80, 96, 145, 209)
THREADS = (1, 2, 5, 16)


def exact(*sizes: int, **neuron: Any) -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network whose float32 potentials are exact for a few steps.

    Its weights are multiples of 1/128, and its decay is 1/2.
    """
    network = Network.of_layers(
        sizes[0], sizes[1:-1], sizes[-1], LeakyIntegrateAndFire(decay=0.5, **neuron)
    )
    generator = np.random.default_rng(sizes)
    state = {}
    for name, shape in network.parameter_shapes().items():
        unit = 32 if shape[-1] < 30 else 128
        state[name] = (generator.integers(-24, 33, shape) / unit).astype("f4")
    return network, state


class TestExactSpikes:
    """Without rounding, spikes equal the loops' even where v is the threshold."""

    @both_engines
    def test_every_width_in_small_chunks(
        self, engine: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dense = np.random.default_rng(1).integers(0, 2, (3, 8, 19))
        for width in WIDTHS:
            two_samples = 2 * width * 8
            monkeypatch.setattr(
                "spikejoule.encoding.kernels.CHUNK_BYTES", 4 * two_samples
            )
            if engine == "dense":
                monkeypatch.setattr(
                    "spikejoule.engine.dense.CHUNK_ELEMENTS", two_samples
                )
            network, state = exact(19, width, 3)
            expected = naive.run(state, dense.tolist(), naive.Neuron(1.0, 0.5))
            assert expected[0].sum() > 0
            runner = make_engine(engine, network, state)
            assert_spikes(runner.run(EventList.from_dense(dense)), expected)

    def test_the_widest_layers(self) -> None:
        network, state = exact(65_535, 2, 65_535)
        state = {name: np.zeros_like(values) for name, values in state.items()}
        state["layer1.synapses.weight"][1, 65_534] = 1.0
        state["layer2.synapses.weight"][[0, 65_534], 1] = 1.0
        dense = np.zeros((1, 2, 65_535), dtype=np.uint8)
        dense[0, 1, 65_534] = 1
        runner = make_engine("event", network, state)
        hidden, output = runner.run(EventList.from_dense(dense))
        assert hidden.sources.tolist() == [1]
        assert hidden.offsets.tolist() == [0, 0, 1]
        assert output.sources.tolist() == [0, 65_534]
        assert output.offsets.tolist() == [0, 0, 2]


@needs_torch
@pytest.mark.parametrize(
    ("surrogate", "reset"),
    [*((name, "zero") for name in SURROGATES), ("arctangent", "subtract")],
)
def test_gradients_in_single_precision(surrogate: str, reset: str) -> None:
    """Gradients equal PyTorch's in double precision, for tiles of every size."""
    dense = np.random.default_rng(3).integers(0, 2, (5, 11, 13))
    events = EventList.from_dense(dense)
    learning = LearningSettings(surrogate=surrogate, logit_scale=0.3)
    n_learning = 0
    for width, following in pairwise((*WIDTHS, 17)):
        network, state = exact(13, width, following, reset=reset)
        single = make_trainer("event", network, state, learning)
        double = make_trainer("dense", network, state, learning, dtype=np.float64)
        outcome, gradients = single.gradients(events, np.arange(5))
        exact_outcome, expected = double.gradients(events, np.arange(5))
        assert outcome.spikes == exact_outcome.spikes
        scale = max(np.abs(gradient).max() for gradient in expected.values())
        n_learning += scale > 0
        for name, gradient in expected.items():
            np.testing.assert_allclose(
                gradients[name], gradient, rtol=1e-5, atol=1e-6 * scale, err_msg=name
            )
    assert n_learning >= len(WIDTHS) - 2


def test_a_leak_on_a_grid_is_rounded_down_exactly() -> None:
    """Potentials have up to 24 bits, with which a float32 product is not exact."""
    integrate = compiled_call(vector.integrate_and_fire)
    values = np.random.default_rng(1).integers(-(2**24), 2**24, 4000 * LANES)
    neuron = NeuronConstants(
        decay=np.float32(230 / 256),
        threshold=np.float32(np.inf),
        reset=RESET_TO_ZERO,
        on_grid=1,
        unit=np.float32(1 / 64),
        per_unit=np.float32(64),
        lowest=np.float32(-np.inf),
        highest=np.float32(np.inf),
    )
    spikes = Spikes(np.zeros(1, np.uint16), np.array([0, 1, 1]))
    for block in values.reshape(-1, LANES):
        forward = LayerForward(
            n_steps=2,
            layer=Layer(1, LANES, LANES, 0, LANES, 0, 0),
            parameters=(block / 64).astype(np.float32),
            biases=np.zeros(LANES, np.float32),
            initial=np.zeros(LANES, np.float32),
            neuron=neuron,
            potentials=np.zeros(2 * LANES, np.float32),
            fired=np.zeros(2, np.uint16),
        )
        integrate(spikes, forward, Block(0, 1))
        expected = [230 * v // 256 for v in block.tolist()]
        assert (64 * forward.potentials[LANES:]).tolist() == expected


def train_with_threads(*threads: int, **environment: str) -> str:
    """Return what `tests.engine.with_threads` prints in a process of its own."""
    process = start_python(
        "-m",
        "tests.engine.with_threads",
        *map(str, threads),
        env={"PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return output


def test_same_bits_for_any_threads_and_compiled_once() -> None:
    """Also with more threads than lanes; a second process loads every kernel."""
    output = train_with_threads(*THREADS, NUMBA_NUM_THREADS=str(max(THREADS)))
    digests: dict[str, list[str]] = json.loads(output)
    for case in with_threads.CASES:
        assert len(digests[case]) == len(THREADS)
        assert len(set(digests[case])) == 1, case
    assert len({values[0] for values in digests.values()}) == len(with_threads.CASES)
    output = train_with_threads(1, NUMBA_DEBUG_CACHE="1")
    assert output.count("[cache] data loaded") >= 5
    assert "[cache] data saved" not in output
