"""kernels: exact against plain loops in every block size, the random stream, and the cache."""

import json
import logging
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.core.compiling.streams import fill_exponentials
from spikejoule.encoding.events import EventList
from spikejoule.engine.event import EventEngine
from spikejoule.engine.interface import Engine
from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import LearningSettings
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from tests import naive
from tests.tools.processes import start_python
from tests.tools.without_torch import needs_torch

# One worker for all: each would compile the kernels for double precision for itself.
pytestmark = pytest.mark.xdist_group("engines")

logger = logging.getLogger(__name__)

FIRST_BATCH_SECONDS = 3.0
"""Processor time that a second process may take from `import torch` to the end of its first batch:
other processes do not lengthen it. Compiling would take more than ten."""

both_engines = pytest.mark.parametrize(
    "engine", ["event", pytest.param("dense", marks=needs_torch)]
)


def engine_of(
    name: str, architecture: Architecture, state: dict[str, np.ndarray], dtype: type = np.float32
) -> Engine:
    if name == "event":
        return EventEngine(architecture, state, LearningSettings(), dtype)
    from spikejoule.engine.dense import DenseEngine

    return DenseEngine(architecture, state, LearningSettings(), "cpu", dtype)


def dyadic_state(architecture: Architecture, seed: int) -> dict[str, np.ndarray]:
    """Weights in steps of 1/32: with a decay of 1/2 every float32 sum of a short run is exact."""
    generator = np.random.default_rng(seed)
    return {
        name: (generator.integers(-24, 33, shape) / 32).astype(np.float32)
        for name, shape in architecture.parameter_shapes().items()
    }


