"""Where the time of training goes: `make profile`.

The benchmark's job (`benchmarks.job`) on full MNIST with the event engine, on one thread, so that
nothing waits for anything. After an epoch that warms up, a number of batches is trained and each of
these calls is timed:

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
`forward_additions` and `weight_additions`. Reported are medians in microseconds per image,
`total_over_additions`, and the work of plans for many threads (`benchmarks.plans`).
"""

import argparse
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks.images import load_benchmark_images
from benchmarks.job import SEED_JOB
from benchmarks.limit import AdditionArrays, AdditionStream, add_events
from benchmarks.machine import describe
from benchmarks.peers.project import EventEngine
from benchmarks.plans import work_of_plans
from benchmarks.timing import timed
from spikejoule.core.store import write_json
from spikejoule.core.text import text_table
from spikejoule.encoding.events import EventList
from spikejoule.engine import event
from spikejoule.engine.kernels.backward import add_groups, prepare_groups
from spikejoule.engine.kernels.structures import Batch, Learning, Network, Workspace
from spikejoule.engine.sharing import share

CALLS = {"gradient_of_batch": "gradient", "gather_gradient": "gather", "adam_step": "optimizer"}
THREADS = 1
GROUP_SAMPLES = 16
"""Samples whose additions are done together by the limit: the fastest of its sizes."""

PLANNED_BATCHES = 150
"""Batches that every plan for many threads is executed on."""

Seconds = dict[str, list[float]]


def _pieces(
    seconds: Seconds, batch: Batch, learning: Learning, network: Network, workspace: Workspace
) -> None:
    """Time the pieces of a batch's gradient, the groups of a lane one after the other."""
    strides, bounds = (tuple(of.tolist()) for of in (network.layers[:, 2], batch.bounds))
    sharing = share(strides, bounds, workspace.group_size, len(bounds) - 1, THREADS)
    prepare = add = 0.0
    for groups in sharing.turns:
        prepare += timed(prepare_groups, groups, batch, learning, network, workspace)[0]
        add += timed(add_groups, groups, sharing.parts, batch, network, workspace)[0]
    seconds["prepare"].append(prepare)
    seconds["weights"].append(add)


