"""The benchmark: its rows compute the neuron they claim to, and its numbers are added up right."""

import argparse
import gzip
import json
import logging
import os
import re
import runpy
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

from benchmarks import growth, images, machine, memory, profile, speed
from benchmarks.job import JOBS, LATENCY_JOB, SEED_JOB, Job, initial_state
from benchmarks.limit import AdditionArrays, AdditionStream, add_events
from benchmarks.measure import MissingRowError, measure_rounds, measure_row, rotated
from benchmarks.peers.protocol import EpochImplementation, Implementation
from benchmarks.plan import Measurement, Plan
from benchmarks.plans import work_of_plans
from benchmarks.rows import FURTHER_ROWS, PEERS, ROWS, build
from benchmarks.summary import markdown_table, median_and_quartiles, summarize
from spikejoule.core.errors import DataError, SpikejouleError
from spikejoule.data.images import DataDescription, ImageCounts, LabelledImages, save_images
from spikejoule.encoding.events import EventList
from spikejoule.engine import event

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT.parent / "shared" / "seed" / "surrogate_gradient_snn_notebook.txt"
SMALL_JOB = Job(n_input=12, n_hidden=9, n_output=4, time_window=15, batch_size=5)
TORCH_ROWS = ("seed_loop", *PEERS, *FURTHER_ROWS)
LIBRARY_OF_ROW = {"snntorch": "snntorch", "spikingjelly": "spikingjelly"}


def build_or_skip(name, job):
    """The row's implementation; a visible skip without the extra `bench`."""
    if name in LIBRARY_OF_ROW:
        pytest.importorskip(LIBRARY_OF_ROW[name], reason="the extra `bench` is not installed")
    return build(name, job)


def dyadic_state(job, generator):
    """Weights that are multiples of 1/64: sums of them are exact in float32 in any order."""
    sizes = (job.n_input, job.n_hidden, job.n_output)
    state = {}
    for layer in (1, 2):
        shape = (sizes[layer], sizes[layer - 1])
        state[f"layer{layer}.synapses.weight"] = generator.integers(-24, 40, shape) / 64
        state[f"layer{layer}.synapses.bias"] = generator.integers(-4, 8, shape[0]) / 64
    return {name: array.astype(np.float32) for name, array in state.items()}


def naive_forward(state, job, spikes, dtype=np.float32):
    """Spikes and potentials of both layers, neuron by neuron. [B, T, units] each."""
    layers = []
    decay, threshold = dtype(job.decay), dtype(job.threshold)
    for layer in (1, 2):
        weight = state[f"layer{layer}.synapses.weight"].astype(dtype)
        bias = state[f"layer{layer}.synapses.bias"].astype(dtype)
        n_samples, n_steps, _ = spikes.shape
        fired = np.zeros((n_samples, n_steps, len(bias)), dtype)
        potentials = np.zeros_like(fired)
        for sample in range(n_samples):
            for unit in range(len(bias)):
                v = dtype(0)
                for step in range(n_steps):
                    current = bias[unit]
                    for source in np.flatnonzero(spikes[sample, step]):
                        current = current + weight[unit, source]
                    v = decay * v + current
                    potentials[sample, step, unit] = v
                    if v >= threshold:
                        fired[sample, step, unit] = 1
                        v = dtype(0)
        layers.append((fired, potentials))
        spikes = fired
    return layers


def naive_gradients(state, job, spikes, labels):
    """Gradients of the mean cross-entropy by the chain rule written out, in float64."""
    (hidden, _), (output, _) = naive_forward(state, job, spikes, np.float64)
    counts = output.sum(1)
    exponentials = np.exp(counts - counts.max(1, keepdims=True))
    loss_by_count = exponentials / exponentials.sum(1, keepdims=True)
    loss_by_count[np.arange(len(labels)), labels] -= 1
    upstream = np.repeat(loss_by_count[:, None, :] / len(labels), job.time_window, axis=1)
    gradients = {}
    for layer, fired, inputs in ((2, output, hidden), (1, hidden, spikes)):
        by_potential = np.zeros_like(upstream)
        later = np.zeros_like(upstream[:, 0])
        for step in reversed(range(job.time_window)):
            kept = job.decay * (1 - fired[:, step])
            later = job.surrogate_gradient * upstream[:, step] + kept * later
            by_potential[:, step] = later
        gradients[f"layer{layer}.synapses.weight"] = np.einsum("bth,bti->hi", by_potential, inputs)
        gradients[f"layer{layer}.synapses.bias"] = by_potential.sum((0, 1))
        upstream = by_potential @ state[f"layer{layer}.synapses.weight"].astype(np.float64)
    return gradients


