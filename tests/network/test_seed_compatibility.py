"""The original notebook's own code and this project read and run each other's networks.

The notebook is not part of the repository; without it, these tests are skipped.
"""

import io
import re
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.data.dataset import Dataset
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests.tools.cli import Cli
from tests.tools.examples import (
    LIF,
    trained_network,
    write_example,
)
from tests.tools.settings import draw_key, encode


@pytest.fixture(scope="module")
def cells(repository: Path) -> dict[int, str]:
    """The source of the notebook's code cells by their numbers."""
    path = repository.parent / "shared" / "seed" / "surrogate_gradient_snn_notebook.txt"
    if not path.is_file():
        pytest.skip(f"needs the original notebook at {path}")
    parts = re.split(
        r"^In \[None\]:$", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    cells = {}
    for part in parts:
        number = re.search(r"^# Cell (\d+):", part, flags=re.MULTILINE)
        if number:
            cells[int(number.group(1))] = part.split("\n---\n")[0]
    assert sorted(cells) == list(range(1, 11))
    return cells


@pytest.fixture(scope="module")
def seed(cells: dict[int, str]) -> dict[str, Any]:
    """The names defined by the notebook's cells 2 (classes) and 10 (inspection)."""
    namespace: dict[str, Any] = {"torch": torch, "nn": torch.nn, "np": np}
    with redirect_stdout(io.StringIO()):
        exec(cells[2], namespace)
        exec(cells[10].split("# Verify the saved checkpoint")[0], namespace)
    return namespace


def seed_network(
    seed: dict[str, Any],
    state: dict[str, Any],
    neuron: LeakyIntegrateAndFire = LIF,
) -> Any:
    threshold, decay = neuron.constants
    n_hidden = len(state["layer1.synapses.weight"])
    network = seed["SimpleSpikingNetwork"](
        784, n_hidden, 10, threshold=threshold, decay=decay
    )
    network.load_state_dict(
        {name: torch.as_tensor(weights) for name, weights in state.items()}, strict=True
    )
    return network.eval()


class TestOurNetworkInTheSeedsCode:
    @pytest.mark.parametrize(
        ("engine", "n_hidden", "neuron"),
        [
            ("event", 400, LIF),
            ("dense", 20, LeakyIntegrateAndFire(threshold=0.75, decay=1.0)),
            ("event", 20, LeakyIntegrateAndFire(threshold=1.5, decay=0.0)),
        ],
    )
    def test_same_spikes_and_predictions(
        self,
        seed: dict[str, Any],
        mnist5k: Dataset,
        engine: str,
        n_hidden: int,
        neuron: LeakyIntegrateAndFire,
    ) -> None:
        network = trained_network((n_hidden,), neuron=neuron)
        theirs = seed_network(seed, network.state, neuron)
        events = encode(mnist5k.test.images[:200], 50, 80.0, draw_key(7, "test", 0))
        with torch.no_grad():
            votes = theirs(torch.from_numpy(events.to_dense(np.float32)))
        ours = measure_network(network.state, network.network, events, engine)
        assert theirs.get_spike_counts() == ours.counts.totals
        np.testing.assert_array_equal(ours.scores, votes.numpy())
        np.testing.assert_array_equal(ours.predictions, torch.max(votes, 1)[1].numpy())

    def test_the_seeds_inspection_prints_our_checkpoint_to_the_end(
        self, seed: dict[str, Any], tmp_path: Path
    ) -> None:
        printed = io.StringIO()
        with redirect_stdout(printed):
            content = seed["inspect_surrogate_checkpoint"](
                write_example(tmp_path / "c.pth")
            )
        text = printed.getvalue()
        for words in (
            "Timestamp: 2026-03-04 05:06:19",
            "Time: 12.5s",
            "Best val acc: 87.00%",
            "Input/inference:    400.00",
            "Fanout hidden→out: 10",
            "Sparsity ratio:       0.013854",
        ):
            assert words in text
        assert content["test_accuracy"] == 91.25


@pytest.fixture(scope="module")
def seed_checkpoint(
    cells: dict[int, str],
    seed: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A checkpoint that the notebook's own cell 9 has written."""
    path = tmp_path_factory.mktemp("seed") / "surrogate_snn_checkpoint.pth"
    state = {
        name: torch.from_numpy(weights)
        for name, weights in trained_network().state.items()
    }
    network = seed_network(seed, state)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003, weight_decay=1e-5)
    namespace = {
        "torch": torch,
        "datetime": datetime,
        "snn": network,
        "optimizer": optimizer,
        "best_model_state": {
            name: value.clone() for name, value in network.state_dict().items()
        },
        "N_INPUT": 784,
        "N_HIDDEN": 20,
        "N_OUTPUT": 10,
        "TIME_WINDOW": 50,
        "MAX_RATE": 80,
        "BATCH_SIZE": 64,
        "MAX_EPOCHS": 20,
        "LEARNING_RATE": 0.003,
        "WEIGHT_DECAY": 1e-5,
        "PATIENCE": 5,
        "CHECKPOINT_PATH": str(path),
        "epochs_trained": 2,
        "total_training_samples": 120_000,
        "training_time": 145.6,
        "best_val_acc": 84.64,
        "training_history": {
            "losses": [0.9, 0.7],
            "train_acc": [70.0, 80.0],
            "val_acc": [80.0, 84.64],
            "epoch_times": [72.8, 72.8],
        },
        # what makes a plain safe load refuse the file
        "test_accuracy": 100 * np.mean(np.arange(10_000) < 8443),
        "training_spikes": {
            "input": 49_176_000.0,
            "hidden": 47_880_000.0,
            "output": 26_172_000.0,
        },
        "inference_spikes": {
            "input": 1_569_177.0,
            "hidden": 1_787_084.0,
            "output": 609_075.0,
        },
        "inference_samples_seen": 4096,
        "inference_time": 9.5,
    }
    with redirect_stdout(io.StringIO()):
        exec(cells[9], namespace)
    return path


class TestTheSeedsCheckpointHere:
    def test_inspect(self, seed_checkpoint: Path, tmp_path: Path, cli: Cli) -> None:
        with pytest.raises(Exception, match="numpy"):
            torch.load(seed_checkpoint, weights_only=True)
        checkpoint = Checkpoint.read(seed_checkpoint)
        for name, weights in trained_network().state.items():
            np.testing.assert_array_equal(checkpoint.state[name], weights)
        checkpoint.write(tmp_path / "plain.pth")
        plain = torch.load(tmp_path / "plain.pth", weights_only=True)
        assert plain["test_accuracy"] == 84.43
        text = cli.text("inspect", "--all", seed_checkpoint)
        for number in ("84.43", "84.64", "49176000", "409.8", "436.29", "145.6"):
            assert number in text

    def test_energy(self, seed_checkpoint: Path, cli: Cli) -> None:
        report = cli.json("energy", seed_checkpoint)
        proxies = report["inputs"]["proxies"]
        recorded = torch.load(seed_checkpoint, weights_only=False)["energy_proxies"]
        for ours, theirs in (
            ("synaptic_events_per_inference", "event_syn_per_inference"),
            ("dense_operations_per_inference", "dense_ops_per_inference"),
            ("sparsity_ratio", "sparsity_ratio"),
        ):
            assert proxies[ours] == recorded[theirs]
        # 784-20-10: input 383.1, hidden 436.3 spikes; a leak and a bias a neuron and
        # step
        events = (1_569_177 * 20 + 1_787_084 * 10) / 4096
        assert 1000 * report["headline"]["arithmetic_nj"] == pytest.approx(
            0.9 * events + 4.6 * 50 * 30
        )
        roots = [
            row["count"]
            for row in report["energies"]
            if row["term"] == "optimizer_root"
        ]
        assert sum(set(roots)) == 2 * 938 * (784 * 20 + 20 + 20 * 10 + 10)
        text = " ".join(cli.text("energy", seed_checkpoint).split())
        assert "mean, 4,096 images, no interval" in text
