"""Break kernels on purpose, one place at a time: a test must notice each.

`python -m tests.tools.mutations [WORD...]` copies the project, and for every mutation (whose name
holds one of the words) changes one expression there and runs the tests that should fail. It exits
with 1 if one survived. mutmut, which `make mutations` runs first, mutates what runs uncompiled
(`[tool.mutmut]` in pyproject.toml); kernels it cannot, since numba compiles them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tools.pipeline_tools import REPOSITORY, clean_environment, clone_of_working_tree

KERNELS = "src/spikejoule/engine/kernels"
GRAPHS = "src/spikejoule/graphs"
FAILED, PASSED = 1, 0
"""Exit statuses of pytest: some tests failed, all passed; others mean that tests did not run."""
WIDTHS = "tests/engine/test_kernels.py::TestExactSpikes"
AGREE = "tests/engine/test_engines.py::test_all_agree"
ADAM = "tests/engine/test_engines.py::TestAdam"
QUANTISED = "tests/engine/test_quantised_training.py"
SHARING = "tests/engine/test_kernels.py::TestThreads"
EXECUTOR = "tests/graphs/test_executor.py"

# fmt: off
# What it is, the file, what stands there exactly once, what takes its place, and the tests
MUTATIONS = (
    ("a neuron at its threshold stays silent", f"{KERNELS}/vector.py",
     'ordered(">=", value, thresholds)', 'ordered(">", value, thresholds)', WIDTHS),
    ("a reset by subtraction leaves nothing", f"{KERNELS}/vector.py",
     "return builder.fsub(value, thresholds)", "return zeros(vector)", AGREE),
    ("the gradient flows back through a reset", f"{KERNELS}/through_time.py",
     "select(silent, decays, of_spikes)", "select(silent, decays, decays)", AGREE),
    ("of nine spikes the last is not listed", "src/spikejoule/core/compiling/bits.py",
     "((0, 8), (8, 8), (16, 16), (32, 32))", "((0, 8), (9, 8), (16, 16), (32, 32))",
     "tests/engine/test_kernels.py::TestLists"),
    ("of equal spike counts the last class is the answer", f"{KERNELS}/deltas.py",
     "if counts[k] > counts[best]:", "if counts[k] >= counts[best]:", AGREE),
    ("a penalty counts synapses that are gone", f"{KERNELS}/deltas.py",
     "n_events += fan_outs[first_row + sources[event]]",
     "n_events += layer_at(network.layers, number + 1).n_units", AGREE),
    ("a learned threshold forgets the step after", f"{KERNELS}/deltas.py",
     "by_threshold -= left * delta", "by_threshold -= 0.0 * delta", AGREE),
    ("a source that fires twice counts one event a synapse", f"{KERNELS}/backward.py",
     "fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])",
     "fan_outs[row] * np.int64(firsts[k + 1] > firsts[k])",
     "tests/model/test_pruning.py::TestEngines"),
    ("a lane adds the groups of others", f"{KERNELS}/backward.py",
     "if groups[slot, 0] != lane:", "if groups[slot, 0] > lane:", SHARING),
    ("Adam's second moment is not corrected for its start", f"{KERNELS}/optimizer.py",
     "math.sqrt(second[k]) * settings.correction", "math.sqrt(second[k])", ADAM),
    ("weights do not saturate", f"{KERNELS}/optimizer.py",
     "min(max(np.rint(parameters[k] * per_unit), -limit), limit)",
     "np.rint(parameters[k] * per_unit)", QUANTISED),
    ("the leak of integers is rounded toward zero", f"{KERNELS}/integer.py",
     "((np.int64(states[unit]) * leak) >> LEAK_SHIFT)",
     "np.int64(states[unit] * leak / 256)", QUANTISED),
    ("a spike in the last step uses up the number behind it",
     "src/spikejoule/encoding/kernels/poisson.py",
     "np.int64((beyond != 0) & (in_last == 0))", "np.int64(beyond != 0)",
     "tests/encoding/test_encoding.py"),
    ("a delay is a step too long", f"{GRAPHS}/kernels/lists.py",
     "slot + depth - steps[unit]", "slot + depth - 1 - steps[unit]", EXECUTOR),
    ("a unit of a graph is counted once too often", f"{GRAPHS}/kernels/lists.py",
     "at, weights[unit], totals", "at, weights[unit] + 1, totals", EXECUTOR),
)
# fmt: on


def run_tests(project: Path, tests: str) -> int:
    """Run quick tests in the copy until one fails, with kernels of its own; the exit status."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(project.parent / "kernels")}
    environment["PYTHONPATH"] = os.pathsep.join([str(project / "src"), str(project)])
    options = ("-m", "not slow", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no")
    command = [sys.executable, "-m", "pytest", *options, tests]
    return subprocess.run(
        command, cwd=project, env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode


def main(words: list[str], folder: Path) -> int:
    """Try every mutation whose name holds one of the words; the exit status."""
    chosen = [each for each in MUTATIONS if not words or any(word in each[0] for word in words)]
    survived, project = 0, folder / "project"
    clone_of_working_tree(REPOSITORY, project, clean_environment(folder), {})
    for tests in sorted({tests for *_, tests in chosen}):
        if run_tests(project, tests) != PASSED:
            print(f"error: {tests} fails without a mutation too", file=sys.stderr)
            return 1
    for name, file, before, after, tests in chosen:
        content = (project / file).read_text(encoding="utf-8")
        assert content.count(before) == 1, f"{name}: not at one place of {file}"
        (project / file).write_text(content.replace(before, after), encoding="utf-8")
        status = run_tests(project, tests)
        (project / file).write_text(content, encoding="utf-8")
        survived += status != FAILED
        print(f"{name}: {'caught' if status == FAILED else 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations were caught.")
    return int(survived > 0 or not chosen)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="mutations-") as place:
        sys.exit(main(sys.argv[1:], Path(place)))