def spikes_and_labels(job, generator, density=0.3):
    shape = (job.batch_size, job.time_window, job.n_input)
    spikes = (generator.random(shape) < density).astype(np.float32)
    return spikes, generator.integers(0, job.n_output, job.batch_size)


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
def mnist_like_directory(tmp_path, digits):
    """IDX files of the made-up digits, which are not MNIST."""
    for part in ("train", "t10k"):
        header = struct.pack(">IIII", 0x803, *digits.images.shape)
        images_file = tmp_path / f"{part}-images-idx3-ubyte.gz"
        images_file.write_bytes(gzip.compress(header + digits.images.tobytes()))
        header = struct.pack(">II", 0x801, len(digits))
        labels_file = tmp_path / f"{part}-labels-idx1-ubyte.gz"
        labels_file.write_bytes(gzip.compress(header + digits.labels.tobytes()))
    return tmp_path


class TestNeurons:
    @pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_spikes_equal_the_naive_loop(self, name, decay):
        job = replace(SMALL_JOB, decay=decay)
        row = build_or_skip(name, job)
        generator = np.random.default_rng(1)
        state = dyadic_state(job, generator)
        spikes, _ = spikes_and_labels(job, generator)
        row.load_weights(state)
        hidden, output = row.spikes(spikes)
        (naive_hidden, potentials), (naive_output, _) = naive_forward(state, job, spikes)
        assert 0.05 < naive_hidden.mean() < 0.95
        assert naive_output.sum() > 0
        # Dyadic weights and decay bring potentials onto the threshold itself: >= and > differ.
        if decay != 0.9:
            assert (potentials == job.threshold).any()
        np.testing.assert_array_equal(hidden, naive_hidden)
        np.testing.assert_array_equal(output, naive_output)

    @pytest.mark.parametrize("decay", [0.9, 1.0])
    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_gradients_equal_the_chain_rule(self, name, decay):
        job = replace(SMALL_JOB, decay=decay)
        row = build_or_skip(name, job)
        generator = np.random.default_rng(2)
        state = dyadic_state(job, generator)
        spikes, labels = spikes_and_labels(job, generator)
        row.load_weights(state)
        gradients = row.gradients(spikes, labels)
        expected = naive_gradients(state, job, spikes, labels)
        assert gradients.keys() == expected.keys()
        for key, value in expected.items():
            scale = np.abs(value).max()
            assert scale > 0
            np.testing.assert_allclose(gradients[key], value, rtol=0, atol=1e-5 * scale)

    def test_cuba_node_of_spikingjelly_is_the_same_neuron(self):
        pytest.importorskip("spikingjelly", reason="the extra `bench` is not installed")
        from benchmarks.peers.spikingjelly import SpikingJelly

        row = SpikingJelly(SMALL_JOB, node="cuba")
        generator = np.random.default_rng(1)
        state = dyadic_state(SMALL_JOB, generator)
        spikes, labels = spikes_and_labels(SMALL_JOB, generator)
        row.load_weights(state)
        (naive_hidden, _), (naive_output, _) = naive_forward(state, SMALL_JOB, spikes)
        hidden, output = row.spikes(spikes)
        np.testing.assert_array_equal(hidden, naive_hidden)
        np.testing.assert_array_equal(output, naive_output)
        for key, value in naive_gradients(state, SMALL_JOB, spikes, labels).items():
            atol = 1e-5 * np.abs(value).max()
            np.testing.assert_allclose(row.gradients(spikes, labels)[key], value, atol=atol)

    def test_dense_first_layer_of_torch_gives_what_the_sparse_one_gives(self):
        from benchmarks.peers.torch_time_batched import TorchTimeBatched

        generator = np.random.default_rng(4)
        spikes, labels = spikes_and_labels(SMALL_JOB, generator)
        sparse, dense = (TorchTimeBatched(SMALL_JOB, first) for first in ("bag", "dense"))
        np.testing.assert_array_equal(sparse.spikes(spikes)[1], dense.spikes(spikes)[1])
        for key, value in dense.gradients(spikes, labels).items():
            np.testing.assert_allclose(
                sparse.gradients(spikes, labels)[key], value, rtol=1e-4, atol=1e-7
            )


