"""The benchmark's rows compute the same neuron, and its figures add up."""

import json
import re
import socket
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from benchmarks import growth, machine, profile
from benchmarks.__main__ import main
from benchmarks.job import CONVOLUTIONAL_JOB, LATENCY_JOB, RECURRENT_JOB, SEED_JOB, Job
from benchmarks.limit import (
    AdamArrays,
    AdditionArrays,
    AdditionStream,
    add_events,
    update_rows,
)
from benchmarks.measurement import Measurement, Plan
from benchmarks.rows import RowProcesses, build
from benchmarks.speed import check_losses, speed_table, summarize
from docs.site.speed import (
    accelerate_rows,
    growth_rows,
    plain,
    plain_graphs,
    pricing_rows,
)
from spikejoule.core.errors import SpikejouleError
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.events import EventList
from tests import naive
from tests.tools.sensor_files import write_idx_files

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT.parent / "shared" / "seed" / "surrogate_gradient_snn_notebook.txt"
SMALL_JOB = Job(in_shape=(12,), layers=("9",), n_output=4, time_window=15, batch_size=5)
TORCH_ROWS = ("seed_loop", "snntorch", "spikingjelly", "torch_time_batched")
LIBRARY_OF_ROW = {"snntorch": "snntorch", "spikingjelly": "spikingjelly"}


def build_or_skip(name, job):
    """Make a row; skip if its library, from the extra `bench`, is missing."""
    if name in LIBRARY_OF_ROW:
        pytest.importorskip(
            LIBRARY_OF_ROW[name], reason="the extra `bench` is not installed"
        )
    return build(name, job)


def dyadic_state(job, generator):
    """Multiples of 1/64 as weights: their sums are exact in float32 in any order."""
    state = {}
    for name, shape in job.network.parameter_shapes().items():
        low, high = (-4, 8) if name.endswith("bias") else (-24, 40)
        state[name] = (generator.integers(low, high, shape) / 64).astype(np.float32)
    return state


@pytest.fixture
def digits():
    """Synthetic images of four classes, each with seven lit rows."""
    generator = np.random.default_rng(3)
    labels = np.arange(80, dtype=np.uint8) % 4
    pixels = generator.integers(0, 60, (80, 28, 28)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[7 * label : 7 * label + 7] = 255
    return LabelledImages(pixels, labels, np.arange(80))


@pytest.fixture
def in_place_of_mnist(tmp_path, monkeypatch, digits):
    """The synthetic images, where the benchmark looks for MNIST."""
    part = (digits.images, digits.labels)
    write_idx_files(tmp_path, part, part)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))


CONVOLUTIONS = [("convolution", 3, 3, 2, 0, 1), ("convolution", 4, 2, 1, 0, 1)]
SMALL_CONVOLUTIONAL = replace(
    CONVOLUTIONAL_JOB, in_shape=(2, 6, 5), layers=("3c3s2", "4c2")
)
SMALL_RECURRENT = replace(RECURRENT_JOB, in_shape=(12,), layers=("9r",))
ANY_LAYER = ("snntorch", "spikingjelly")


