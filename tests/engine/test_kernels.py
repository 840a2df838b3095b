"""Kernels: exact against plain loops for every size of a block, the same bits for any
threads.
"""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.compiling import bits
from spikejoule.compiling.emit import LANES
from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import SPARE_SPIKES
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
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.engine import with_threads
from tests.engine.agreement import assert_spikes
from tests.tools.processes import start_python
from tests.tools.without_torch import needs_torch

# One worker for all: each would compile the kernels for double precision for itself.
pytestmark = pytest.mark.xdist_group("engines")

both_engines = pytest.mark.parametrize(
    "engine", ["event", pytest.param("dense", marks=needs_torch)]
)
# One to five vectors in a block, blocks of several sizes in a row, and units without a
# vector
WIDTHS = (1, 15, 16, 17, 32, 48, 64, 80, 96, 145, 209)
THREADS = (1, 2, 5, 16)


def exact(*sizes: int, **neuron: Any) -> tuple[Network, dict[str, np.ndarray]]:
    """Weights are multiples of 1/128: with a decay of 1/2 float32 sums of few steps are
    exact.
    """
    network = Network.of_layers(
        sizes[0], sizes[1:-1], sizes[-1], LeakyIntegrateAndFire(decay=0.5, **neuron)
    )
    generator = np.random.default_rng(sizes)
    return network, {
        name: (
            generator.integers(-24, 33, shape) / (32 if shape[-1] < 30 else 128)
        ).astype("f4")
        for name, shape in network.parameter_shapes().items()
    }


