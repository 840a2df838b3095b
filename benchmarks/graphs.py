"""Samples per second of foreign graphs: this project's executor beside NIRTorch's
(`make bench`).

Graphs
    A fully connected one, 784-400-10, at 1 % density, which the event engine runs, one
    with synaptic currents, which it does not, and graphs of the shape of the eight
    public files of NIR's paper (`benchmarks.paper_graphs`).
How
    Inference alone, on spikes that lie in memory as each side wants them: an event
    list, a tensor. R rounds; in each, one side after the other runs all samples once,
    after a round that is not timed. Reported is the least of each, in wall-clock
    seconds and in seconds of the processor, which neighbours disturb less. NIRTorch
    takes batches of 64, or all samples at once if that is faster. Both sides have the
    same number of threads. Output spikes must be equal, one by one.
Many samples
    A convolutional graph on ten thousand samples of ten steps, priced as
    `spikejoule energy` prices them, before all else: seconds after a call on a few
    samples, which compiles, and the largest resident set, imports and events included.
Counting
    A convolutional model of snnTorch on a batch of 64 for 25 steps, with and without
    the hooks of `spikejoule.price`: the least processor seconds of the rounds of each,
    of one thread.
"""

import argparse
import importlib.util
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import nir
import numba
import numpy as np

from benchmarks.machine import cores, describe, own_peak_mib, positive, timed
from benchmarks.paper_graphs import DT, PAPER, digits_cnn, fully_connected
from docs.site.speed import graphs_table
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.energy.from_graph import price_graph
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.executor import GraphRun
from spikejoule.nir.reading import network_of
from spikejoule.nir.running import run_graph

# How each is made, and the density of its input.
GRAPHS: dict[str, tuple[Callable[[], nir.NIRGraph], float]] = {
    "fully_connected": (fully_connected, 0.01),
    "fully_connected_currents": (partial(fully_connected, currents=True), 0.01),
    "digits_cnn": (digits_cnn, 0.1),
    **{
        name: (make, 0.05 if name == "scnn_mnist" else 0.3)
        for name, make in PAPER.items()
    },
}

# Until the threads that torch has let go of no longer wait in a loop beside the other
# side.
IDLE_SECONDS = 0.5

GIVEN = Conventions(dt=DT, reset="zero", comparison="ge", current="same_step")


def least(run: Callable[[], Any], rounds: int) -> tuple[float, float, Any]:
    """Least wall-clock and processor seconds of the rounds, and what the last one
    gave.
    """
    found = run()
    wall = []
    processor = []
    for _ in range(rounds):
        before = time.process_time()
        seconds, found = timed(run)
        wall.append(seconds)
        processor.append(time.process_time() - before)
    return min(wall), min(processor), found


def density_of(run: GraphRun) -> float:
    """Spikes per neuron and step."""
    names = run.network.spiking
    neurons = sum(run.network.nodes[name].n_out for name in names)
    spikes = sum(float(run.spikes_of(name).mean()) for name in run.counts)
    return spikes / (run.time_window * neurons)


def measure_graph(name: str, samples: int, steps: int, rounds: int) -> dict[str, Any]:
    """One graph on both sides; AssertionError if their output spikes differ."""
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

    def peer(size: int) -> Any:
        return torch.cat(
            [nirtorch.run(module, part) for part in inputs.split(size, dim=1)], dim=1
        )

    time.sleep(IDLE_SECONDS)
    wall, processor, ours = least(lambda: run_graph(network, events, GIVEN), rounds)
    theirs = [
        least(lambda size=size: peer(size), rounds) for size in sorted({64, samples})
    ]
    for *_, output in theirs:
        assert np.array_equal(output.sum(dim=0).numpy(), ours.output), name
    peer_wall = min(wall for wall, _, _ in theirs)
    peer_processor = min(processor for _, processor, _ in theirs)
    return {
        "graph": name,
        "engine": ours.engine,
        "samples_per_second": samples / wall,
        "samples_per_second_nirtorch": samples / peer_wall,
        "processor_seconds": processor,
        "processor_seconds_nirtorch": peer_processor,
        "density": density_of(ours),
    }


def measure_many(samples: int, steps: int = 10) -> dict[str, Any]:
    """Seconds of pricing a convolutional graph, and the most memory of this process
    until then.
    """
    make, density = GRAPHS["digits_cnn"]
    network = network_of(make())
    generator = np.random.default_rng(0)
    places = (samples, steps, network.n_input)
    drawn = generator.integers(0, 100, places, dtype=np.uint8)
    events = EventList.from_dense(drawn < 100 * density)
    few = run_graph(network, events.select(slice(256)), GIVEN)
    seconds, _ = timed(price_graph, network, events, GIVEN)
    return {
        "graph": "digits_cnn",
        "samples": samples,
        "steps": steps,
        "seconds": seconds,
        "peak_mib": own_peak_mib(),
        "density": density_of(few),
    }


def measure_counting(rounds: int) -> dict[str, Any]:
    """Processor seconds of a model's own forward pass, and of the same while it is
    counted.
    """
    import torch

    from benchmarks.peers.snntorch import digits_cnn as model_of
    from spikejoule.pricing.neurons import Known
    from spikejoule.pricing.running import Run

    torch.set_num_threads(1)
    model = model_of()
    x = (torch.rand(25, 64, 1, 28, 28) < 0.1).float()
    run = Run(model, Known.of(model), 0, "price")

    def own() -> None:
        run.known.reset(model)
        with torch.no_grad():
            for step in x:
                model(step)

    (_, forward, _), (_, counted, _) = (
        least(own, rounds),
        least(lambda: run.take(x), rounds),
    )
    network = "12C5-P2-32C5-P2-10, batches of 64, 25 steps"
    return {
        "simulator": "snnTorch",
        "network": network,
        "seconds_forward": forward,
        "seconds_counted": counted,
        "ratio": counted / forward,
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this case."""
    parser.add_argument(
        "--threads", type=positive, default=cores(), help="threads (all cores)"
    )
    parser.add_argument("--samples", type=positive, default=256)
    parser.add_argument("--steps", type=positive, default=50)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument(
        "--many", type=positive, default=10_000, help="samples that are priced"
    )
    parser.add_argument(
        "--graphs", nargs="*", choices=tuple(GRAPHS), default=tuple(GRAPHS)
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Every graph on both sides, and the page's table; SpikejouleError where a peer is
    missing.
    """
    missing = [
        name
        for name in ("nirtorch", "snntorch")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise SpikejouleError(
            f"{missing[0]} is not installed: pip install -e '.[bench]'."
        )
    numba.set_num_threads(arguments.threads)
    samples = arguments.samples
    steps = arguments.steps
    many = measure_many(
        arguments.many
    )  # first, since later peaks are not of its memory
    rows = [
        measure_graph(name, samples, steps, arguments.rounds)
        for name in arguments.graphs
    ]
    content = {
        **describe(arguments.threads),
        "samples": samples,
        "steps": steps,
        "graphs": rows,
        "many_samples": many,
        "counting": measure_counting(arguments.rounds),
    }
    return content, graphs_table(content)