class TestEncoders:
    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_rate_is_intensity_times_max_rate(self, name):
        job = replace(SEED_JOB, time_window=200)
        row = build_or_skip(name, job)
        pixels = np.zeros((40, 784), np.uint8)
        pixels[:, :300], pixels[:, 300:500] = 255, 64
        row.prepare(pixels, np.zeros(40, np.uint8))
        spikes = self.dense_spikes(row.encode(np.arange(40)), job)
        assert spikes.shape == (40, 200, 784)
        assert set(np.unique(spikes)) == {0.0, 1.0}
        for columns, intensity in ((slice(0, 300), 1.0), (slice(300, 500), 64 / 255)):
            probability = intensity * 0.08
            places = spikes[:, :, columns].size
            error = np.sqrt(probability * (1 - probability) / places)
            assert spikes[:, :, columns].mean() == pytest.approx(probability, abs=5 * error)
        assert spikes[:, :, 500:].sum() == 0
        # Steps and images are drawn independently of each other.
        assert len(np.unique(spikes[:, :, :300].reshape(-1, 300), axis=0)) == 40 * 200

    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_an_image_is_encoded_in_its_place(self, name):
        """A mix-up of samples, steps or pixels would put spikes where no pixel is lit."""
        job = replace(SEED_JOB, max_rate_hz=1000.0, time_window=7)
        row = build_or_skip(name, job)
        pixels = (np.random.default_rng(0).random((6, 784)) < 0.2).astype(np.uint8) * 255
        row.prepare(pixels, np.zeros(6, np.uint8))
        indices = np.array([4, 1, 5])
        spikes = self.dense_spikes(row.encode(indices), job)
        expected = np.repeat((pixels[indices] > 0)[:, None, :], 7, axis=1)
        np.testing.assert_array_equal(spikes, expected)

    @pytest.mark.parametrize("threshold", [0.0, 0.2, 0.4])
    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_latency_spikes_are_this_projects(self, name, threshold, mnist5k):
        """Every level, those at the threshold and around it, and real digits: spike by spike."""
        job = replace(LATENCY_JOB, latency_threshold=threshold)
        levels = np.resize(np.arange(256, dtype=np.uint8), (2, 784))
        pixels = np.concatenate([levels, mnist5k.test.images[:30].reshape(30, 784)])
        indices = np.arange(21)[::-1].copy()
        rows = [build_or_skip(name, job), build("event", job)]
        for row in rows:
            row.prepare(pixels, np.zeros(32, np.uint8))
        theirs, ours = (row.encode(indices) for row in rows)
        np.testing.assert_array_equal(self.dense_spikes(theirs, job), ours.to_dense(np.float32))

    def test_latency_spikes_of_the_dense_first_layer(self, mnist5k):
        from benchmarks.peers.torch_time_batched import TorchTimeBatched

        rows = [TorchTimeBatched(LATENCY_JOB, first) for first in ("bag", "dense")]
        for row in rows:
            row.prepare(mnist5k.test.images[:5], np.zeros(5, np.uint8))
        sparse, dense = (self.dense_spikes(row.encode(np.arange(5)), LATENCY_JOB) for row in rows)
        np.testing.assert_array_equal(sparse, dense)

    @staticmethod
    def dense_spikes(encoded, job):
        """Whatever a peer encodes to, as [B, T, I]."""
        if isinstance(encoded, torch.Tensor):
            batch_first = encoded.shape[1] == job.time_window
            return (encoded if batch_first else encoded.transpose(0, 1)).numpy()
        rows = encoded.matrix
        if rows is None:
            rows = torch.zeros(job.time_window * encoded.n_samples, job.n_input)
            row = torch.repeat_interleave(torch.arange(len(rows)), encoded.offsets.diff())
            rows[row, encoded.sources] = 1
        return rows.view(job.time_window, encoded.n_samples, -1).transpose(0, 1).numpy()


class TestSeedLoop:
    """The seed's own code beside ours: same numbers to the bit."""

    @pytest.fixture
    def seed(self):
        if not NOTEBOOK.is_file():
            pytest.skip("the seed notebook is not here")
        cells = NOTEBOOK.read_text(encoding="utf-8").split("In [None]:\n")
        names = {"torch": torch, "nn": torch.nn, "np": np}
        exec(next(cell for cell in cells if "Cell 2:" in cell), names)
        encoder = next(cell for cell in cells if "Cell 3:" in cell).split("# Load MNIST")[0]
        exec(encoder, names)
        return names

    def test_same_encoding(self, seed, digits):
        row = build("seed_loop", SEED_JOB)
        row.prepare(digits.images, digits.labels)
        encoded = row.encode(np.arange(4))
        np.random.seed(SEED_JOB.seed)
        tensors = torch.from_numpy(digits.images[:4]).float().div(255).unsqueeze(1)
        torch.testing.assert_close(
            encoded, seed["prepare_spike_batch"](tensors, 50, 80), rtol=0, atol=0
        )

    def test_same_counts_and_gradients(self, seed):
        job = replace(SMALL_JOB, n_hidden=30)
        row = build("seed_loop", job)
        network = seed["SimpleSpikingNetwork"](job.n_input, job.n_hidden, job.n_output)
        generator = np.random.default_rng(5)
        state = dyadic_state(job, generator)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        row.load_weights(state)
        spikes, labels = spikes_and_labels(job, generator)
        outputs = network(torch.from_numpy(spikes))
        torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels)).backward()
        gradients = row.gradients(spikes, labels)
        for key, parameter in network.named_parameters():
            np.testing.assert_array_equal(gradients[key], parameter.grad.numpy())
        assert row.spike_totals == [
            network.get_spike_counts()[layer] for layer in ("input", "hidden", "output")
        ]


