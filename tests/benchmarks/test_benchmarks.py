"""The benchmark: its rows compute the neuron they claim to, and its numbers are added up right."""

import json
import logging
import re
import socket
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import psutil
import pytest
import torch

from benchmarks import profile
from benchmarks.__main__ import main
from benchmarks.job import CONVOLUTIONAL_JOB, LATENCY_JOB, RECURRENT_JOB, SEED_JOB, Job
from benchmarks.limit import AdditionArrays, AdditionStream, add_events
from benchmarks.measurement import Measurement, Plan
from benchmarks.rows import build, measure_row
from benchmarks.speed import check_losses, summarize
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
    """The row's implementation; a visible skip without the extra `bench`."""
    if name in LIBRARY_OF_ROW:
        pytest.importorskip(LIBRARY_OF_ROW[name], reason="the extra `bench` is not installed")
    return build(name, job)


def dyadic_state(job, generator):
    """Weights that are multiples of 1/64: sums of them are exact in float32 in any order."""
    state = {}
    for name, shape in job.network.parameter_shapes().items():
        low, high = (-4, 8) if name.endswith("bias") else (-24, 40)
        state[name] = (generator.integers(low, high, shape) / 64).astype(np.float32)
    return state


def spikes_and_labels(job, generator, density=0.3):
    shape = (job.batch_size, job.time_window, job.n_input)
    spikes = (generator.random(shape) < density).astype(np.float32)
    return spikes, generator.integers(0, job.n_output, job.batch_size)


def spikes_of(row, inputs):
    """Of each layer [B, T, units], for given input spikes [B, T, I]."""
    emitted = [[] for _ in row.layers]
    each_step = hasattr(row, "_step")  # as the notebook's loop; else all steps at once
    name = "_step" if each_step else "neurons_fire"
    call = getattr(row, name)

    def recorded(number, *arguments):
        result = call(number, *arguments)
        emitted[number].append(result[0] if each_step else result.flatten(2).transpose(0, 1))
        return result

    setattr(row, name, recorded)
    with torch.no_grad():
        row.counts(row.arrange(torch.from_numpy(inputs)))
    delattr(row, name)
    return [(torch.stack(of, 1) if each_step else of[0]).numpy() for of in emitted]


def gradients_of(row, inputs, labels):
    """Of the loss, before clipping."""
    row.optimizer.zero_grad()
    row.loss(row.arrange(torch.from_numpy(inputs)), torch.from_numpy(labels)).backward()
    return {name: of.grad.numpy() for name, of in row.network.named_parameters()}


@pytest.fixture
def digits():
    """Made-up images of four classes that can be told apart: each lights seven rows."""
    generator = np.random.default_rng(3)
    labels = np.arange(80, dtype=np.uint8) % 4
    pixels = generator.integers(0, 60, (80, 28, 28)).astype(np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[7 * label : 7 * label + 7] = 255
    return LabelledImages(pixels, labels, np.arange(80))


@pytest.fixture
def in_place_of_mnist(tmp_path, monkeypatch, digits):
    """The made-up images, where the benchmark looks for the files of MNIST."""
    of_digits = digits.images, digits.labels
    write_idx_files(tmp_path, of_digits, of_digits)
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))


@pytest.mark.parametrize("decay", [0.5, 0.9])
@pytest.mark.parametrize("name", TORCH_ROWS)
def test_spikes_and_gradients_equal_the_naive_loop(name, decay):
    job = replace(SMALL_JOB, decay=decay)
    row = build_or_skip(name, job)
    generator = np.random.default_rng(1)
    state = dyadic_state(job, generator)
    spikes, labels = spikes_and_labels(job, generator)
    row.load_weights(state)
    of_samples = [naive.forward(state, sample, job.threshold, decay) for sample in spikes]
    for layer, found in enumerate(spikes_of(row, spikes)):
        potentials, emitted = (np.array([of[layer][k] for of in of_samples]) for k in (0, 1))
        assert 0 < emitted.mean() < 0.95
        # Dyadic weights and decay bring potentials onto the threshold itself: >= and > differ.
        assert decay == 0.9 or layer or (potentials == job.threshold).any()
        np.testing.assert_array_equal(found, emitted)
    expected = naive.batch_gradient(
        state, spikes, labels, (job.threshold, decay), ("constant", job.surrogate_slope)
    ).gradients
    gradients = gradients_of(row, spikes, labels)
    assert gradients.keys() == expected.keys()
    for key, value in expected.items():
        scale = np.abs(value).max()
        assert scale > 0
        np.testing.assert_allclose(gradients[key], value, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", ["snntorch", "spikingjelly"])
@pytest.mark.parametrize(
    ("any_job", "in_shape", "layers", "described"),
    [(CONVOLUTIONAL_JOB, (2, 6, 5), ("3c3s2", "4c2"),
      [("convolution", 3, 3, 2, 0, 1), ("convolution", 4, 2, 1, 0, 1)]),
     (RECURRENT_JOB, (12,), ("9r",), [("dense", 9, True)])],
    ids=["convolution", "recurrence"],
)  # fmt: skip
def test_every_kind_of_layer_equals_the_naive_loop(name, any_job, in_shape, layers, described):
    job = replace(
        any_job, in_shape=in_shape, layers=layers, n_output=4, time_window=6, batch_size=4
    )
    row, generator = build_or_skip(name, job), np.random.default_rng(1)
    state = dyadic_state(job, generator)
    spikes, labels = spikes_and_labels(job, generator)
    row.load_weights(state)
    populations = naive.chain(in_shape, [*described, ("dense", 4, False)])
    batch = naive.batch_gradient(
        state, spikes, labels.tolist(), (job.threshold, job.decay, job.reset),
        (job.surrogate, job.surrogate_slope), populations=populations,
    )  # fmt: skip
    for found, expected in zip(spikes_of(row, spikes), batch.spikes, strict=True):
        assert 0 < expected.mean() < 0.95
        np.testing.assert_array_equal(found, expected)
    found = gradients_of(row, spikes, labels)
    assert found.keys() == batch.gradients.keys()
    for key, value in batch.gradients.items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-5 * np.abs(value).max())


