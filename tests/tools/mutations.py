"""Break kernels, counts and prices on purpose, one place at a time: a test must notice each.

`python -m tests.tools.mutations [WORD...]` copies the project, and for every mutation (whose name
holds one of the words) changes one expression there and runs the quick tests that should fail. It
prints the test that did, and in the end runs all of these without a mutation: they must pass. It
exits with 1 if a mutation survived.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools.pipeline_tools import clean_environment

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/spikejoule")
SECONDS = 1800
FAILED, PASSED = 1, 0
"""Exit statuses of pytest: some tests failed, all passed; others mean that tests did not run."""


@dataclass(frozen=True)
class Mutation:
    """One expression replaced by a wrong one.

    Attributes:
        name: what the mutated code gets wrong.
        file: within the package.
        before, after: the expression, which stands in the file exactly once, and the wrong one.
        tests: files or classes of tests; at least one test must fail.
    """

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


FORWARD = ("tests/engine/test_kernels.py::TestExactSpikes",)
GRADIENT = ("tests/engine/test_engines.py::TestAgreement",)
# Narrower where one test is about the expression: every mutated kernel is compiled again.
NEURONS = ("tests/engine/test_engines.py::TestAgreement::test_neurons",)
LEARNED = ("tests/engine/test_engines.py::TestAgreement::test_learned_constants",)
PENALTIES = (
    "tests/engine/test_engines.py::TestAgreement::test_penalties",
    "tests/engine/test_engines.py::TestAgreement::test_penalties_by_layer",
)
TEACHER = ("tests/engine/test_engines.py::TestAgreement::test_a_teacher",)
ADAM = ("tests/engine/test_engines.py::TestAdam", "tests/engine/test_engines.py::TestThreads")
SHARING = ("tests/engine/test_sharing.py",)
INTEGERS = (
    "tests/engine/test_integer.py",
    "tests/engine/test_quantised_training.py",
    "tests/engine/test_twins.py::TestForward::test_a_leak_is_rounded_down_exactly",
)
FOREIGN = ("tests/graphs/test_executor.py::test_plain_loops_give_the_same",)
FOREIGN_WINDOWS = ("tests/graphs/test_executor.py::test_windows_are_those_of_torch",)
FOREIGN_BATCHES = ("tests/graphs/test_executor.py::test_a_result_does_not_depend_on_the_batch",)
FOREIGN_SUMS = (
    "tests/graphs/test_vectors.py::test_few_and_many_spikes_take_two_ways_to_the_same_sums",
)
FOREIGN_PRICES = ("tests/energy/test_graph_operations.py",)
MUTATIONS = (
    Mutation(
        "a neuron at its threshold stays silent",
        "engine/kernels/vector.py",
        'builder.fcmp_ordered(">=", value, thresholds)',
        'builder.fcmp_ordered(">", value, thresholds)',
        FORWARD,
    ),
    Mutation(
        "of many spikes the fifth is not listed",
        "core/compiling/bits.py",
        "place += np.uint64(USUAL_BITS)",
        "place += np.uint64(USUAL_BITS + 1)",
        ("tests/engine/test_twins.py::TestLists",),
    ),
    Mutation(
        "the leak of integers is rounded toward zero",
        "engine/kernels/integer.py",
        "((np.int64(states[unit]) * leak) >> LEAK_SHIFT)",
        "np.int64(states[unit] * leak / 256)",
        INTEGERS,
    ),
    Mutation(
        "a potential of integers does not saturate",
        "engine/kernels/integer.py",
        "min(max(potential, lowest), highest)",
        "potential",
        INTEGERS,
    ),
    Mutation(
        "training does not round the leak down",
        "engine/kernels/vector.py",
        "return builder.fmul(lower, units)",
        "return builder.fmul(builder.fmul(value, decays), units)",
        INTEGERS,
    ),
    Mutation(
        "a product that was rounded up is not brought down",
        "engine/kernels/vector.py",
        'lower = builder.fadd(lower, vector_intrinsic(builder, "floor", rest))',
        "lower = builder.fadd(lower, zeros(vector))",
        INTEGERS,
    ),
    Mutation(
        "training does not saturate the potential",
        "engine/kernels/vector.py",
        "saturated(value) if is_on_grid else value",
        "value",
        INTEGERS,
    ),
    Mutation(
        "weights do not saturate",
        "engine/kernels/rounding.py",
        "min(max(np.rint(parameters[k] * per_unit), -limit), limit)",
        "np.rint(parameters[k] * per_unit)",
        INTEGERS,
    ),
    Mutation(
        "the optimizer keeps what was rounded",
        "engine/event.py",
        "parameters=self._learned if is_float else aligned_zeros((layout.size,), dtype)",
        "parameters=self._learned",
        INTEGERS,
    ),
    Mutation(
        "a layer takes the finest grid",
        "model/quantisation.py",
        "return min(candidates, key=error)",
        "return candidates[-1]",
        INTEGERS,
    ),
    Mutation(
        "a neuron that fired keeps its potential",
        "engine/kernels/vector.py",
        "builder.select(fires, after_spike(value, reset), value)",
        "builder.select(fires, value, value)",
        FORWARD,
    ),
    Mutation(
        "a reset by subtraction leaves nothing above the threshold",
        "engine/kernels/vector.py",
        "return builder.fsub(value, thresholds)",
        "return zeros(vector)",
        NEURONS,
    ),
    Mutation(
        "a penalty has no target",
        "engine/kernels/penalty.py",
        "if events_above <= 0.0:",
        "if events_above <= -1e18:",
        PENALTIES,
    ),
    Mutation(
        "a penalty counts synapses that are gone",
        "engine/kernels/penalty.py",
        "n_events += fan_outs[first_row + sources[event]]",
        "n_events += layer_at(network.layers, number + 1).n_units",
        PENALTIES,
    ),
    Mutation(
        "every layer has the penalties of the first",
        "engine/kernels/penalty.py",
        "by_spike, by_event = penalties[number, 0], penalties[number, 2]",
        "by_spike, by_event = penalties[0, 0], penalties[0, 2]",
        PENALTIES,
    ),
    Mutation(
        "a teacher's activations of zero are not skipped",
        "training/teacher.py",
        "int(np.count_nonzero(values)) * each",
        "values.size * each",
        ("tests/training/test_training.py",),
    ),
    Mutation(
        "the energy of training leaves out its teacher",
        "energy/training_counts.py",
        "of_teacher = [[epoch.teacher_macs or 0] for epoch in record.epochs]",
        "of_teacher = [[0] for epoch in record.epochs]",
        ("tests/energy/test_training.py",),
    ),
    Mutation(
        "a teacher is not heard",
        "model/learning.py",
        "self.distillation * teacher",
        "self.distillation * probabilities",
        TEACHER,
    ),
    Mutation(
        "the gradient flows back through a reset",
        "engine/kernels/through_time.py",
        "builder.select(silent, decays, of_spikes)",
        "builder.select(silent, decays, decays)",
        NEURONS,
    ),
    Mutation(
        "no gradient flows past a reset by subtraction",
        "engine/kernels/through_time.py",
        "builder.select(subtracts, neuron.decay, ir.Constant(neuron.decay.type, 0.0))",
        "ir.Constant(neuron.decay.type, 0.0)",
        NEURONS,
    ),
    Mutation(
        "the norm of the gradient counts biases that the network does not have",
        "engine/kernels/layout.py",
        "[layer.stride * architecture.neuron.has_bias]",
        "[layer.stride]",
        ADAM,
    ),
    Mutation(
        "a learned leak sees the potential before the reset",
        "engine/kernels/learned.py",
        "before = before - threshold if subtracts else 0.0",
        "before = before - threshold if subtracts else before",
        LEARNED,
    ),
    Mutation(
        "a learned threshold takes the delta of the step after for its own",
        "engine/kernels/learned.py",
        "by_threshold -= left * delta",
        "by_threshold -= 0.0 * delta",
        LEARNED,
    ),
    Mutation(
        "every layer has the constants of the first",
        "engine/kernels/deltas.py",
        "            parameters,\n            neuron_at(network, number),\n",
        "            parameters,\n            neuron_at(network, 0),\n",
        NEURONS,
    ),
    Mutation(
        "of equal spike counts the last class is the answer",
        "engine/kernels/deltas.py",
        "if counts[k] > counts[best]:",
        "if counts[k] >= counts[best]:",
        GRADIENT,
    ),
    Mutation(
        "a smoothed label is short of its share",
        "model/learning.py",
        "self.label_smoothing / n_classes",
        "self.label_smoothing / (n_classes + 1)",
        GRADIENT,
    ),
    Mutation(
        "a source that fires twice in training counts one event a synapse",
        "engine/kernels/backward.py",
        "fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])",
        "fan_outs[row] * np.int64(firsts[k + 1] > firsts[k])",
        ("tests/model/test_pruning.py::TestEngines",),
    ),
    Mutation(
        "where threads share a batch, a lane adds the groups of others",
        "engine/kernels/backward.py",
        "if groups[slot, 0] != lane:",
        "if groups[slot, 0] > lane:",
        SHARING,
    ),
    Mutation(
        "where threads share a batch, some columns have two of them",
        "engine/sharing.py",
        "for first in range(0, vectors, size)]",
        "for first in range(0, vectors, max(size - 1, 1))]",
        SHARING,
    ),
    Mutation(
        "Adam's second moment is not corrected for its start",
        "engine/kernels/optimizer.py",
        "math.sqrt(second[k]) * settings.correction",
        "math.sqrt(second[k])",
        ADAM,
    ),
    Mutation(
        "the gradient's norm leaves out rows that only later lanes touched",
        "engine/kernels/optimizer.py",
        "            if any_lane:\n                square",
        "            if touched[0, row] and lanes == 1:\n                square",
        ADAM,
    ),
    Mutation(
        "the arctangent's slope is not squared",
        "model/surrogates/arctangent.py",
        "return self.slope / 2, (math.pi / 2 * self.slope) ** 2",
        "return self.slope / 2, math.pi / 2 * self.slope**2",
        GRADIENT,
    ),
    Mutation(
        "the random stream of a sample starts elsewhere",
        "core/compiling/streams.py",
        "mix(np.uint64(sample) + np.uint64(GOLDEN))",
        "mix(np.uint64(sample))",
        ("tests/encoding/test_encoding.py",),
    ),
    Mutation(
        "a pixel that fired rests for a step",
        "encoding/kernels/gaps.py",
        "builder.add(in_every_lane(start, 32), lanes)",
        "builder.add(in_every_lane(start, 32), builder.add(lanes, lanes))",
        ("tests/encoding/test_encoding.py",),
    ),
    Mutation(
        "a spike in the last step uses up the number behind it",
        "encoding/kernels/poisson.py",
        "np.int64((beyond != 0) & (in_last == 0))",
        "np.int64(beyond != 0)",
        ("tests/encoding/test_encoding.py",),
    ),
    Mutation(
        "of nine spikes the last is not listed",
        "core/compiling/bits.py",
        "((0, 8), (8, 8), (16, 16), (32, 32))",
        "((0, 8), (9, 8), (16, 16), (32, 32))",
        ("tests/engine/test_twins.py::TestLists",),
    ),
    Mutation(
        "a row without spikes is passed over",
        "engine/kernels/backward.py",
        "        row += begins[event]\n",
        "        row += min(begins[event], np.uint32(1))\n",
        GRADIENT,
    ),
    Mutation(
        "a pixel at the latency code's threshold fires",
        "encoding/encoders/latency.py",
        "fires = intensities > code.latency_threshold",
        "fires = intensities >= code.latency_threshold",
        ("tests/encoding/test_encoders.py",),
    ),
    Mutation(
        "a deformed image is rounded down",
        "training/kernels/augment.py",
        "int(total + 0.5)",
        "int(total)",
        ("tests/training/test_augmentation.py",),
    ),
    Mutation(
        "a lazy circuit updates a neuron once a spike",
        "evaluation/kernels/updates.py",
        "updated[word] |= targets[source, word]",
        "count += count_bits(targets[source, word])",
        ("tests/evaluation/test_lazy_updates.py",),
    ),
    Mutation(
        "a lazy circuit forgets neurons that fire by themselves",
        "evaluation/kernels/updates.py",
        "updated[unit // WORD_BITS] |=",
        "updated[0] &=",
        ("tests/evaluation/test_lazy_updates.py",),
    ),
    Mutation(
        "spikes by step are those of the first sample",
        "encoding/events.py",
        ".reshape(self.n_samples, self.n_steps).sum(axis=0, dtype=np.int64)",
        ".reshape(self.n_samples, self.n_steps)[:1].sum(axis=0, dtype=np.int64)",
        ("tests/encoding/test_counting.py", "tests/encoding/test_events.py"),
    ),
    Mutation(
        "the answer is the neuron that fired least",
        "encoding/counting.py",
        "class_counts(output).argmax(axis=1)",
        "class_counts(output).argmin(axis=1)",
        ("tests/encoding/test_counting.py", "tests/evaluation/test_evaluation.py"),
    ),
    Mutation(
        "a pruned synapse carries events",
        "model/fan_out.py",
        "if not pruned:",
        "if True:",
        ("tests/model/test_pruning.py", "tests/evaluation/test_measurement.py"),
    ),
    Mutation(
        "the last event of a sample goes to the next sample",
        "model/fan_out.py",
        "np.cumsum(fan_out[events.sources], out=before[1:])",
        "np.cumsum(fan_out[events.sources], out=before[:-1])",
        ("tests/model/test_pruning.py", "tests/evaluation/test_measurement.py"),
    ),
    Mutation(
        "an early answer is one step late",
        "evaluation/early_exit.py",
        "may_stop.argmax(axis=1) + minimal_steps, n_steps",
        "may_stop.argmax(axis=1) + minimal_steps + 1, n_steps",
        ("tests/evaluation/test_early_exit.py",),
    ),
    Mutation(
        "a MAC with a zero activation is not skipped",
        "baselines/measured.py",
        "(values != 0).astype(np.float64)",
        "np.ones_like(values, dtype=np.float64)",
        ("tests/baselines/test_baseline.py",),
    ),
    Mutation(
        "a removed weight of a ReLU network is multiplied",
        "baselines/measured.py",
        "of != 0 if pruned else np.ones_like(of, dtype=np.bool_)",
        "np.ones_like(of, dtype=np.bool_)",
        ("tests/baselines/test_baseline.py", "tests/baselines/test_family.py"),
    ),
    Mutation(
        "a removed weight returns",
        "baselines/stack.py",
        "kept[name].mul_(mask)",
        "pass",
        ("tests/baselines/test_family.py",),
    ),
    Mutation(
        "an active update counts as an inactive one too",
        "energy/spiking_operations.py",
        "updates - active",
        "updates",
        ("tests/energy/test_operations.py",),
    ),
    Mutation(
        "a potential is read but never written",
        "energy/spiking_operations.py",
        "STATE_ACCESS), 2 * updates",
        "STATE_ACCESS), updates",
        ("tests/energy/test_operations.py",),
    ),
    Mutation(
        "training forgets the last, smaller batch",
        "energy/training_counts.py",
        "-(-samples // batch_size)",
        "samples // batch_size",
        ("tests/energy/test_training.py",),
    ),
    Mutation(
        "what only an upper bound holds is in the lower bound too",
        "energy/pricing.py",
        "0.0 if upper_only else price.low_pj",
        "price.low_pj",
        ("tests/energy/test_analysis.py", "tests/energy/test_operations.py"),
    ),
    Mutation(
        "the verdict compares lower end with lower end",
        "energy/comparison.py",
        "interval(snn.low / ann.high,",
        "interval(snn.low / ann.low,",
        ("tests/energy/test_analysis.py",),
    ),
    Mutation(
        "the break-even counts an active update's idle part as a spike's",
        "energy/break_even.py",
        "price_pj -= inactive_pj[column.place]",
        "price_pj -= 0.0",
        ("tests/energy/test_break_even.py",),
    ),
    Mutation(
        "an index of a removed synapse's neighbour takes no room",
        "energy/spiking_places.py",
        "synapses * (self.weight_bits + index)",
        "synapses * self.weight_bits",
        ("tests/energy/test_recount.py",),
    ),
    Mutation(
        "an epoch finds one answer for all its samples",
        "energy/training_counts.py",
        ", samples=n_samples",
        "",
        ("tests/energy/test_training.py",),
    ),
    Mutation(
        "an early answer has drawn for the whole window",
        "energy/contenders.py",
        'update={"time_window": int(last)}',
        "update={}",
        ("tests/energy/test_recount.py",),
    ),
    Mutation(
        "zeros of a conventional network are found for nothing",
        "energy/baseline_operations.py",
        "yield Block(at.sources(terms.ZERO_COMPARISON), sources)",
        "yield Block(at.sources(terms.ZERO_COMPARISON), 0 * sources)",
        ("tests/energy/test_recount.py",),
    ),
    Mutation(
        "a longer window reads the image again",
        "energy/due_once.py",
        "_ONCE: Final = (terms.PIXEL_READ, ",
        "_ONCE: Final = (",
        ("tests/energy/test_break_even.py",),
    ),
    Mutation(
        "the verdict chooses by test images",
        "energy/verdict.py",
        "accuracies.validation_percent >= level_percent",
        "accuracies.test_percent >= level_percent",
        ("tests/energy/test_verdict.py",),
    ),
    Mutation(
        "prices of 8 bits take a network of floating point",
        "energy/profiles.py",
        "return integers and weight_bits",
        "return weight_bits",
        ("tests/energy/test_verdict.py",),
    ),
    Mutation(
        "the interval is one-sided",
        "energy/statistics.py",
        "[(1 - confidence) / 2, (1 + confidence) / 2]",
        "[1 - confidence, (1 + confidence) / 2]",
        ("tests/energy/test_analysis.py",),
    ),
    Mutation(
        "a window at the border ends one place early",
        "graphs/kernels/synapses.py",
        "(size - 1 - at) // dilation + 1",
        "(size - 1 - at) // dilation",
        FOREIGN_WINDOWS,
    ),
    Mutation(
        "a kernel is read from its last row to its first",
        "graphs/kernels/synapses.py",
        "(c * slide.kernel_y + tap_y) * slide.kernel_x",
        "(c * slide.kernel_y + slide.kernel_y - 1 - tap_y) * slide.kernel_x",
        FOREIGN_WINDOWS,
    ),
    Mutation(
        "of few spikes, every sample has those of the first",
        "graphs/kernels/synapses.py",
        "first + lane,",
        "first,",
        FOREIGN_SUMS,
    ),
    Mutation(
        "squares of samples and targets change places by halves",
        "graphs/kernels/vectors.py",
        "else LANES + k - size",
        "else LANES + k",
        FOREIGN_SUMS,
    ),
    Mutation(
        "what a convolution gives to a later block of samples arrives at the first",
        "graphs/kernels/synapses.py",
        "(b * n_out + target) * n_places",
        "target * n_places",
        FOREIGN_BATCHES,
    ),
    Mutation(
        "the neurons of a later block are listed as those of the first",
        "graphs/kernels/vectors.py",
        "unit = builder.add(first_unit, loop.index)",
        "unit = loop.index",
        FOREIGN_BATCHES,
    ),
    Mutation(
        "an input that fired once fires on",
        "graphs/kernels/lists.py",
        "amounts[b, units[b, k]] = 0",
        "amounts[b, units[b, k]] *= 1",
        FOREIGN,
    ),
    Mutation(
        "a node that is its own source begins its sums in what it gave",
        "graphs/batch.py",
        "if spikes or adds_own else",
        "if spikes else",
        FOREIGN,
    ),
    Mutation(
        "a fan-out is not cut at the border",
        "graphs/windows.py",
        "(rest == 0) & (outputs >= 0) & (outputs < n_out)",
        "(rest == 0) & (outputs >= 0)",
        FOREIGN_WINDOWS,
    ),
    Mutation(
        "a synaptic current of the next step moves the potential at once",
        "graphs/actions.py",
        "own[::-1] if later else own",
        "own",
        FOREIGN,
    ),
    Mutation(
        "a delay is a step too long",
        "graphs/kernels/lists.py",
        "slot + depth - steps[unit]",
        "slot + depth - 1 - steps[unit]",
        FOREIGN,
    ),
    Mutation(
        "what is behind pooling is counted as events",
        "graphs/batch.py",
        "of_spikes if source in self.plan.spiking else of_values",
        "of_spikes",
        FOREIGN,
    ),
    Mutation(
        "an edge waits that leads away from the input",
        "graphs/order.py",
        "key=lambda name: (distance[name], name)",
        "key=lambda name: (-distance[name], name)",
        FOREIGN,
    ),
    Mutation(
        "a second state costs nothing to keep",
        "energy/graph_operations.py",
        "n_states += node.n_out",
        "n_states += 0",
        FOREIGN_PRICES,
    ),
)


def main(words: Sequence[str]) -> int:
    """Try every mutation whose name holds one of the words; returns the exit status."""
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    if not chosen:
        print(f"error: no mutation's name holds {' or '.join(words)}.", file=sys.stderr)
        return 1
    problems = [problem for each in chosen if (problem := problem_of(each))]
    if problems:
        print("\n".join(f"error: {problem}" for problem in problems), file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="mutations-") as name:
        project = Path(name) / "project"
        copy_project(project)
        caught_by = [found for each in chosen if (found := catcher(project, each))]
        status, output = run_tests(project, tuple(dict.fromkeys(caught_by)))
        if status != PASSED:
            print(f"error: some of them fail without a mutation too:\n{output}", file=sys.stderr)
            return 1
    print(f"\n{len(caught_by)} of {len(chosen)} mutations were caught.")
    return 0 if len(caught_by) == len(chosen) else 1


def problem_of(mutation: Mutation) -> str:
    """Why a mutation cannot be tried; empty if it can."""
    path = REPOSITORY / PACKAGE / mutation.file
    times = path.read_text(encoding="utf-8").count(mutation.before) if path.is_file() else 0
    files = [test.partition("::")[0] for test in mutation.tests]
    missing = [name for name in files if not (REPOSITORY / name).is_file()]
    if times == 1 and not missing:
        return ""
    what = f"there is no {missing[0]}" if missing else f"stands {times} times, not once"
    return f"mutation '{mutation.name}': {mutation.before!r} of {path.name}: {what}."


def copy_project(project: Path) -> None:
    """Copy what the tests need: the code, and the small files beside it."""
    folders = ("src", "stages", "benchmarks", "tests", "docs", "metrics")
    for folder in folders:
        if (REPOSITORY / folder).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(REPOSITORY / folder, project / folder, ignore=ignored)
    for path in REPOSITORY.iterdir():
        if path.is_file() and not path.name.startswith("mlflow.db"):
            shutil.copy2(path, project / path.name)


def catcher(project: Path, mutation: Mutation) -> str:
    """The test that notices a mutation, empty if none does; prints a row of the table."""
    path = project / PACKAGE / mutation.file
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace(mutation.before, mutation.after), encoding="utf-8")
    started = time.monotonic()
    try:
        status, output = run_tests(project, mutation.tests)
    finally:
        path.write_text(content, encoding="utf-8")
    failed = re.search(r"^FAILED (tests/.*?)(?: - .*)?$", output, flags=re.MULTILINE)
    found = failed[1] if status == FAILED and failed else ""
    if found:
        outcome = f"caught by {found}"
    else:
        outcome = "SURVIVED" if status == PASSED else f"not tried, pytest gave {status}:\n{output}"
    seconds = time.monotonic() - started
    print(f"{mutation.file}: {mutation.name}: {outcome} ({seconds:.0f} s)", flush=True)
    return found


def run_tests(project: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run quick tests in the copy until one fails: the exit status, and what pytest said."""
    environment = clean_environment(project.parent)
    environment["NUMBA_CACHE_DIR"] = str(project.parent / "kernels")
    options = ("-m", "not slow", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