class TestJob:
    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_a_row_trains_and_tells_digits(self, name, digits):
        job = replace(SEED_JOB, n_output=4, n_hidden=32, batch_size=16, time_window=20)
        row = build_or_skip(name, job)
        assert isinstance(row, Implementation)
        row.prepare(digits.images, digits.labels)
        order = np.random.default_rng(0).permutation(80)
        losses = [
            row.train_batch(order[start : start + 16])
            for _ in range(6)
            for start in range(0, 80, 16)
        ]
        assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
        predictions = row.infer_batch(np.arange(80))
        assert predictions.dtype == np.int64
        assert np.mean(predictions == digits.labels) > 0.9

    @pytest.mark.parametrize("name", TORCH_ROWS)
    def test_one_step_is_clip_then_adam(self, name, digits):
        """A step from given spikes ends at the weights that Adam's formula gives."""
        # Adam's first step forgets the gradient's scale: only beside a weight decay of its own size
        # does the clipping show, in the signs of their sums.
        job = replace(
            SEED_JOB, n_output=4, max_rate_hz=1000.0, time_window=10, clip_norm=0.1,
            weight_decay=0.01,
        )  # fmt: skip
        row = build_or_skip(name, job)
        black_or_white = np.where(digits.images == 255, 255, 0).astype(np.uint8)
        row.prepare(black_or_white, digits.labels)
        indices = np.arange(14)
        flat = black_or_white[indices].reshape(14, 1, 784) > 0
        spikes = np.repeat(flat, job.time_window, axis=1).astype(np.float32)
        before = initial_state(job)
        gradients = row.gradients(spikes, digits.labels[indices].astype(np.int64))
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        assert norm > job.clip_norm
        row.train_batch(indices)
        clipping_shows = False
        for layer, synapses in enumerate(row.synapses, start=1):
            for parameter_name, parameter in synapses.named_parameters():
                key = f"layer{layer}.synapses.{parameter_name}"
                clipped = gradients[key] * job.clip_norm / (norm + 1e-6)
                decayed = clipped + job.weight_decay * before[key]
                expected = before[key] - job.learning_rate * decayed / (np.abs(decayed) + 1e-8)
                unclipped = gradients[key] + job.weight_decay * before[key]
                clear = np.abs(decayed) > 1e-6
                clipping_shows = clipping_shows or np.any((decayed * unclipped)[clear] < 0)
                np.testing.assert_allclose(
                    parameter.detach().numpy()[clear], expected[clear], rtol=0, atol=1e-4
                )
        assert clipping_shows

    def test_first_weights_are_those_of_a_linear_layer(self):
        state = initial_state(SEED_JOB)
        bound = 1 / np.sqrt(784)
        weight = state["layer1.synapses.weight"]
        assert weight.shape == (400, 784)
        assert np.abs(weight).max() <= bound
        assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)

    def test_unknown_row(self):
        with pytest.raises(KeyError):
            build("norse", SEED_JOB)


class TestLimit:
    # Each number of units with each number of lanes, and each size of a group with each of both
    @pytest.mark.parametrize(
        ("n_units", "n_lanes", "group_samples"),
        [
            *((10, 1, 1), (10, 2, 2), (10, 3, 16)),
            *((40, 1, 2), (40, 2, 16), (40, 3, 1)),
            *((400, 1, 16), (400, 2, 1), (400, 3, 2)),
        ],
    )
    def test_additions_equal_the_obvious_sums(self, n_units, n_lanes, group_samples):
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


class TestProfile:
    def test_parts_of_a_batch(self, digits):
        kept = {name: getattr(event, name) for name in profile.CALLS}
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        try:
            row, chosen = profile.trained(digits.images, digits.labels, batches=1)
            found = profile.profile(row, chosen)
            plans = work_of_plans(row, chosen)
        finally:
            numba.set_num_threads(threads)
        assert all(of > 0 for name, of in found.items() if name != "deltas")
        parts = ("encode", "gradient", "gather", "optimizer", "rest")
        assert found["total"] == pytest.approx(sum(found[name] for name in parts))
        assert set(profile.ROWS) == set(found) - {"total_over_additions"}
        assert {name: getattr(event, name) for name in kept} == kept
        assert list(plans) == [2, 4, 8, 16]
        assert plans[2] == 1
        assert all(0 < times < 10 for times in plans.values())


