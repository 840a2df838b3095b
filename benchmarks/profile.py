"""Where the time of training goes: `make profile`.

The benchmark's job (`benchmarks.job`) on full MNIST with the event engine, on one
thread, so that nothing waits for anything. After an epoch that warms up, a number of
batches is trained and each of these calls is timed:

    encode       drawing the batch's spikes
    gradient     both passes and the weight gradients
    gather       adding up the lanes' gradients, and the norm for clipping
    optimizer    Adam
    rest         Python around them, and handing arguments to the kernels

Then as many batches go through the pieces of `gradient` one by one:

    forward      potentials and spikes of both layers
    deltas       loss, dL/dv through time, and ordering the spikes by source
    weights      adding the deltas to the gradients of the weights

and through the additions that the events demand and nothing else (`benchmarks.limit`):
`forward_additions` and `weight_additions`. Reported are medians in microseconds per
image, and `total_over_additions`.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numba
import numpy as np

from benchmarks.images import load_benchmark_images
from benchmarks.job import SEED_JOB
from benchmarks.limit import add_events, prepare_additions
from benchmarks.machine import describe, positive, timed
from benchmarks.peers.project import EventEngine
from spikejoule.core.store import text_table
from spikejoule.encoding.events import EventList
from spikejoule.engine import event, fully_connected, optimizer
from spikejoule.engine.fully_connected import FullyConnectedKernels

# What is timed of a training step.
CALLS = {
    "gradient": (FullyConnectedKernels, "add_gradients"),
    "gather": (event, "gather_gradient"),
    "optimizer": (optimizer, "adam_step"),
}
# The pieces of the gradient, where the groups of a lane go one after the other.
PIECES = {
    "prepare": (fully_connected, "prepare_groups"),
    "weights": (fully_connected, "add_groups"),
}
THREADS = 1

Seconds = dict[str, list[float]]


def recording(seconds: list[float], call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is called in place of another, and times it."""

    def recorded(*arguments: Any) -> Any:
        took, result = timed(call, *arguments)
        seconds.append(took)
        return result

    return recorded


def train(
    row: EventEngine, chosen: np.ndarray, calls: Mapping[str, tuple[Any, str]]
) -> Seconds:
    """Train on batches; seconds of each call."""
    seconds: Seconds = defaultdict(list)
    encode = recording(seconds["encode"], row.encode)
    step = recording(seconds["step"], row.engine.train_batch)
    row.next_pass()
    with ExitStack() as patches:
        for part, (owner, name) in calls.items():
            call = recording(seconds[part], getattr(owner, name))
            patches.enter_context(patch.object(owner, name, call))
        for indices in chosen:
            step(encode(indices), row.labels[indices], row.job.learning_rate)
    return seconds


def additions(
    state: Mapping[str, np.ndarray], layers: list[EventList]
) -> tuple[float, float]:
    """Seconds of the forward additions and of those to the gradients."""
    forward = both = 0.0
    for stream, arrays in prepare_additions(state, layers):
        # Without rows for the gradients only the forward additions are left.
        alone = stream._replace(groups=np.zeros_like(stream.groups))
        add_events(stream, arrays, THREADS)
        both += timed(add_events, stream, arrays, THREADS)[0]
        forward += timed(add_events, alone, arrays, THREADS)[0]
    return forward, both - forward


def trained(
    images: np.ndarray, labels: np.ndarray, batches: int
) -> tuple[EventEngine, np.ndarray]:
    """The engine after an epoch, and the images of the batches that are measured."""
    row = EventEngine(SEED_JOB)
    row.prepare(images, labels)
    order = np.random.default_rng(0).permutation(len(labels))
    row.train_epoch(order)
    n_batches = min(batches, len(labels) // SEED_JOB.batch_size)
    return row, order[: n_batches * SEED_JOB.batch_size].reshape(n_batches, -1)


def profile(row: EventEngine, chosen: np.ndarray) -> dict[str, float]:
    """Microseconds per image of each part; see the module."""
    of_calls = train(row, chosen, CALLS)

    def in_groups(kernels: FullyConnectedKernels, *batch: Any) -> None:
        kernels._add_shared(*batch, THREADS)

    with patch.object(FullyConnectedKernels, "_add_lanes", in_groups):
        of_pieces = train(row, chosen, PIECES)
    inputs = row.encode(chosen.ravel())
    took, layers = min(
        (timed(row.engine.run, inputs) for _ in range(3)), key=lambda of: of[0]
    )
    forward, weight = additions(row.engine.state(), [inputs, layers[0]])
    scale = 1e6 / row.job.batch_size
    found = {
        name: scale * statistics.median(values) for name, values in of_calls.items()
    }
    pieces = {
        name: scale
        * statistics.median(of_pieces[name])
        * len(of_pieces[name])
        / len(chosen)
        for name in PIECES
    }
    found["rest"] = found.pop("step") - sum(found[name] for name in CALLS)
    found["forward"] = 1e6 * took / chosen.size
    found["deltas"] = pieces["prepare"] - found["forward"]
    found["weights"] = pieces["weights"]
    found["forward_additions"] = 1e6 * forward / chosen.size
    found["weight_additions"] = 1e6 * weight / chosen.size
    found["total"] = (
        found["encode"] + found["rest"] + sum(found[name] for name in CALLS)
    )
    limit = found["forward_additions"] + found["weight_additions"]
    found["total_over_additions"] = found["total"] / limit
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this case."""
    parser.add_argument(
        "--allow-small", action="store_true", help="allow other data than MNIST"
    )
    parser.add_argument(
        "--batches", type=positive, default=500, help="how many are measured"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The parts, and a table of them."""
    data, title = load_benchmark_images(arguments.allow_small)
    numba.set_num_threads(THREADS)
    images = data["train_images"]
    labels = data["train_labels"]
    found = profile(*trained(images, labels, arguments.batches))
    rows = [(name, f"{value:.2f}") for name, value in found.items()]
    content = {"data": title, "machine": describe(THREADS), "us_per_image": found}
    return content, text_table(("part", "us per image"), rows)
