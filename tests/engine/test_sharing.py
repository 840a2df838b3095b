"""More threads than lanes: the same bits for any number of them."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikejoule.core.compiling.emit import LANES, even_parts
from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.sharing import share
from spikejoule.engine.workspace import slots_for
from spikejoule.model.architecture import Architecture
from tests.engine import with_threads
from tests.tools.processes import start_python

# One worker for all: each would compile the kernels for itself.
pytestmark = pytest.mark.xdist_group("engines")

THREADS = (1, 2, 3, 5, 8, 16)


class TestTraining:
    @pytest.fixture(scope="class")
    def digests(self) -> dict[str, list[str]]:
        """For each case what was trained, with each number of threads."""
        process = start_python(
            "-m", "tests.engine.with_threads", *map(str, THREADS),
            env={"NUMBA_NUM_THREADS": str(max(THREADS)), "PYTHONPATH": ":".join(sys.path)},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        found: dict[str, list[str]] = json.loads(output)
        return found

    @pytest.mark.parametrize("case", with_threads.CASES)
    def test_same_bits(self, case: str, digests: dict[str, list[str]]) -> None:
        assert len(digests[case]) == len(THREADS)
        assert len(set(digests[case])) == 1

    def test_cases_differ(self, digests: dict[str, list[str]]) -> None:
        assert len({of[0] for of in digests.values()}) == len(with_threads.CASES)


class TestPlan:
    @pytest.mark.parametrize("threads", [3, 7, 16, 64])
    @pytest.mark.parametrize("n_samples", [1, 5, 64, 300])
    @pytest.mark.parametrize("n_lanes", [1, 2, 3])
    def test_everything_once(self, threads: int, n_samples: int, n_lanes: int) -> None:
        bounds = tuple(even_parts(n_samples, n_lanes).tolist())
        vectors = (25, 3, 2, 1)
        strides = tuple(LANES * count for count in vectors)
        slots = n_lanes * 4
        turns, parts = share(strides, bounds, 4, slots, threads)
        assert all(1 <= len(groups) <= slots for groups in turns)
        groups = np.concatenate(turns)
        assert (groups[:, 2] - groups[:, 1] <= 4).all()
        for lane, (first, stop) in enumerate(pairwise(bounds)):
            of_lane = groups[groups[:, 0] == lane]
            samples = [s for _, start, end in of_lane.tolist() for s in range(start, end)]
            assert samples == list(range(first, stop))
            for number, count in enumerate(vectors):
                blocks: list[Any] = parts[(parts[:, 0] == lane) & (parts[:, 1] == number)].tolist()
                columns = [c for _, _, at, size in blocks for c in range(at, at + size * LANES)]
                assert columns == list(range(count * LANES))
        assert len(parts) == sum(len(parts[parts[:, 0] == lane]) for lane in range(n_lanes))

    def test_the_busiest_of_sixteen_threads(self) -> None:
        """The default network and batch: a sixteenth of the samples, and few columns, each."""
        turns, parts = share((400, 16), (0, 32, 64), 4, 32, 16)
        assert [len(groups) for groups in turns] == [16]
        of_hidden = parts[parts[:, 1] == 0]
        assert -(-len(of_hidden) // 16) * of_hidden[:, 3].max() <= 4

    def test_a_group_that_is_too_large(self, caplog: pytest.LogCaptureFixture) -> None:
        layout = ParameterLayout.of(Architecture(1, (60_000,), 1))
        assert [slots_for(layout, 50, 2, threads) for threads in (2, 16)] == [2, 6]
        assert not caplog.text
        assert [slots_for(layout, 500, 2, threads) for threads in (2, 16)] == [2, 2]
        assert "2 threads share a batch in place of 16" in caplog.text