@contextmanager
def watched(seconds: Seconds, in_pieces: bool) -> Iterator[None]:
    """Time the calls of `train_batch` within the block, or the pieces of its gradient."""
    kept = {name: getattr(event, name) for name in CALLS}

    def watching(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            took, result = timed(kept[name], *arguments)
            seconds[CALLS[name]].append(took)
            return result

        return call

    def pieces(*arguments: Any) -> None:
        workspace = arguments[3]
        workspace.counts[:], workspace.losses[:] = 0, 0
        _pieces(seconds, *arguments[:4])

    for name in CALLS:
        setattr(event, name, watching(name))
    if in_pieces:
        event.gradient_of_batch = pieces
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(event, name, function)


def additions(layers: list[EventList], weights: list[np.ndarray]) -> tuple[float, float]:
    """Seconds of the forward additions and of those to the gradients."""
    forward = both = 0.0
    for events, weight in zip(layers, weights, strict=True):
        stream = AdditionStream.of(events, GROUP_SAMPLES)
        arrays = AdditionArrays.of(weight, events.n_steps * GROUP_SAMPLES)
        # Without rows for the gradients only the forward additions are left.
        alone = stream._replace(groups=np.zeros_like(stream.groups))
        add_events(stream, arrays, THREADS)
        both += timed(add_events, stream, arrays, THREADS)[0]
        forward += timed(add_events, alone, arrays, THREADS)[0]
    return forward, both - forward


def trained(images: np.ndarray, labels: np.ndarray, batches: int) -> tuple[EventEngine, np.ndarray]:
    """The engine after an epoch, and the images of the batches that are measured."""
    row = EventEngine(SEED_JOB)
    row.prepare(images, labels)
    order = np.random.default_rng(0).permutation(len(labels))
    row.train_epoch(order)
    n_batches = min(batches, len(labels) // SEED_JOB.batch_size)
    return row, order[: n_batches * SEED_JOB.batch_size].reshape(n_batches, -1)


def profile(row: EventEngine, chosen: np.ndarray) -> dict[str, float]:
    """Microseconds per image of each part; see the module."""
    job, labels = row.job, row.labels
    of_calls: Seconds = defaultdict(list)
    of_pieces: Seconds = defaultdict(list)
    for seconds in (of_calls, of_pieces):
        row.next_pass()
        with watched(seconds, in_pieces=seconds is of_pieces):
            for indices in chosen:
                took, events = timed(row.encode, indices)
                seconds["encode"].append(took)
                rate = job.learning_rate
                took, _ = timed(row.engine.train_batch, events, labels[indices], rate)
                seconds["step"].append(took)
    inputs = row.encode(chosen.ravel())
    took, layers = min((timed(row.engine.run, inputs) for _ in range(3)), key=lambda of: of[0])
    state = row.engine.state()
    weights = [state[f"layer{number}.synapses.weight"] for number in (1, 2)]
    forward, weight = additions([inputs, layers[0]], weights)
    scale = 1e6 / job.batch_size
    found = {name: scale * statistics.median(values) for name, values in of_calls.items()}
    pieces = {name: scale * statistics.median(of_pieces[name]) for name in ("prepare", "weights")}
    calls = ("gradient", "gather", "optimizer")
    found["rest"] = found.pop("step") - sum(found[name] for name in calls)
    found["forward"] = 1e6 * took / chosen.size
    found["deltas"] = pieces["prepare"] - found["forward"]
    found["weights"] = pieces["weights"]
    found["forward_additions"] = 1e6 * forward / chosen.size
    found["weight_additions"] = 1e6 * weight / chosen.size
    found["total"] = found["encode"] + found["rest"] + sum(found[name] for name in calls)
    limit = found["forward_additions"] + found["weight_additions"]
    found["total_over_additions"] = found["total"] / limit
    return found


ROWS = {
    "encode": "drawing the input spikes",
    "gradient": "both passes and the weight gradients; its pieces measured apart:",
    "forward": "  potentials and spikes",
    "forward_additions": "    of which adding weights for events (limit)",
    "deltas": "  loss, dL/dv through time, ordering spikes by source",
    "weights": "  adding deltas to the weight gradients",
    "weight_additions": "    of which for events alone (limit)",
    "gather": "adding up the lanes, and the norm for clipping",
    "optimizer": "Adam",
    "rest": "Python and handing over",
    "total": "sum of encode, gradient, gather, optimizer and rest",
}


def table(found: dict[str, float]) -> str:
    """The parts in the order of a batch."""
    rows = [(what, f"{found[name]:.2f}") for name, what in ROWS.items()]
    return text_table(("part", "us per image"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Where the time of training goes.")
    parser.add_argument("--batches", type=int, default=500, help="how many are measured")
    parser.add_argument("--output", type=Path, help="a JSON file to write")
    parser.add_argument("--allow-small", action="store_true", help="take other data than MNIST")
    arguments = parser.parse_args()
    train, _, title = load_benchmark_images(Path(), os.environ, arguments.allow_small)
    numba.set_num_threads(THREADS)
    row, chosen = trained(train.images, train.labels, arguments.batches)
    found = profile(row, chosen)
    print(table(found))
    print(f"The whole takes {found['total_over_additions']:.2f} times the additions alone.")
    plans = work_of_plans(row, chosen[:PLANNED_BATCHES])
    for threads, times in plans.items():
        print(f"The plan for {threads} threads is {times:.2f} times the work.")
    if arguments.output:
        content = {"data": title, "machine": describe(THREADS)}
        write_json(arguments.output, {**content, "us_per_image": found, "work_of_plans": plans})


if __name__ == "__main__":
    main()
