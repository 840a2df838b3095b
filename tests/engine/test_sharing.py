"""More threads than lanes: the same bits for any number of them."""

import json
import subprocess
import sys

import pytest

from spikejoule.engine.kernels.layout import ParameterLayout
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


def test_a_group_that_is_too_large(caplog: pytest.LogCaptureFixture) -> None:
    layout = ParameterLayout.of(Architecture(1, (60_000,), 1))
    assert [slots_for(layout, 50, 2, threads) for threads in (2, 16)] == [2, 6]
    assert not caplog.text
    assert [slots_for(layout, 500, 2, threads) for threads in (2, 16)] == [2, 2]
    assert "2 threads share a batch in place of 16" in caplog.text
