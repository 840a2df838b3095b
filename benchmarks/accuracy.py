"""Accuracy of a user's training loop with `spikejoule.accelerate`, and without.

The loop of the case `accelerate` (784-400-10, 50 steps, batches of 128, dense spikes)
trains the models of snnTorch and SpikingJelly on all of MNIST, as they are and
accelerated: from the same first weights, on the same spikes in the same order. Rounding
differs in the last bits, so that the weights drift apart; the accuracy on the test
images must not.
"""

import argparse
import logging
import statistics
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import spikejoule
from benchmarks.accelerate import BATCH, FAST, FORWARD, JOBS, MODELS, SIMULATED
from benchmarks.images import load_benchmark_images
from benchmarks.machine import cores, describe, positive
from spikejoule.core.terminal import text_table

logger = logging.getLogger(__name__)

JOB: Final = JOBS["dense"]


def spikes_of(images: np.ndarray, seed: int) -> torch.Tensor:
    """Dense spikes of Poisson-encoded images [B, 28, 28], [T, B, 784]."""
    flat = images.reshape(len(images), -1)
    events = spikejoule.encode(flat, "poisson", steps=JOB.steps, seed=seed)
    return torch.from_numpy(events.to_dense())


def first_model(simulator: str, seed: int) -> nn.Module:
    """Return a simulator's model with first weights drawn from the seed."""
    model = MODELS[simulator](JOB)
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    return model


def test_accuracy_percent(
    row: str, seed: int, epochs: int, data: dict[str, np.ndarray]
) -> float:
    """Train a model; return its accuracy on test images, by the simulator itself."""
    simulator = row.removeprefix(FAST)
    model = first_model(simulator, seed)
    own = FORWARD[simulator](model)
    forward = spikejoule.accelerate(model) if row.startswith(FAST) else own
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images = data["train_images"]
    labels = torch.from_numpy(data["train_labels"].astype(np.int64))
    random = np.random.default_rng(seed)
    number = 0
    for epoch in range(epochs):
        order = random.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            number += 1
            spikes = spikes_of(images[batch], seed=seed + number)
            optimizer.zero_grad()
            loss = cross_entropy(forward(spikes).sum(0), labels[batch])
            loss.backward()
            optimizer.step()
        logger.info("seed %d, %s: epoch %d", seed, row, epoch + 1)
    correct = 0
    with torch.no_grad():
        for start in range(0, len(data["test_images"]), 1000):
            part = slice(start, start + 1000)
            predicted = own(spikes_of(data["test_images"][part], seed)).sum(0).argmax(1)
            correct += int((predicted.numpy() == data["test_labels"][part]).sum())
    return 100 * correct / len(data["test_images"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument("--rows", nargs="+", choices=SIMULATED, default=SIMULATED)
    parser.add_argument("--epochs", type=positive, default=3)
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Train all models; return the content of the JSON file, and the table.

    Raises:
        SpikejouleError: the data are not MNIST.
    """
    # Times are not measured, so a load does no harm.
    facts = describe(cores(), allow_load=True)
    data, title = load_benchmark_images(arguments.allow_small)
    percent = {
        row: [
            test_accuracy_percent(row, seed, arguments.epochs, data)
            for seed in arguments.seeds
        ]
        for row in arguments.rows
    }
    content = {
        "machine": facts,
        "data": title,
        "network": JOB.network,
        "steps": JOB.steps,
        "epochs": arguments.epochs,
        "seeds": arguments.seeds,
        "test_accuracy_percent": percent,
    }
    return content, accuracy_table(content)


def accuracy_table(found: dict[str, Any]) -> str:
    """The accuracy with each seed, and the mean, of all rows."""
    names = (*(f"seed {seed}" for seed in found["seeds"]), "mean")
    rows = [
        [row, *(f"{value:.2f} %" for value in (*values, statistics.mean(values)))]
        for row, values in found["test_accuracy_percent"].items()
    ]
    return text_table(("loop with", *names), rows)