@pytest.mark.parametrize(
    ("name", "job", "described"),
    [
        *((name, SMALL_JOB, [("dense", 9, False)]) for name in TORCH_ROWS),
        # Potentials equal the threshold, where >= and > differ.
        *(
            (name, replace(SMALL_JOB, decay=0.5), [("dense", 9, False)])
            for name in TORCH_ROWS
        ),
        *((name, SMALL_CONVOLUTIONAL, CONVOLUTIONS) for name in ANY_LAYER),
        *((name, SMALL_RECURRENT, [("dense", 9, True)]) for name in ANY_LAYER),
    ],
)
def test_gradients_equal_those_of_the_naive_loop(name, job, described):
    """A spike too many, too few or too late changes them."""
    job = replace(job, n_output=4, time_window=15, batch_size=4)
    row = build_or_skip(name, job)
    generator = np.random.default_rng(1)
    state = dyadic_state(job, generator)
    shape = (job.batch_size, job.time_window, job.n_input)
    spikes = (generator.random(shape) < 0.3).astype(np.float32)
    labels = generator.integers(0, job.n_output, job.batch_size)
    row.load_weights(state)
    model = naive.Model(
        naive.Neuron(job.threshold, job.decay, job.reset),
        (job.surrogate, job.surrogate_slope),
        populations=naive.chain(job.in_shape, [*described, ("dense", 4, False)]),
    )
    expected = naive.batch_gradient(state, spikes, labels.tolist(), model)
    for fired in expected.spikes:
        assert 0 < fired.mean() < 0.95
    row.optimizer.zero_grad()
    row.loss(row.arrange(torch.from_numpy(spikes)), torch.from_numpy(labels)).backward()
    gradients = dict(row.network.named_parameters())
    assert gradients.keys() == expected.gradients.keys()
    for key, value in expected.gradients.items():
        scale = np.abs(value).max()
        assert scale > 0
        gradient = gradients[key].grad.numpy()
        np.testing.assert_allclose(gradient, value, rtol=0, atol=1e-5 * scale)


def dense_spikes(encoded, job):
    """Return what a row encodes to as an array [B, T, I]."""
    if isinstance(encoded, EventList):
        return encoded.to_dense(np.float32)
    if isinstance(encoded, torch.Tensor):
        batch_first = encoded.shape[1] == job.time_window
        return (encoded if batch_first else encoded.transpose(0, 1)).numpy()
    rows = torch.zeros(job.time_window * encoded.n_samples, job.n_input)
    row = torch.repeat_interleave(torch.arange(len(rows)), encoded.offsets.diff())
    rows[row, encoded.sources] = 1
    return rows.view(job.time_window, encoded.n_samples, -1).transpose(0, 1).numpy()


@pytest.mark.parametrize("name", TORCH_ROWS)
def test_latency_spikes_are_this_projects(name, mnist5k):
    """Spike by spike, for every pixel level and for real digits."""
    job = LATENCY_JOB
    levels = np.resize(np.arange(256, dtype=np.uint8), (2, 784))
    pixels = np.concatenate([levels, mnist5k.test.images[:30].reshape(30, 784)])
    encoded = []
    for row in (build_or_skip(name, job), build("event", job)):
        row.prepare(pixels, np.zeros(32, np.uint8))
        encoded.append(dense_spikes(row.encode(np.arange(21)), job))
    np.testing.assert_array_equal(*encoded)


def test_the_seed_loop_encodes_as_the_seed(digits):
    if not NOTEBOOK.is_file():
        pytest.skip("the original notebook is not here")
    cells = NOTEBOOK.read_text(encoding="utf-8").split("In [None]:\n")
    names = {"torch": torch, "nn": torch.nn, "np": np}
    cell = next(cell for cell in cells if "Cell 3:" in cell)
    exec(cell.split("# Load MNIST")[0], names)
    row = build("seed_loop", SEED_JOB)
    row.prepare(digits.images, digits.labels)
    encoded = row.encode(np.arange(4))
    np.random.seed(SEED_JOB.seed)
    tensors = torch.from_numpy(digits.images[:4]).float().div(255).unsqueeze(1)
    theirs = names["prepare_spike_batch"](tensors, 50, 80)
    torch.testing.assert_close(encoded, theirs, rtol=0, atol=0)


