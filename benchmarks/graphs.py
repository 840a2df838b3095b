"""Samples per second of NIR graphs, compared with NIRTorch (`make bench`).

Graphs
    Fully connected, 784-400-10, at 1 % density, which the event engine runs; the same
    with synaptic currents, which the graph executor runs; and graphs with the shapes of
    the eight public files of NIR's paper (`benchmarks.paper_graphs`).
How
    Inference only, on spikes that are in memory in each side's own form: an event list
    and a tensor. In each round one side after the other runs all samples once, after an
    untimed round. The least of the rounds counts, in wall-clock seconds and in
    processor seconds, which other processes disturb less. NIRTorch takes batches of 64,
    or all samples at once if that is faster. Both sides have the same number of
    threads, and their output spikes must be equal.
Many samples
    A convolutional graph on ten thousand samples of ten steps, priced as `spikejoule
    energy` does: seconds after a first call that compiles, and the peak memory, which
    is why it is measured first.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import nir
import numba
import numpy as np

from benchmarks.machine import cores, describe, own_peak_mib, positive, timed
from benchmarks.paper_graphs import DT, PAPER, digits_cnn, fully_connected
from docs.site.speed import plain_graphs
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.graph_run import GraphRun
from spikejoule.nir.reading import network_of
from spikejoule.nir.running import run_graph
from spikejoule.pricing.graph import price_graph

# How each graph is made, and the density of its input.
GRAPHS: dict[str, tuple[Callable[[], nir.NIRGraph], float]] = {
    "fully_connected": (fully_connected, 0.01),
    "fully_connected_currents": (partial(fully_connected, currents=True), 0.01),
    "digits_cnn": (digits_cnn, 0.1),
    **{
        name: (make, 0.05 if name == "scnn_mnist" else 0.3)
        for name, make in PAPER.items()
    },
}

# PyTorch's idle threads spin for this long; they would disturb the other side.
IDLE_SECONDS = 0.5

CONVENTIONS = Conventions(dt=DT, reset="zero", comparison="ge", current="same_step")


@dataclass(frozen=True)
class Least:
    """The least times of several rounds, and the result of the last one."""

    wall_seconds: float
    processor_seconds: float
    result: Any

    @classmethod
    def of(cls, run: Callable[[], Any], rounds: int) -> "Least":
        """Time a call, after one that is not timed."""
        result = run()
        wall = []
        processor = []
        for _ in range(rounds):
            before = time.process_time()
            seconds, result = timed(run)
            wall.append(seconds)
            processor.append(time.process_time() - before)
        return cls(min(wall), min(processor), result)


def density_of(run: GraphRun) -> float:
    """Return the spikes per neuron and step."""
    names = run.network.spiking
    neurons = sum(run.network.nodes[name].n_out for name in names)
    spikes = sum(float(run.spikes_of(name).mean()) for name in run.counts)
    return spikes / (run.time_window * neurons)


def measure_graph(name: str, samples: int, steps: int, rounds: int) -> dict[str, Any]:
    """Measure one graph on both sides.

    Raises:
        AssertionError: their output spikes differ.
    """
    import torch

    from benchmarks.peers import nirtorch

    torch.set_num_threads(numba.get_num_threads())
    make, density = GRAPHS[name]
    # Loading is timed on neither side.
    network = network_of(make())
    module = nirtorch.module_of(make(), DT)
    shape = network.input.out_shape
    generator = np.random.default_rng(0)
    spikes = generator.random((samples, steps, *shape)) < density
    events = EventList.from_dense(spikes.reshape(samples, steps, -1))
    inputs = torch.from_numpy(spikes.astype(np.float32)).transpose(0, 1).contiguous()

    def run_peer(size: int) -> Any:
        batches = inputs.split(size, dim=1)
        return torch.cat([nirtorch.run(module, batch) for batch in batches], dim=1)

    time.sleep(IDLE_SECONDS)
    ours = Least.of(lambda: run_graph(network, events, CONVENTIONS), rounds)
    theirs = [
        Least.of(partial(run_peer, size), rounds) for size in sorted({64, samples})
    ]
    for peer in theirs:
        counts = peer.result.sum(dim=0).numpy()
        assert np.array_equal(counts, ours.result.output), name
    peer_seconds = min(peer.wall_seconds for peer in theirs)
    return {
        "graph": name,
        "engine": ours.result.engine,
        "samples_per_second": samples / ours.wall_seconds,
        "samples_per_second_nirtorch": samples / peer_seconds,
        "processor_seconds": ours.processor_seconds,
        "processor_seconds_nirtorch": min(peer.processor_seconds for peer in theirs),
        "density": density_of(ours.result),
    }


def measure_many(samples: int, steps: int = 10) -> dict[str, Any]:
    """Time the pricing of a convolutional graph; record this process's peak memory."""
    make, density = GRAPHS["digits_cnn"]
    network = network_of(make())
    generator = np.random.default_rng(0)
    shape = (samples, steps, network.n_input)
    drawn = generator.integers(0, 100, shape, dtype=np.uint8)
    events = EventList.from_dense(drawn < 100 * density)
    few = run_graph(network, events.select(slice(256)), CONVENTIONS)
    seconds, _ = timed(price_graph, network, events, CONVENTIONS)
    return {
        "graph": "digits_cnn",
        "samples": samples,
        "steps": steps,
        "seconds": seconds,
        "peak_mib": own_peak_mib(),
        "density": density_of(few),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    parser.add_argument(
        "--threads", type=positive, default=cores(), help="threads (all cores)"
    )
    parser.add_argument("--samples", type=positive, default=256)
    parser.add_argument("--steps", type=positive, default=50)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument(
        "--many", type=positive, default=10_000, help="samples to price (10,000)"
    )
    parser.add_argument(
        "--graphs", nargs="*", choices=tuple(GRAPHS), default=tuple(GRAPHS)
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure every graph; return the content of the JSON file, and the table.

    Raises:
        SpikejouleError: NIRTorch is not installed.
    """
    if importlib.util.find_spec("nirtorch") is None:
        raise SpikejouleError("nirtorch is not installed: pip install -e '.[bench]'.")
    facts = describe(arguments.threads, arguments.allow_load)
    numba.set_num_threads(arguments.threads)
    # First, because the peak memory of a process never falls.
    many = measure_many(arguments.many)
    rows = [
        measure_graph(name, arguments.samples, arguments.steps, arguments.rounds)
        for name in arguments.graphs
    ]
    content = {
        **facts,
        "samples": arguments.samples,
        "steps": arguments.steps,
        "graphs": rows,
        "many_samples": many,
    }
    return content, plain_graphs(content)
