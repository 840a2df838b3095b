"""The benchmark for a GPU, as far as that goes without one: its rows and parts on the CPU."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.tools.without_torch import WITH_TORCH

if not WITH_TORCH:
    pytest.skip("needs PyTorch", allow_module_level=True)

import torch

from benchmarks import gpu
from benchmarks.job import SEED_JOB, Job
from benchmarks.peers.project_on_gpu import DenseFused
from benchmarks.plan import Measurement
from benchmarks.rows import GPU_ROWS, build
from spikejoule.encoding.events import EventList

JOB = Job(n_input=12, n_hidden=9, n_output=4, time_window=15, batch_size=5)
LIBRARY_OF_ROW = {"snntorch_gpu": "snntorch", "spikingjelly_gpu": "spikingjelly"}


def on_the_cpu(name, job, monkeypatch):
    """A row, with its device the CPU; a visible skip without its library, or without Triton."""
    if name in LIBRARY_OF_ROW:
        pytest.importorskip(LIBRARY_OF_ROW[name], reason="the extra `bench` is not installed")
        module, _, row = GPU_ROWS[name].partition(":")
        monkeypatch.setattr(f"{module}.{row}.device", "cpu")
    monkeypatch.setattr(DenseFused, "device", "cpu")
    monkeypatch.setattr(DenseFused, "fused", False)
    return build(name, job)


@pytest.mark.parametrize("name", list(GPU_ROWS))
def test_rows_learn_the_same(name, monkeypatch):
    """The gradients of all, for the same spikes, with the one surrogate."""
    generator = np.random.default_rng(1)
    spikes = (generator.random((5, 15, 12)) < 0.3).astype(np.float32)
    labels = generator.integers(0, 4, 5)
    reference = build("event_cpu", JOB).engine
    events = EventList.from_dense(spikes)
    _, expected = reference.gradients(events, labels)
    row = on_the_cpu(name, JOB, monkeypatch)
    found = (
        row.gradients(spikes, labels)
        if name in LIBRARY_OF_ROW
        else row.engine.gradients(events, labels)[1]
    )
    for key, gradient in expected.items():
        scale = np.abs(gradient).max()
        assert scale > 0
        np.testing.assert_allclose(found[key], gradient, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("name", list(GPU_ROWS))
def test_rows_do_the_job(name, monkeypatch, mnist5k):
    row = on_the_cpu(
        name, replace(SEED_JOB, n_hidden=60, time_window=20, max_rate_hz=300.0), monkeypatch
    )
    row.prepare(mnist5k.train.images[:64], mnist5k.train.labels[:64])
    losses = [row.train_batch(np.arange(64)) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert row.infer_batch(np.arange(8)).shape == (8,)


def test_mismatches_are_counted_by_the_spikes_of_the_cpu(monkeypatch):
    engine = build("event_cpu", JOB).engine
    spikes = np.random.default_rng(2).random((6, 15, 12)) < 0.3
    events = EventList.from_dense(spikes.astype(int))
    arguments = (engine.architecture, engine.state(), events, "cpu", False)
    assert gpu.mismatches_per_spike(*arguments) == [0.0, 0.0]
    hidden, output = engine.run(events)
    dense = hidden.to_dense(int)
    dense[0, :, 0] ^= 1
    changed = [[hidden, output], [EventList.from_dense(dense), output]]
    monkeypatch.setattr(gpu.DenseEngine, "run", lambda self, events: changed.pop(0))
    assert gpu.mismatches_per_spike(*arguments) == [15 / hidden.n_events, 0.0]


def test_summary_and_table():
    rounds = {
        "dense_fused": [Measurement("dense_fused", [0.5, 0.25], loss=2.0)],
        "event_cpu": [Measurement("event_cpu", [0.1], loss=1.0, foreign_cores=0.5)] * 2,
    }
    rows = gpu.summarize(rounds, replace(SEED_JOB, batch_size=100))
    assert rows["dense_fused"]["training_images_per_second"]["median"] == 300
    assert rows["event_cpu"]["training_images_per_second"]["median"] == pytest.approx(1000)
    assert rows["event_cpu"]["foreign_cores"] == 0.5
    told = gpu.table({"rows": rows, "mismatches_per_spike": {"dense_fused": [1e-5, 0.0]}})
    assert "| dense_fused | 300 | 250 to 350 |" in told
    assert "dense_fused: 1.0e-05 and 0.0e+00 places for each spike" in told


def test_whole_run(monkeypatch, tmp_path, capsys, mnist5k):
    """With the measuring processes, the data and the GPU made up."""
    asked = []

    def reply(name, job, plan, file, threads):
        asked.append(name)
        if name == "snntorch_gpu":
            raise gpu.MissingRowError("the row snntorch_gpu could not be measured: no snntorch")
        return Measurement(name, [0.02, 0.04], loss=1.0)

    compare = gpu.mismatches_per_spike
    monkeypatch.setattr("benchmarks.measure.measure_row", reply)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    few = (mnist5k.train.select(slice(0, 100)), mnist5k.test.select(slice(0, 20)), "digits")
    monkeypatch.setattr(gpu.images, "load_benchmark_images", lambda *arguments: few)
    monkeypatch.setattr(
        gpu, "mismatches_per_spike", lambda *given: compare(*given[:3], "cpu", False)
    )
    file = tmp_path / "gpu.json"
    monkeypatch.setattr("sys.argv", ["gpu", "--rounds", "2", "--output", str(file)])
    assert gpu.main() == 0
    content = json.loads(file.read_text())
    assert asked.count("snntorch_gpu") == 1
    assert asked.count("dense_fused") == asked.count("event_cpu") == 2
    assert set(content["rows"]) == set(GPU_ROWS) - {"snntorch_gpu"}
    assert content["missing"] == {
        "snntorch_gpu": "the row snntorch_gpu could not be measured: no snntorch"
    }
    assert content["mismatches_per_spike"] == {"dense_fused": [0, 0], "dense_steps": [0, 0]}
    assert content["machine"]["gpu"] == "a GPU"
    assert "| dense_steps |" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu(monkeypatch, tmp_path, capsys):
    file = tmp_path / "gpu.json"
    monkeypatch.setattr("sys.argv", ["gpu", "--output", str(file)])
    assert gpu.main() == 1
    told = capsys.readouterr().err
    assert told == "error: this benchmark needs a GPU, but PyTorch finds no CUDA device here.\n"
    assert not file.exists()