def dense_spikes(encoded, job):
    """Whatever a row encodes to, as [B, T, I]."""
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
class TestEncoders:
    def test_latency_spikes_are_this_projects(self, name, mnist5k):
        """Every level, those at the threshold and around it, and real digits: spike by spike."""
        job = LATENCY_JOB
        levels = np.resize(np.arange(256, dtype=np.uint8), (2, 784))
        pixels = np.concatenate([levels, mnist5k.test.images[:30].reshape(30, 784)])
        indices = np.arange(21)[::-1].copy()
        rows = [build_or_skip(name, job), build("event", job)]
        for row in rows:
            row.prepare(pixels, np.zeros(32, np.uint8))
        theirs, ours = (dense_spikes(row.encode(indices), job) for row in rows)
        np.testing.assert_array_equal(theirs, ours)


def test_the_seed_loop_encodes_as_the_seed(digits):
    if not NOTEBOOK.is_file():
        pytest.skip("the seed notebook is not here")
    cells = NOTEBOOK.read_text(encoding="utf-8").split("In [None]:\n")
    names = {"torch": torch, "nn": torch.nn, "np": np}
    exec(next(cell for cell in cells if "Cell 3:" in cell).split("# Load MNIST")[0], names)
    row = build("seed_loop", SEED_JOB)
    row.prepare(digits.images, digits.labels)
    encoded = row.encode(np.arange(4))
    np.random.seed(SEED_JOB.seed)
    tensors = torch.from_numpy(digits.images[:4]).float().div(255).unsqueeze(1)
    theirs = names["prepare_spike_batch"](tensors, 50, 80)
    torch.testing.assert_close(encoded, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("n_units", "n_lanes", "group_samples"), [(10, 1, 1), (400, 2, 2), (400, 3, 16)]
)
def test_additions_of_the_limit_equal_the_obvious_sums(n_units, n_lanes, group_samples):
    generator = np.random.default_rng(n_units)
    dense = generator.random((5, 7, 23)) < 0.2
    weight = generator.integers(-9, 9, (n_units, 23)).astype(np.float32)
    n_rows = 7 * group_samples
    arrays = AdditionArrays.of(weight, n_rows)
    deltas = arrays.deltas.reshape(n_rows, -1)
    deltas[:, :n_units] = generator.integers(-9, 9, (n_rows, n_units))
    stream = AdditionStream.of(EventList.from_dense(dense), group_samples)
    add_events(stream, arrays, n_lanes)
    gradients = arrays.gradients.reshape(23, -1)[:, :n_units]
    expected = np.zeros((23, n_units))
    for sample, step, source in np.argwhere(dense):
        expected[source] += deltas[sample % group_samples * 7 + step, :n_units]
    np.testing.assert_array_equal(arrays.currents[:n_units], dense.sum((0, 1)) @ weight.T)
    np.testing.assert_array_equal(gradients, expected)


def test_the_profile_adds_up_and_leaves_nothing_behind(digits):
    kept = [getattr(*call) for call in profile.CALLS.values()]
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        row, chosen = profile.trained(digits.images, digits.labels, batches=1)
        found = profile.profile(row, chosen)
    finally:
        numba.set_num_threads(threads)
    assert all(found[name] > 0 for name in ("encode", "gradient", "optimizer", "total"))
    parts = ("encode", "gradient", "gather", "optimizer", "rest")
    assert found["total"] == pytest.approx(sum(found[name] for name in parts))
    assert [getattr(*call) for call in profile.CALLS.values()] == kept