class TestExactSpikes:
    """No rounding anywhere, so spikes must be those of the loops even where v is the
    threshold.
    """

    @both_engines
    def test_every_width(self, engine: str) -> None:
        dense = np.random.default_rng(1).integers(0, 2, (3, 8, 19))
        for width in WIDTHS:
            network, state = exact(19, width, 3)
            expected = naive.run(state, dense.tolist(), 1.0, 0.5)
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
        assert (hidden.sources.tolist(), hidden.offsets.tolist()) == ([1], [0, 0, 1])
        assert (output.sources.tolist(), output.offsets.tolist()) == (
            [0, 65_534],
            [0, 0, 2],
        )

    @both_engines
    def test_small_chunks(self, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
        network, state = exact(11, 18, 4)
        dense = np.random.default_rng(2).integers(0, 2, (9, 7, 11))
        samples = 2 * 18 * 7
        monkeypatch.setattr("spikejoule.encoding.kernels.CHUNK_BYTES", 4 * samples)
        if engine == "dense":
            monkeypatch.setattr("spikejoule.engine.dense.CHUNK_ELEMENTS", samples)
        found = make_engine(engine, network, state).run(EventList.from_dense(dense))
        assert_spikes(found, naive.run(state, dense.tolist(), 1.0, 0.5))


@needs_torch
@pytest.mark.parametrize(
    ("surrogate", "reset"),
    [*((name, "zero") for name in SURROGATES), ("arctangent", "subtract")],
)
def test_gradients_in_single_precision(surrogate: str, reset: str) -> None:
    """Of the same spikes, in blocks and tiles of every size: PyTorch's in double
    precision.
    """
    dense = np.random.default_rng(3).integers(0, 2, (5, 11, 13))
    events = EventList.from_dense(dense)
    learning = LearningSettings(surrogate=surrogate, logit_scale=0.3)
    n_learning = 0
    for width, following in pairwise((*WIDTHS, 17)):
        network, state = exact(13, width, following, reset=reset)
        single = make_engine("event", network, state, learning)
        double = make_engine("dense", network, state, learning, dtype=np.float64)
        outcome, found = single.gradients(events, np.arange(5))
        exact_outcome, expected = double.gradients(events, np.arange(5))
        assert outcome.spikes == exact_outcome.spikes
        scale = max(np.abs(gradient).max() for gradient in expected.values())
        n_learning += scale > 0
        for name, gradient in expected.items():
            np.testing.assert_allclose(
                found[name], gradient, rtol=1e-5, atol=1e-6 * scale, err_msg=name
            )
    assert n_learning >= len(WIDTHS) - 2


def emitted(of: Any) -> Any:
    """Compile a call of an intrinsic, as the kernels make it."""

    @numba.njit
    def call(*arguments: Any) -> Any:
        return of(*arguments)

    return call


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_leak_of_integers_is_rounded_down_exactly(sign: int) -> None:
    """Up to 24 bits, where a product in float32 is not exact any more."""
    integrate = emitted(vector.integrate_and_fire)
    values = sign * np.random.default_rng(1).integers(0, 2**24, 4000 * LANES)
    constants = (230 / 256, np.inf, 1 / 64, 64, -np.inf, np.inf)
    decay, threshold, unit, per_unit, lowest, highest = map(np.float32, constants)
    neuron = NeuronConstants(
        decay, threshold, RESET_TO_ZERO, 1, unit, per_unit, lowest, highest
    )
    spikes = Spikes(np.zeros(1, np.uint16), np.array([0, 1, 1]))
    layer = Layer(1, LANES, LANES, 0, LANES, 0, 0)
    fired = np.zeros(2, np.uint16)
    for block in values.reshape(-1, LANES):
        parameters = (block / 64).astype(np.float32)
        potentials = np.zeros(2 * LANES, np.float32)
        forward = LayerForward(
            n_steps=2,
            layer=layer,
            parameters=parameters,
            biases=np.zeros(LANES, np.float32),
            neuron=neuron,
            potentials=potentials,
            fired=fired,
        )
        integrate(spikes, forward, Block(0, 1))
        assert (64 * potentials[LANES:]).tolist() == [
            230 * v // 256 for v in block.tolist()
        ]


@pytest.mark.parametrize("name", ["uint16", "uint32"])
@pytest.mark.parametrize(
    "listing", [emitted(bits.list_set_bits), numba.njit(bits.list_bit_by_bit)]
)
def test_lists_of_set_bits(listing: Any, name: str) -> None:
    """As this machine lists them, and as those do that cannot pack a vector."""
    generator = np.random.default_rng(1)
    for n_words in range(1, 10):
        for density in (0.0, 0.02, 0.4, 1.0):
            is_set = generator.random((n_words + 1, LANES)) < density
            words = (is_set << np.arange(LANES)).sum(axis=1).astype(np.uint16)
            numbers = np.full(3 + LANES * n_words + SPARE_SPIKES, 7).astype(name)
            end = listing(words, n_words, numbers, 3)
            listed = np.flatnonzero(is_set[:n_words])
            assert numbers[:end].tolist() == [7, 7, 7, *listed]


def test_same_bits_for_any_threads() -> None:
    """More threads than lanes, too."""
    process = start_python(
        "-m",
        "tests.engine.with_threads",
        *map(str, THREADS),
        env={"NUMBA_NUM_THREADS": str(max(THREADS)), "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    found: dict[str, list[str]] = json.loads(output)
    for case in with_threads.CASES:
        assert len(found[case]) == len(THREADS)
        assert len(set(found[case])) == 1, case
    assert len({digests[0] for digests in found.values()}) == len(with_threads.CASES)


SMALL_KERNEL = """
import json
from pathlib import Path
import numpy as np
from spikejoule.engine.kernels.optimizer import clip_coefficient
value = clip_coefficient(np.array([9.0, 16.0]), 1.0)
assert abs(value - 0.2) < 1e-6
print(json.dumps({
    "file": str(Path(clip_coefficient.py_func.__code__.co_filename)),
    "hits": sum(clip_coefficient.stats.cache_hits.values()),
}))
"""


class TestCache:
    def told(self, code: str = SMALL_KERNEL, **environment: str) -> dict[str, Any]:
        """What a process says that calls a kernel once, and its warnings."""
        process = start_python(
            "-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        out, warnings = process.communicate(timeout=300)
        assert process.returncode == 0, warnings
        told: dict[str, Any] = json.loads(out)
        return told | {"warnings": warnings}

    def test_a_second_process_compiles_nothing(self) -> None:
        environment = {
            "NUMBA_DEBUG_CACHE": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        for _ in range(2):
            process = start_python(
                "-m",
                "tests.engine.with_threads",
                "1",
                env=environment,
                stdout=subprocess.PIPE,
            )
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0
        assert output.count("[cache] data loaded") >= 5
        assert "[cache] data saved" not in output

    def test_checkouts_share_one_cache_and_a_changed_kernel_gets_another(
        self, tmp_path: Path, repository: Path
    ) -> None:
        cache = tmp_path / "cache"
        packages = [tmp_path / name / "spikejoule" for name in ("one", "two")]
        hits = []
        for package in packages:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(repository / "src" / "spikejoule", package, ignore=ignored)
            told = self.told(PYTHONPATH=str(package.parent), NUMBA_CACHE_DIR=str(cache))
            assert told["file"].startswith(str(package))
            hits.append(told["hits"])
        # The kernel that is called does not change, but one beside it does.
        with (packages[1] / "engine" / "kernels" / "forward.py").open("a") as kernel:
            kernel.write("\nCHANGED = True\n")
        told = self.told(PYTHONPATH=str(packages[1].parent), NUMBA_CACHE_DIR=str(cache))
        assert [*hits, told["hits"]] == [0, 1, 0]

    @pytest.mark.slow
    def test_where_kernels_cannot_be_kept_they_run(self, tmp_path: Path) -> None:
        """As on a full disk: no file may have more than a thousand bytes."""
        limit = (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        )
        told = self.told(limit + SMALL_KERNEL, NUMBA_CACHE_DIR=str(tmp_path))
        assert told["hits"] == 0
        assert told["warnings"].count("compiled anew") == 1