@pytest.mark.slow  # seconds of compilation
def test_additions_of_the_limit_equal_the_obvious_sums():
    n_units = 400
    group_samples = 3
    generator = np.random.default_rng(n_units)
    dense = generator.random((5, 7, 23)) < 0.2
    weight = generator.integers(-9, 9, (n_units, 23)).astype(np.float32)
    n_rows = 7 * group_samples
    arrays = AdditionArrays.of(weight, n_rows)
    deltas = arrays.deltas.reshape(n_rows, -1)
    deltas[:, :n_units] = generator.integers(-9, 9, (n_rows, n_units))
    stream = AdditionStream.of(EventList.from_dense(dense), group_samples)
    add_events(stream, arrays, 2)
    gradients = arrays.gradients.reshape(23, -1)[:, :n_units]
    expected = np.zeros((23, n_units))
    for sample, step, source in np.argwhere(dense):
        expected[source] += deltas[sample % group_samples * 7 + step, :n_units]
    np.testing.assert_array_equal(
        arrays.currents[:n_units], dense.sum((0, 1)) @ weight.T
    )
    np.testing.assert_array_equal(gradients, expected)
    # Adam's memory traffic: each row that a batch reached, once.
    adam = AdamArrays.of(arrays)
    before = arrays.weights.reshape(23, -1)[:, :n_units].copy()
    update_rows(stream, adam, 2)
    moments = adam.first_moments.reshape(23, -1)[:, :n_units]
    np.testing.assert_array_equal(moments, expected)
    after = arrays.weights.reshape(23, -1)[:, :n_units]
    np.testing.assert_array_equal(after - before, expected)
    assert not arrays.gradients.any()


def test_the_profile_adds_up_and_leaves_nothing_behind(digits):
    kept = [getattr(*call) for call in profile.CALLS.values()]
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        row, batches = profile.trained(digits.images, digits.labels, batches=1)
        found = profile.profile(row, batches)
    finally:
        numba.set_num_threads(threads)
    assert all(found[name] > 0 for name in ("encode", "gradient", "optimizer", "total"))
    parts = ("encode", "gradient", "gather", "optimizer", "rest")
    assert found["total"] == pytest.approx(sum(found[name] for name in parts))
    assert [getattr(*call) for call in profile.CALLS.values()] == kept


@pytest.mark.slow
@pytest.mark.usefixtures("in_place_of_mnist")
def test_speed_is_measured_and_written(tmp_path, capsys):
    """From the command line; data other than MNIST need `--allow-small`."""
    out = tmp_path / "metrics" / "benchmark.json"
    command = [
        *("speed", "--jobs", "poisson", "--rounds", "1", "--batches", "2"),
        *("--rows", "dense", "event", "limit", "--seconds", "0", "--warmup", "1"),
        *("--threads", "1", "--allow-load", "--output", str(out)),
    ]
    assert main(command) == 1
    errors = capsys.readouterr().err
    assert re.search(r"error: .*full MNIST.*not MNIST.*--allow-small.*\n", errors)
    assert not out.exists()
    assert main([*command, "--allow-small"]) == 0
    printed = re.findall(r"(\w+), (\d+) steps:\n", capsys.readouterr().out)
    assert printed == [("poisson", "50")]
    summary = json.loads(out.read_text())
    assert summary["job"]["name"] == "poisson"
    assert summary["rows"].keys() == {"dense", "event", "limit"}
    for row in ("dense", "event"):
        figures = summary["rows"][row]
        assert figures["seconds_per_epoch"]["median"] > 0
        assert figures["images_per_second"]["median"] > 0
        assert 20 < figures["peak_mib"] < 4000
    assert summary["ratios"]["fastest_peer"] == "dense"
    assert summary["machine"]["threads"] == 1
    assert socket.gethostname() not in out.read_text()
    assert str(Path.home()) not in out.read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("in_place_of_mnist")
def test_growth_is_measured_and_written(tmp_path, capsys, monkeypatch):
    pytest.importorskip("spikingjelly", reason="needs spikingjelly: `interop`")
    jobs = [replace(SEED_JOB, layers=("16",) * depth) for depth in (1, 2)]
    points = [growth.Point(len(job.layers), job, 3_000, 1_000) for job in jobs]
    monkeypatch.setattr(growth, "SERIES", {"depth": points})
    out = tmp_path / "growth.json"
    options = ["--threads", "1", "--batches", "1", "--output", str(out)]
    assert main(["growth", *options, "--allow-small", "--allow-load"]) == 0
    content = json.loads(out.read_text())
    assert content["protocol"]["rounds"] == 3
    measured = content["series"]["depth"]
    shallow, deep = (point["seconds"] for point in measured["points"])
    assert deep.keys() - shallow.keys() == {"event, sampled"}
    power = np.log2(deep["event"] / shallow["event"])
    assert measured["exponents"]["event"] == pytest.approx(power)
    assert f"^{power:.2f}" in capsys.readouterr().out