class TestSpeed:
    @pytest.mark.slow
    @pytest.mark.usefixtures("in_place_of_mnist")
    def test_it_is_measured_and_written(self, tmp_path, capsys, caplog):
        """One run from the command line: other images are refused unless they are allowed."""
        caplog.set_level(logging.ERROR)
        out = tmp_path / "metrics" / "benchmark.json"
        command = [
            "speed", "--jobs", "poisson", "recurrent", "--rounds", "1",
            "--rows", "dense", "event", "limit",
            "--batches", "2", "--seconds", "0", "--warmup", "1", "--threads", "1",
            "--output", str(out),
        ]  # fmt: skip
        assert main(command) == 1
        errors = capsys.readouterr().err
        assert re.fullmatch(r"error: .*full MNIST.*not MNIST.*--allow-small.*\n", errors)
        assert not out.exists()
        assert main([*command, "--allow-small"]) == 0
        printed = re.findall(r"(\w+), (\d+) steps:\n", capsys.readouterr().out)
        assert printed == [("poisson", "50"), ("recurrent", "28")]
        summary = json.loads(out.read_text())
        for name in ("poisson", "recurrent"):
            of_job = summary.get(name, summary)
            assert of_job["job"]["name"] == name
            assert set(of_job["training"]) == set(of_job["inference"]) == {"dense", "event"}
            assert all(value > 0 for value in of_job["training"].values())
            assert all(20 < value < 4000 for value in of_job["memory"]["peak_mib"].values())
            assert of_job["images_timed"] == {"dense": 128, "event": 80}
            assert of_job["ratios"]["fastest_peer"] == "dense"
            assert ("event_time_over_limit" in of_job["limit"]) == (name == "poisson")
        assert summary["protocol"]["batches_per_epoch"] == 2
        assert summary["machine"]["threads"] == 1
        assert socket.gethostname() not in out.read_text()
        assert str(Path.home()) not in out.read_text()

    def test_a_row_that_cannot_be_measured_is_an_error(self, tmp_path):
        with pytest.raises(SpikejouleError, match=r"seed_loop could not be.*absent\.npz"):
            measure_row("seed_loop", SEED_JOB, Plan(), tmp_path / "absent.npz", 1)

    def test_medians_and_ratios(self):
        def row(seconds, rate, **further):
            return Measurement(seconds, [rate], loss=1.0, peak_mib=2.0, **further)

        measured = {
            "seed_loop": [row([1.0, 2.0, 99.0], 1e3), row([4.0], 1e3), row([50.0, 60.0], 1e3)],
            "snntorch": [row([6.0], 1500.0)],
            "torch_time_batched": [row([3.0], 2000.0)],
            "event": [row([0.5], 60_000.0, images=60_000, foreign_cores=0.25)],
            "limit": [Measurement([0.25, 0.25], further={"group_samples": 16})],
        }
        summary = summarize(measured)
        assert summary["training"]["seed_loop"] == 4.0
        ratios = summary["ratios"]
        assert ratios["fastest_peer"] == "torch_time_batched"
        assert ratios["event_training_over_fastest_peer"] == 6.0
        assert ratios["training_over_seed_loop"]["event"] == 8.0
        assert ratios["inference_over_seed_loop"]["event"] == 60.0
        assert summary["limit"]["event_time_over_limit"] == 2.0
        assert summary["memory"]["peak_mib"]["event"] == 2.0
        assert summary["foreign_cores"]["event"] == 0.25

    def test_rows_that_do_another_job_are_refused(self):
        rows = {name: [Measurement([1.0], first_loss=1.0)] for name in ("dense", "event")}
        check_losses(rows | {"limit": [Measurement([1.0])]})
        with pytest.raises(SpikejouleError, match=r"not do the same job.*'snntorch': 1\.02"):
            check_losses(rows | {"snntorch": [Measurement([1.0], first_loss=1.02)]})


@pytest.mark.usefixtures("in_place_of_mnist")
def test_an_epoch_beside_busy_processes(tmp_path):
    out = tmp_path / "busy.json"
    before = {child.pid for child in psutil.Process().children()}
    assert main(["busy", "--epochs", "1", "--allow-small", "--output", str(out)]) == 0
    found = json.loads(out.read_text())
    ratio = found["beside_busy_seconds"] / (2 * found["idle_seconds"])
    assert found["over_fair_time"] == pytest.approx(ratio)
    assert (found["busy_processes"], found["limit"]) == (found["machine"]["cores"], 1.5)
    assert {child.pid for child in psutil.Process().children()} == before