class TestProject:
    """The rows of this project do the same job as the peers."""

    @pytest.mark.parametrize("name", ["dense", "event"])
    def test_gradients_equal_a_peers(self, name):
        generator = np.random.default_rng(6)
        spikes, labels = spikes_and_labels(SMALL_JOB, generator)
        row, peer = build(name, SMALL_JOB), build("torch_time_batched", SMALL_JOB)
        _, gradients = row.engine.gradients(EventList.from_dense(spikes), labels)
        for key, expected in peer.gradients(spikes, labels).items():
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(gradients[key], expected, rtol=0, atol=atol)

    @pytest.mark.parametrize("name", ["dense", *TORCH_ROWS])
    def test_every_row_learns_the_latency_job_alike(self, name, mnist5k):
        """Nothing is drawn: every row meets the same spikes, with the same weights."""
        losses, predictions = [], []
        for row in (build_or_skip(name, LATENCY_JOB), build("event", LATENCY_JOB)):
            row.prepare(mnist5k.train.images[:64], mnist5k.train.labels[:64])
            losses.append([row.train_batch(np.arange(64)) for _ in range(6)])
            predictions.append(row.infer_batch(np.arange(64)))
        assert losses[1][-1] < 0.8 * losses[1][0]
        # Sums in another order may move a membrane potential over the threshold, or back.
        np.testing.assert_allclose(losses[0], losses[1], rtol=0.01)
        assert np.mean(predictions[0] == predictions[1]) > 0.9

    @pytest.mark.parametrize("name", ["dense", "event"])
    def test_one_step_ends_where_the_seeds_does(self, name, digits):
        job = replace(
            SEED_JOB, n_output=4, max_rate_hz=1000.0, time_window=10, clip_norm=0.1,
            weight_decay=0.01,
        )  # fmt: skip
        black_or_white = np.where(digits.images == 255, 255, 0).astype(np.uint8)
        row, seed = build(name, job), build("seed_loop", job)
        losses = []
        for implementation in (row, seed):
            implementation.prepare(black_or_white, digits.labels)
            losses.append(implementation.train_batch(np.arange(14)))
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        state = row.engine.state()
        for layer, synapses in enumerate(seed.synapses, start=1):
            for parameter_name, parameter in synapses.named_parameters():
                key = f"layer{layer}.synapses.{parameter_name}"
                difference = np.abs(state[key] - parameter.detach().numpy())
                # Adam's first step is a sign: a gradient of nearly zero may fall on either side.
                assert np.mean(difference > 1e-4) < 1e-3

    def test_event_is_measured_in_epochs_and_learns(self, digits):
        job = replace(SEED_JOB, n_output=4, n_hidden=32, batch_size=16, time_window=20)
        row = build("event", job)
        assert isinstance(row, EpochImplementation)
        row.prepare(digits.images, digits.labels)
        order = np.random.default_rng(0).permutation(80)
        losses = [row.train_epoch(order) for _ in range(6)]
        assert losses[-1] < 0.5 * losses[0]
        assert np.mean(row.infer_all(np.arange(80)) == digits.labels) > 0.9

    def test_event_does_not_import_torch(self):
        program = (
            "import sys; from benchmarks.job import SEED_JOB; from benchmarks.rows import build; "
            "build('event', SEED_JOB); sys.exit('torch' in sys.modules)"
        )
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, check=True
        )

    @pytest.mark.parametrize("any_job", JOBS, ids=lambda job: job.code)
    def test_limit_uses_the_spikes_of_the_trained_network(self, any_job, digits):
        from benchmarks.limit import measure_limit

        job = replace(any_job, n_output=4, n_hidden=32, batch_size=16, time_window=20)
        data = {"train_images": digits.images, "train_labels": digits.labels}
        result = measure_limit(job, Plan(warmup_epochs=1, epochs=2), data)
        assert len(result.training_epoch_seconds) == 3
        inputs, hidden = result.further["events_per_sample"]
        if job.code == "poisson":
            expected = digits.images.reshape(80, -1).sum(1).mean() / 255 * 0.08 * 20
        else:
            expected = (digits.images > 102).sum() / 80
        assert inputs == pytest.approx(expected, rel=0.05)
        assert 0 < hidden < 32 * 20