def test_a_busy_machine_is_refused_unless_allowed(monkeypatch):
    monkeypatch.setattr(machine, "load_of_others", lambda: 1.3)
    with pytest.raises(SpikejouleError, match=r"use 1\.3 of the .* --allow-load"):
        machine.describe(threads=1, allow_load=False)
    assert machine.describe(threads=1, allow_load=True)["load_before"] == 1.3


def test_the_recorded_growth_comes_from_a_quiet_machine():
    recorded = json.loads((ROOT / "metrics" / "growth.json").read_text())
    assert recorded["machine"]["load_before"] <= machine.QUIET_CORES
    assert recorded["protocol"]["rounds"] >= 3


@pytest.mark.parametrize(
    ("file", "table"),
    [
        ("growth", lambda content: plain(growth_rows(content["series"]))),
        ("graphs", plain_graphs),
        ("pricing", lambda content: plain(pricing_rows(content))),
        ("accelerate", lambda content: plain(accelerate_rows(content))),
    ],
)
def test_tables_fit_the_terminal(file, table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    content = json.loads((ROOT / "metrics" / f"{file}.json").read_text())
    assert max(map(len, table(content).splitlines())) <= 100


def test_a_row_that_cannot_be_measured_is_an_error(tmp_path):
    with pytest.raises(SpikejouleError, match=r"seed_loop could not be.*absent\.npz"):
        RowProcesses(tmp_path / "absent.npz", 1).measure("seed_loop", SEED_JOB, Plan())


def test_medians_of_rounds_and_ratios():
    def row(*seconds, rate=1e3):
        return Measurement(list(seconds), [rate], loss=1.0)

    summary = summarize(
        {
            "seed_loop": [row(1.0, 2.0, 99.0), row(4.0), row(50.0, 60.0)],
            "torch_time_batched": [row(3.0)],
            "event": [row(0.5, rate=6e4)],
            "limit": [Measurement([0.25])],
        }
    )
    assert summary["rows"]["seed_loop"]["seconds_per_epoch"]["median"] == 4.0
    assert summary["ratios"]["event_over_fastest_peer"] == 6.0
    assert summary["ratios"]["over_seed_loop"]["event"] == 8.0
    assert summary["ratios"]["event_time_over_limit"] == 2.0
    assert re.search(r"event +0.50 +8.0 +0 +60,000 +60.0", speed_table(summary))


def test_rows_that_do_another_job_are_refused():
    rows = {name: [Measurement([1.0], first_loss=1.0)] for name in ("dense", "event")}
    check_losses(rows | {"limit": [Measurement([1.0])]})
    with pytest.raises(
        SpikejouleError, match=r"not do the same job.*'snntorch': 1\.02"
    ):
        check_losses(rows | {"snntorch": [Measurement([1.0], first_loss=1.02)]})


def test_the_recorded_price_costs_little_more_than_the_models_own_run():
    recorded = json.loads((ROOT / "metrics" / "pricing.json").read_text())
    for model in recorded["models"]:
        assert model["time_ratio"] <= 1.3, model["network"]
        assert model["memory_ratio"] <= 1.3, model["network"]


def test_a_recorded_tracker_makes_steps_little_longer():
    recorded = json.loads((ROOT / "metrics" / "track.json").read_text())
    assert recorded["machine"]["load_before"] <= 0.5
    for loop in recorded["loops"]:
        # Watching takes a fixed time per module call: more of a shorter step.
        is_long = loop["seconds_per_batch"]["untracked"] > 0.06
        is_called_once = "step by step" not in loop["loop"]
        limit = 1.2 if is_long and is_called_once else 1.8
        assert loop["ratio"] <= limit, (loop["network"], loop["loop"])
