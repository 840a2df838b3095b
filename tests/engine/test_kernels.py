"""kernels: exact against plain loops in every block size, and the cache."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


def told_by(code: str, *arguments: str, **options: Any) -> dict[str, Any]:
    process = start_python(
        "-c", code, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    told: dict[str, Any] = json.loads(out)
    return told | {"warnings": errors}


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
    def test_a_second_process_compiles_nothing(self) -> None:
        environment = {"NUMBA_DEBUG_CACHE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        for _ in range(2):
            process = start_python(
                "-m", "tests.engine.with_threads", "1", env=environment, stdout=subprocess.PIPE
            )
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0
        assert output.count("[cache] data loaded") >= 5
        assert "[cache] data saved" not in output

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