class TestSummary:
    def measurement(self, name, seconds, rate, **further):
        return Measurement(
            name,
            training_batch_seconds=seconds,
            inference_images_per_second=rate,
            loss=1.0,
            peak_bytes=2 * 1024 * 1024,
            **further,
        )

    def test_median_over_rounds_of_medians(self):
        spread = median_and_quartiles([[1.0, 2.0, 99.0], [3.0, 4.0, 5.0], [50.0, 60.0, 70.0]])
        assert spread["round_medians"] == [2.0, 4.0, 60.0]
        assert spread["median"] == 4.0
        assert (spread["quartile_low"], spread["quartile_high"]) == (3.0, 60.0)
        assert spread["timings"] == 9

    def test_summary_and_table(self):
        event = Measurement(
            "event",
            training_epoch_seconds=[2.0],
            inference_images_per_second=[60_000.0],
            loss=0.5,
            peak_bytes=3 * 1024 * 1024,
            foreign_cores=0.25,
        )
        limit = Measurement(
            "limit",
            training_epoch_seconds=[1.0, 1.0],
            further={"events_per_sample": [410.0, 400.0]},
        )
        rows = {
            "seed_loop": [self.measurement("seed_loop", [0.08, 0.08], [1000.0])] * 2,
            "snntorch": [self.measurement("snntorch", [0.06], [1500.0])],
            "torch_time_batched": [self.measurement("torch_time_batched", [0.04], [2000.0])],
            "torch_hand_written": [self.measurement("torch_hand_written", [0.02], [4000.0])],
            "event": [event],
            "limit": [limit],
        }
        summary = summarize(rows, batches_per_epoch=938)
        assert summary["training"] == pytest.approx(
            {"seed_loop": 75.04, "snntorch": 56.28, "torch_time_batched": 37.52, "event": 2.0}
        )
        assert summary["inference"]["event"] == 60_000.0
        assert summary["further_rows"]["training"] == pytest.approx({"torch_hand_written": 18.76})
        assert summary["ratios"]["fastest_peer"] == "torch_time_batched"
        assert summary["ratios"]["event_training_over_fastest_peer"] == pytest.approx(18.76)
        assert summary["ratios"]["training_over_seed_loop"]["event"] == pytest.approx(37.52)
        assert summary["ratios"]["inference_over_seed_loop"]["event"] == pytest.approx(60.0)
        assert summary["limit"]["event_time_over_limit"] == 2.0
        assert summary["memory"]["peak_mib"]["event"] == 3.0
        assert summary["foreign_cores"]["event"] == 0.25
        table = markdown_table(summary).splitlines()
        assert len(table) == 2 + 6
        assert all(line.count("|") == 7 for line in table)
        assert table[5] == "| event | 2.00 | 37.5 | 60,000 | 60.0 | 3 |"
        assert table[-1].startswith("| limit (event additions alone) | 1.00 | 75.0 |")

    def test_every_row_is_first_once(self):
        names = ["a", "b", "c"]
        assert [rotated(names, number)[0] for number in range(4)] == ["a", "b", "c", "a"]
        assert sorted(rotated(names, 2)) == names


class TestImages:
    def test_other_data_than_mnist_are_refused(self, mnist_like_directory, caplog):
        caplog.set_level(logging.ERROR)
        environment = {"MNIST_DIR": str(mnist_like_directory)}
        with pytest.raises(DataError, match="full MNIST.*not MNIST.*--allow-small"):
            images.load_benchmark_images(ROOT, environment, allow_small=False)
        train, test, title = images.load_benchmark_images(ROOT, environment, allow_small=True)
        assert (len(train), len(test)) == (80, 80)
        assert "not MNIST" in title

    def prepare(self, root, digits, source, validated_on_test):
        (root / "data").mkdir()
        (root / "metrics").mkdir()
        shuffled = np.random.default_rng(0).permutation(80)
        kept = shuffled if validated_on_test else shuffled[:60]
        save_images(root / "data" / "train.npz", digits.select(kept))
        save_images(root / "data" / "validation.npz", digits.select(shuffled[60:]))
        save_images(root / "data" / "test.npz", digits.select(slice(0, 10)))
        DataDescription(
            source=source,
            title=source,
            note="",
            counts=ImageCounts(train=len(kept), validation=20, test=10),
            sha256={},
            validated_on_test=validated_on_test,
        ).write(root / "metrics" / "data.json")

    @pytest.mark.parametrize("validated_on_test", [True, False])
    def test_prepared_data_are_the_whole_training_set(self, tmp_path, digits, validated_on_test):
        self.prepare(tmp_path, digits, "mnist", validated_on_test)
        train, test, title = images.load_benchmark_images(tmp_path, {}, allow_small=False)
        np.testing.assert_array_equal(train.images, digits.images)
        np.testing.assert_array_equal(train.labels, digits.labels)
        assert (len(test), title) == (10, "mnist")

    def test_prepared_mnist5k_is_refused(self, tmp_path, digits):
        self.prepare(tmp_path, digits, "mnist5k", False)
        with pytest.raises(DataError, match="mnist5k.*--allow-small"):
            images.load_benchmark_images(tmp_path, {}, allow_small=False)

    def test_nothing_prepared(self, tmp_path):
        with pytest.raises(DataError, match="MNIST_DIR.*make repro"):
            images.load_benchmark_images(tmp_path, {}, allow_small=True)