class TestExactSpikes:
    """No rounding anywhere, so spikes must be those of the loops even where v is the threshold."""

    @both_engines
    @pytest.mark.parametrize("n_hidden", [1, 16, 17, 209, 400])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_hidden_sizes(self, n_hidden: int, dtype: type, engine: str) -> None:
        architecture = Architecture(
            19, (n_hidden,), 3, LeakyIntegrateAndFire(threshold=1.0, decay=0.5)
        )
        state = dyadic_state(architecture, n_hidden)
        dense = np.random.default_rng(1).integers(0, 2, (3, 8, 19))
        expected = naive.run(state, dense.tolist(), 1.0, 0.5)
        events = EventList.from_dense(dense)
        runner = engine_of(engine, architecture, state, dtype)
        layers = runner.run(events)
        for layer, spikes in zip(layers, expected, strict=True):
            layer.check()
            assert np.array_equal(layer.to_dense(np.int64), spikes)
        assert expected[0].sum() > 0
        outcome, _ = runner.gradients(events, np.array([0, 1, 2]))
        assert outcome.spikes == (dense.sum(), *(int(spikes.sum()) for spikes in expected))

    def test_the_threshold_itself_fires(self) -> None:
        architecture = Architecture(2, (2,), 1, LeakyIntegrateAndFire(threshold=1.0, decay=0.5))
        below = np.nextafter(np.float32(1), np.float32(0))
        state = {
            "layer1.synapses.weight": np.array([[1.0, 0.0], [below, 0.0]], np.float32),
            "layer1.synapses.bias": np.zeros(2, np.float32),
            "layer2.synapses.weight": np.zeros((1, 2), np.float32),
            "layer2.synapses.bias": np.zeros(1, np.float32),
        }
        dense = np.array([[[1, 0], [0, 0], [0, 1]]])
        hidden, _ = EventEngine(architecture, state).run(EventList.from_dense(dense))
        assert hidden.to_dense(np.int64).tolist() == [[[1, 0], [0, 0], [0, 0]]]

    def test_the_widest_layers(self) -> None:
        architecture = Architecture(
            65_535, (2,), 65_535, LeakyIntegrateAndFire(threshold=1.0, decay=0.5)
        )
        state = {
            name: np.zeros(shape, np.float32)
            for name, shape in architecture.parameter_shapes().items()
        }
        state["layer1.synapses.weight"][1, 65_534] = 1.0
        state["layer2.synapses.weight"][[0, 65_534], 1] = 1.0
        dense = np.zeros((1, 2, 65_535), dtype=np.uint8)
        dense[0, 1, 65_534] = 1
        hidden, output = EventEngine(architecture, state).run(EventList.from_dense(dense))
        assert (hidden.sources.tolist(), hidden.offsets.tolist()) == ([1], [0, 0, 1])
        assert (output.sources.tolist(), output.offsets.tolist()) == ([0, 65_534], [0, 0, 2])

    @both_engines
    @pytest.mark.parametrize("samples", [0, 2])
    def test_small_chunks(self, engine: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
        architecture = Architecture(11, (18,), 4, LeakyIntegrateAndFire(decay=0.5))
        state = dyadic_state(architecture, 5)
        events = EventList.from_dense(np.random.default_rng(2).integers(0, 2, (9, 7, 11)))
        whole = EventEngine(architecture, state).run(events)
        elements = max(1, samples * 18 * 7)
        if engine == "event":
            monkeypatch.setattr("spikejoule.encoding.kernels.CHUNK_BYTES", 4 * elements)
        else:
            monkeypatch.setattr("spikejoule.engine.dense.CHUNK_ELEMENTS", elements)
        chunked = engine_of(engine, architecture, state).run(events)
        for part, layer in zip(chunked, whole, strict=True):
            assert np.array_equal(part.sources, layer.sources)
            assert np.array_equal(part.offsets, layer.offsets)


@numba.njit
def _fill(state: Any, n_vectors: Any, out: Any) -> None:
    fill_exponentials(state, n_vectors, out, 0)


class TestExponentials:
    @pytest.mark.parametrize("state", [0, 1, 0xDEADBEEF, 2**64 - 1, naive.GOLDEN])
    def test_against_integers(self, state: int) -> None:
        n = 64
        out = np.full(16 * n, np.nan)
        _fill(np.uint64(state), n, out)
        outputs = naive.splitmix64(state, 16 * n)
        uniforms = [((output >> 11) + 1) / 2**53 for output in outputs]
        expected = np.array([-math.log(u) for u in uniforms])
        np.testing.assert_allclose(out, expected, rtol=1e-14)
        # Mean and variance of the standard exponential law are 1.
        assert abs(out.mean() - 1) < 4 / math.sqrt(out.size)


def told_by(code: str, *arguments: str, **options: Any) -> dict[str, Any]:
    process = start_python(
        "-c", code, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told | {"warnings": errors}


FIRST_BATCH = """
import json, time
import torch
started = time.process_time()
import numpy as np
from spikejoule.model.architecture import Architecture
from spikejoule.training.kernels.augment import augment
from spikejoule.training.settings import Augmentation
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.engine import make_engine
from spikejoule.model.learning import LearningSettings
from spikejoule.model.network import initial_state

architecture = Architecture(784, (400,), 10)
state = {name: value.numpy() for name, value in initial_state(architecture, 1).items()}
engine = make_engine("event", architecture, state, LearningSettings(grad_clip_norm=1.0))
images = np.random.default_rng(1).integers(0, 256, (128, 28, 28)).astype(np.uint8)
images = augment(images, Augmentation(shift_pixels=1), 1, 1, np.arange(128))
encoder = Poisson(time_window=50, max_rate=80.0)
events = encoder.events(images, encoder.draw_key(1, "train", 1))
outcome = engine.train_batch(events, np.arange(128) % 10, 0.001)
engine.run(events)
seconds = time.process_time() - started

import sys
from numba.core.registry import CPUDispatcher
misses = hits = 0
for name, module in list(sys.modules.items()):
    if name.startswith("spikejoule."):
        for value in vars(module).values():
            if isinstance(value, CPUDispatcher):
                misses += sum(value.stats.cache_misses.values())
                hits += sum(value.stats.cache_hits.values())
print(json.dumps({"seconds": seconds, "misses": misses, "hits": hits, "loss": outcome.mean_loss}))
"""

SMALL_KERNEL = """
import json
import numpy as np
from pathlib import Path
from spikejoule.engine.kernels.optimizer import clip_coefficient
value = clip_coefficient(np.array([9.0, 16.0]), 1.0)
stats = clip_coefficient.stats
print(json.dumps({
    "value": value,
    "file": str(Path(clip_coefficient.py_func.__code__.co_filename)),
    "hits": sum(stats.cache_hits.values()),
    "misses": sum(stats.cache_misses.values()),
}))
"""


class TestCache:
    @needs_torch
    def test_a_second_process_compiles_nothing_and_starts_at_once(self) -> None:
        first = told_by(FIRST_BATCH)
        tries = []
        for _ in range(3):
            second = told_by(FIRST_BATCH)
            assert second["misses"] == 0
            assert second["hits"] >= 5
            assert second["loss"] == first["loss"]
            tries.append(second["seconds"])
            if tries[-1] < FIRST_BATCH_SECONDS:
                break
        logger.info("first batch after %.2f s", min(tries))
        assert min(tries) < FIRST_BATCH_SECONDS, f"seconds from import torch: {tries}"

    def test_checkouts_share_one_cache_and_a_changed_kernel_gets_another(
        self, tmp_path: Path, repository: Path
    ) -> None:
        cache = tmp_path / "cache"

        def run_in(name: str, change: str = "") -> dict[str, Any]:
            checkout = tmp_path / name
            if not checkout.exists():
                shutil.copytree(
                    repository / "src" / "spikejoule",
                    checkout / "spikejoule",
                    ignore=shutil.ignore_patterns("__pycache__"),
                )
            with open(checkout / "spikejoule" / "engine" / "kernels" / "forward.py", "a") as kernel:
                kernel.write(change)
            environment = {"PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(cache)}
            told = told_by(SMALL_KERNEL, env=environment)
            assert told["file"].startswith(str(checkout))
            assert told["value"] == pytest.approx(0.2, rel=1e-6)
            return told

        def folders() -> int:
            return len([path for path in cache.iterdir() if path.is_dir()])

        assert run_in("one")["misses"] == 1
        assert folders() == 1
        two = run_in("two")
        assert (two["hits"], two["misses"]) == (1, 0)
        assert folders() == 1
        # The kernel that is called did not change, but one beside it did.
        three = run_in("three", "\nCHANGED = True\n")
        assert (three["hits"], three["misses"]) == (0, 1)
        assert folders() == 2
        again = run_in("three")
        assert (again["hits"], again["misses"]) == (1, 0)
        assert folders() == 2

    @pytest.mark.parametrize("environment", ["environment", "file"])
    def test_where_no_home_can_be_written(self, environment: str, tmp_path: Path) -> None:
        # Root may write anywhere but below a file.
        (tmp_path / "file").write_text("not a folder")
        below = str(tmp_path / "file" / "cache")
        prefix = tmp_path / environment
        code = f"import sys; sys.prefix = {str(prefix)!r}\n{SMALL_KERNEL}"
        places = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"), below)
        first, second = (told_by(code, env=places) for _ in range(2))
        assert first["value"] == second["value"] == pytest.approx(0.2, rel=1e-6)
        kept = prefix.is_dir()
        assert kept == (environment == "environment")
        assert (first["hits"], second["hits"]) == (0, int(kept))
        assert ("compiled anew" in second["warnings"]) == (not kept)
        assert second["warnings"].count("\n") == (0 if kept else 1)
