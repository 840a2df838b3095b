"""Break kernels on purpose, one place at a time: a test must notice each.

`python -m tests.tools.mutations [WORD...]` copies the project, and for every mutation (whose name
holds one of the words) changes one expression there and runs the tests that should fail. It exits
with 1 if one survived. mutmut, which `make mutations` runs first, mutates what runs uncompiled
(`[tool.mutmut]` in pyproject.toml); kernels it cannot, since numba compiles them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
KERNELS = "src/spikejoule/engine/kernels"
GRAPHS = "src/spikejoule/graphs"
FAILED, PASSED = 1, 0
"""Exit statuses of pytest: some tests failed, all passed; others mean that tests did not run."""


class Mutation(NamedTuple):
    """`before` stands in the file exactly once; with `after` one of the tests must fail."""

    name: str
    file: str
    before: str
    after: str
    tests: str


TWINS = "tests/engine/test_twins.py"
AGREE = "tests/engine/test_engines.py::test_all_agree"
ADAM = "tests/engine/test_engines.py::TestAdam"
QUANTISED = "tests/engine/test_quantised_training.py"
SHARING = "tests/engine/test_sharing.py"
EXECUTOR = "tests/graphs/test_executor.py"

# fmt: off
MUTATIONS = (
    Mutation("a neuron at its threshold stays silent", f"{KERNELS}/vector.py",
             'ordered(">=", value, thresholds)', 'ordered(">", value, thresholds)', TWINS),
    Mutation("a reset by subtraction leaves nothing", f"{KERNELS}/vector.py",
             "return builder.fsub(value, thresholds)", "return zeros(vector)", TWINS),
    Mutation("the gradient flows back through a reset", f"{KERNELS}/through_time.py",
             "select(silent, decays, of_spikes)", "select(silent, decays, decays)", TWINS),
    Mutation("of nine spikes the last is not listed", "src/spikejoule/core/compiling/bits.py",
             "((0, 8), (8, 8), (16, 16), (32, 32))", "((0, 8), (9, 8), (16, 16), (32, 32))", TWINS),
    Mutation("of equal spike counts the last class is the answer", f"{KERNELS}/deltas.py",
             "if counts[k] > counts[best]:", "if counts[k] >= counts[best]:", AGREE),
    Mutation("a penalty counts synapses that are gone", f"{KERNELS}/deltas.py",
             "n_events += fan_outs[first_row + sources[event]]",
             "n_events += layer_at(network.layers, number + 1).n_units", AGREE),
    Mutation("a learned threshold forgets the step after", f"{KERNELS}/deltas.py",
             "by_threshold -= left * delta", "by_threshold -= 0.0 * delta", AGREE),
    Mutation("a source that fires twice counts one event a synapse", f"{KERNELS}/backward.py",
             "fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])",
             "fan_outs[row] * np.int64(firsts[k + 1] > firsts[k])",
             "tests/model/test_pruning.py::TestEngines"),
    Mutation("a lane adds the groups of others", f"{KERNELS}/backward.py",
             "if groups[slot, 0] != lane:", "if groups[slot, 0] > lane:", SHARING),
    Mutation("Adam's second moment is not corrected for its start", f"{KERNELS}/optimizer.py",
             "math.sqrt(second[k]) * settings.correction", "math.sqrt(second[k])", ADAM),
    Mutation("weights do not saturate", f"{KERNELS}/optimizer.py",
             "min(max(np.rint(parameters[k] * per_unit), -limit), limit)",
             "np.rint(parameters[k] * per_unit)", QUANTISED),
    Mutation("the leak of integers is rounded toward zero", f"{KERNELS}/integer.py",
             "((np.int64(states[unit]) * leak) >> LEAK_SHIFT)",
             "np.int64(states[unit] * leak / 256)", QUANTISED),
    Mutation("a spike in the last step uses up the number behind it",
             "src/spikejoule/encoding/kernels/poisson.py",
             "np.int64((beyond != 0) & (in_last == 0))", "np.int64(beyond != 0)",
             "tests/encoding/test_encoding.py"),
    Mutation("a delay is a step too long", f"{GRAPHS}/kernels/lists.py",
             "slot + depth - steps[unit]", "slot + depth - 1 - steps[unit]", EXECUTOR),
    Mutation("a unit of a graph is counted once too often", f"{GRAPHS}/kernels/lists.py",
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


def main(words: list[str]) -> int:
    """Try every mutation whose name holds one of the words; the exit status."""
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    survived = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        project = Path(folder, "project")
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, project / name)
        for tests in sorted({each.tests for each in chosen}):
            if run_tests(project, tests) != PASSED:
                print(f"error: {tests} fails without a mutation too", file=sys.stderr)
                return 1
        for each in chosen:
            path = project / each.file
            content = path.read_text(encoding="utf-8")
            assert content.count(each.before) == 1, f"{each.name}: not at one place of {each.file}"
            path.write_text(content.replace(each.before, each.after), encoding="utf-8")
            status = run_tests(project, each.tests)
            path.write_text(content, encoding="utf-8")
            survived += status != FAILED
            print(f"{each.name}: {'caught' if status == FAILED else 'SURVIVED'}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutations were caught.")
    return int(survived > 0 or not chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