class TestMachine:
    def test_no_host_name(self):
        facts = machine.describe(2)
        assert facts["threads"] == 2
        assert facts["torch"] == torch.__version__
        text = json.dumps(facts)
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", text)
        assert str(Path.home()) not in text

    def test_a_busy_neighbour_is_seen(self):
        """Work of an ended child is our own; work of a process that goes on is foreign."""
        if not Path("/proc/stat").exists():
            pytest.skip("this system does not tell what its processors do")
        burn = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
        before = machine.foreign_busy_seconds()
        with subprocess.Popen(
            [sys.executable, "-c", burn + "\nprint(flush=True)\ninput()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            child.stdout.readline()
            running = machine.foreign_busy_seconds()
            child.communicate(b"\n")
        ended = machine.foreign_busy_seconds()
        assert running - before > 0.5
        assert ended - running < -0.4


class TestMemory:
    def test_peak_of_a_command_is_its_own(self):
        ballast = np.ones(300 * 1024 * 1024, np.uint8)
        small = memory.command_peak_bytes([sys.executable, "-c", "pass"], os.environ, ROOT)
        large = memory.command_peak_bytes(
            [sys.executable, "-c", "x = b'1' * (150 * 1024 * 1024)"], os.environ, ROOT
        )
        assert ballast[-1] == 1
        assert small < 60e6
        assert 150e6 < large < 220e6

    def test_own_peak_does_not_count_the_parent(self):
        ballast = np.ones(300 * 1024 * 1024, np.uint8)
        program = "from benchmarks.memory import own_peak_bytes; print(own_peak_bytes())"
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
        )
        assert ballast[-1] == 1
        assert int(done.stdout) < 150e6
        assert memory.own_peak_bytes() > 300e6

    def test_failing_command(self):
        with pytest.raises(SpikejouleError, match="no such thing"):
            memory.command_peak_bytes(
                [sys.executable, "-c", "raise SystemExit('no such thing')"], os.environ, ROOT
            )


class TestMeasuring:
    @pytest.fixture
    def image_file(self, tmp_path, digits):
        file = tmp_path / "images.npz"
        images.store(file, digits, digits.select(slice(0, 40)))
        return file

    def test_a_row_in_a_process_of_its_own(self, image_file):
        plan = Plan(warmup_batches=1, batches=3, inference_batches=2)
        job = replace(SEED_JOB, n_hidden=16, time_window=10)
        result = measure_row("torch_time_batched", job, plan, image_file, threads=1)
        assert len(result.training_batch_seconds) == 3
        assert len(result.inference_images_per_second) == 2
        assert all(0 < seconds < 30 for seconds in result.training_batch_seconds)
        assert 0 < result.loss < 10
        assert 50e6 < result.peak_bytes < 4e9
        assert result.training_epoch_seconds == []

    def test_a_missing_library_is_told_and_the_others_go_on(self, image_file, monkeypatch):
        monkeypatch.setitem(ROWS, "dense", "no_such_library:Thing")
        calls = []

        def reply(name, job, plan, file, threads):
            calls.append((name, plan.order_seed))
            if name == "dense":
                raise MissingRowError("the row dense could not be measured: no_such_library")
            return Measurement(name)

        monkeypatch.setattr("benchmarks.measure.measure_row", reply)
        results = list(
            measure_rounds(["dense", "event"], SEED_JOB, Plan(order_seed=7), 2, image_file, 1)
        )
        assert calls == [("dense", 7), ("event", 7), ("event", 8)]
        assert isinstance(results[0][1], MissingRowError)
        assert [name for _, _, name in results] == ["dense", "event", "event"]

    def test_a_worker_that_fails_is_an_error(self, tmp_path):
        with pytest.raises(SpikejouleError, match="seed_loop could not be measured"):
            measure_row("seed_loop", SEED_JOB, Plan(), tmp_path / "absent.npz", 1)

    def test_whole_epochs(self, digits):
        from benchmarks import worker

        visited = []

        class EpochRow:
            inference_batch_size = 8

            def prepare(self, images, labels):
                self.n_images = len(labels)

            def train_batch(self, indices):
                return 0.0

            def infer_batch(self, indices):
                return indices

            def train_epoch(self, order):
                visited.append(sorted(order) == list(range(self.n_images)))
                return 1.5

            def infer_all(self, indices):
                visited.append(len(indices))
                return indices

        assert isinstance(EpochRow(), EpochImplementation)
        data = {
            "train_images": digits.images, "train_labels": digits.labels,
            "test_images": digits.images[:9], "test_labels": digits.labels[:9],
        }  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "build", lambda name, job: EpochRow())
            whole = worker.measure("event", SEED_JOB, Plan(warmup_epochs=2, epochs=3), data)
            single = worker.measure("event", SEED_JOB, Plan(batches=4, by_batches=True), data)
        assert visited == [True] * 5 + [9] * 16
        assert len(whole.training_epoch_seconds) == 3
        assert whole.training_batch_seconds == []
        assert whole.loss == 1.5
        assert len(single.training_batch_seconds) == 4

    def test_speed_from_the_command_line(self, mnist_like_directory, tmp_path):
        out = tmp_path / "metrics" / "benchmark.json"
        command = [
            sys.executable, "-m", "benchmarks.speed", "--rows", "seed_loop", "torch_time_batched",
            "--rounds", "1", "--batches", "2", "--warmup", "1", "--threads", "1",
            "--out", str(out), "--train-command", f"{sys.executable} -c 'x = b\"1\" * 10**8'",
        ]  # fmt: skip
        environment = {
            **os.environ,
            "MNIST_DIR": str(mnist_like_directory),
            "PYTHONPATH": str(ROOT / "src"),
        }
        refused = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "error: the benchmark is measured on the full MNIST" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not out.exists()
        done = subprocess.run(
            [*command, "--allow-small"], cwd=ROOT, env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        tables = re.split(r"(\w+) code, (\d+) steps:\n", done.stdout)
        assert tables[1:3] + tables[4:6] == ["poisson", "50", "latency", "20"]
        assert all("| seed_loop |" in table for table in (tables[3], tables[6]))
        summary = json.loads(out.read_text())
        for of_job, code in ((summary, "poisson"), (summary["latency"], "latency")):
            assert of_job["job"]["code"] == code
            assert set(of_job["training"]) == {"seed_loop", "torch_time_batched"}
            assert set(of_job["inference"]) == {"seed_loop", "torch_time_batched"}
            assert all(value > 0 for value in of_job["training"].values())
        assert summary["machine"]["threads"] == 1
        assert summary["protocol"]["batches_per_epoch"] == 2
        assert 95 < summary["memory"]["train_command_mib"] < 160
        assert socket.gethostname() not in out.read_text()

    @pytest.mark.parametrize("option", ["--rounds", "--batches", "--threads"])
    def test_nothing_to_measure_is_a_usage_error(self, option, capsys):
        with pytest.raises(SystemExit) as error:
            speed.parse([option, "0"])
        assert error.value.code == 2
        assert "must be at least 1" in capsys.readouterr().err


class TestGrowth:
    def points(self, event_seconds, dense_seconds):
        return [
            growth.Point("input_density", density, density, engine, seconds, 64)
            for engine, times in (("event", event_seconds), ("dense", dense_seconds))
            for density, seconds in zip((0.01, 0.04, 0.16), times, strict=True)
        ]

    def test_crossover_is_interpolated_in_logarithms(self):
        points = self.points((1.0, 4.0, 16.0), (8.0, 8.0, 8.0))
        assert growth.crossover_density(points) == pytest.approx(0.08)

    def test_no_crossover(self):
        assert growth.crossover_density(self.points((1, 2, 3), (8, 8, 8))) is None
        assert growth.crossover_density([]) is None
        assert growth.crossover_density(self.points((9, 20, 30), (8, 8, 8))) == 0.01

    def test_other_sweeps_do_not_count(self):
        points = [growth.Point("n_hidden", 100, 0.5, engine, 1.0, 64) for engine in growth.ENGINES]
        assert growth.crossover_density(points) is None

    def test_table_and_figure(self, mnist_like_directory, tmp_path, monkeypatch, caplog):
        jobs = []

        def reply(name, job, plan, file, threads):
            jobs.append((name, job, file.name))
            factor = 1.0 if name == "dense" else 10 * job.spike_probability_scale
            return Measurement(name, training_batch_seconds=[factor, 2 * factor, 3 * factor])

        monkeypatch.setattr(growth, "measure_row", reply)
        monkeypatch.setenv("MNIST_DIR", str(mnist_like_directory))
        caplog.set_level(logging.ERROR, logger="spikejoule")
        arguments = argparse.Namespace(
            engines=["event", "dense"], batches=3, warmup=1, threads=1, allow_small=True,
            table=tmp_path / "growth.csv", figure=tmp_path / "growth.png",
        )  # fmt: skip
        result = growth.run(arguments)
        assert result["crossover_input_density"] == pytest.approx(0.1)
        lines = (tmp_path / "growth.csv").read_text().splitlines()
        assert lines[0] == ",".join(growth.COLUMNS)
        n_points = sum(len(values) for values in growth.SWEEPS.values()) + len(growth.DENSITIES)
        assert len(lines) == 1 + 2 * n_points
        assert {job.n_hidden for _, job, _ in jobs} >= {100, 6400}
        assert {job.time_window for _, job, _ in jobs} >= {10, 400}
        assert {job.batch_size for _, job, _ in jobs} >= {16, 1024}
        assert {job.max_rate_hz for _, job, file in jobs if file == "mnist.npz"} >= {20, 500}
        figure = (tmp_path / "growth.png").read_bytes()
        assert figure.startswith(b"\x89PNG")
        growth.run(arguments)
        assert (tmp_path / "growth.png").read_bytes() == figure

    def test_epoch_timings_are_refused(self):
        with pytest.raises(SpikejouleError, match="whole epochs"):
            growth.seconds_per_batch(Measurement("event", training_epoch_seconds=[1.0]))


@pytest.mark.parametrize("name", ["beyond_memory", "gpu", "graphs", "resuming"])
def test_every_command_knows_the_library(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Another test of the same worker may have imported it, which runpy warns of.
    monkeypatch.delitem(sys.modules, f"benchmarks.{name}", raising=False)
    monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out
