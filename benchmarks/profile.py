"""Where the training time of the event engine goes (`make profile`).

The benchmark's default job (`benchmarks.job`) on full MNIST, on one thread, so that
nothing waits for another thread. After an untimed epoch, batches are trained, and these
parts of each are timed:

    encode     draw the batch's spikes
    gradient   both passes and the weight gradients
    gather     add up the lanes' gradients, and the norm for clipping
    optimizer  Adam
    rest       Python, and passing arguments to the kernels

`forward_additions` and `weight_additions` are the additions that the same spikes demand
(`benchmarks.limit`). The medians are in microseconds per image.
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
from spikejoule.core.terminal import text_table
from spikejoule.encoding.events import EventList
from spikejoule.engine.learning import event, optimizer
from spikejoule.engine.learning.fully_connected import FullyConnectedGradients

# The calls of a training step that are timed.
CALLS = {
    "gradient": (FullyConnectedGradients, "add_gradients"),
    "gather": (event, "gather_gradient"),
    "optimizer": (optimizer, "adam_step"),
}
THREADS = 1

Seconds = dict[str, list[float]]


def recording(seconds: list[float], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes a call and records how long it takes."""

    def recorded(*arguments: Any) -> Any:
        elapsed, result = timed(call, *arguments)
        seconds.append(elapsed)
        return result

    return recorded


def train(row: EventEngine, batches: np.ndarray) -> Seconds:
    """Train on batches of images; return the seconds of each part."""
    seconds: Seconds = defaultdict(list)
    encode = recording(seconds["encode"], row.encode)
    step = recording(seconds["step"], row.engine.train_batch)
    row.next_pass()
    with ExitStack() as patches:
        for part, (owner, name) in CALLS.items():
            call = recording(seconds[part], getattr(owner, name))
            patches.enter_context(patch.object(owner, name, call))
        for indices in batches:
            step(encode(indices), row.labels[indices], row.job.learning_rate)
    return seconds


def additions(
    state: Mapping[str, np.ndarray], layers: list[EventList]
) -> tuple[float, float]:
    """Return the seconds of the forward and of the gradient additions."""
    forward = 0.0
    both = 0.0
    for stream, arrays in prepare_additions(state, layers):
        # Without gradient rows only the forward additions are left.
        forward_only = stream._replace(groups=np.zeros_like(stream.groups))
        add_events(stream, arrays, THREADS)
        both += timed(add_events, stream, arrays, THREADS)[0]
        forward += timed(add_events, forward_only, arrays, THREADS)[0]
    return forward, both - forward


def trained(
    images: np.ndarray, labels: np.ndarray, batches: int
) -> tuple[EventEngine, np.ndarray]:
    """Return the engine after one epoch, and the images of the batches to measure."""
    row = EventEngine(SEED_JOB)
    row.prepare(images, labels)
    order = np.random.default_rng(0).permutation(len(labels))
    row.train_epoch(order)
    n_batches = min(batches, len(labels) // SEED_JOB.batch_size)
    return row, order[: n_batches * SEED_JOB.batch_size].reshape(n_batches, -1)


def profile(row: EventEngine, batches: np.ndarray) -> dict[str, float]:
    """Return the microseconds per image of each part."""
    seconds = train(row, batches)
    inputs = row.encode(batches.ravel())
    hidden = row.engine.run(inputs)[0]
    forward, weight = additions(row.engine.state(), [inputs, hidden])
    microseconds = {
        part: 1e6 * statistics.median(values) / row.job.batch_size
        for part, values in seconds.items()
    }
    step = microseconds.pop("step")
    total = microseconds["encode"] + step
    microseconds["rest"] = step - sum(microseconds[part] for part in CALLS)
    microseconds["forward_additions"] = 1e6 * forward / batches.size
    microseconds["weight_additions"] = 1e6 * weight / batches.size
    microseconds["total"] = total
    limit = microseconds["forward_additions"] + microseconds["weight_additions"]
    microseconds["total_over_additions"] = total / limit
    return microseconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )
    parser.add_argument(
        "--batches", type=positive, default=500, help="batches to measure (500)"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure the parts; return the content of the JSON file, and the table."""
    facts = describe(THREADS, arguments.allow_load)
    data, title = load_benchmark_images(arguments.allow_small)
    numba.set_num_threads(THREADS)
    row, batches = trained(
        data["train_images"], data["train_labels"], arguments.batches
    )
    parts = profile(row, batches)
    lines = [(name, f"{value:.2f}") for name, value in parts.items()]
    content = {"data": title, "machine": facts, "us_per_image": parts}
    return content, text_table(("part", "us per image"), lines)
