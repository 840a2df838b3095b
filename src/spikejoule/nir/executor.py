"""The graph executor: runs any graph on events, step by step, in batches of samples.

Each node of a batch becomes a function that takes its part of a step (`steps`). All of
them are called in the order of a step, again and again, on arrays that were made before
the first step (`batch`): a node reads the arrays of its sources and writes its own. An
edge that waits for the next step needs no memory of its own: its target runs before its
source, and finds there what the previous step left.

The kernels (`kernels.stepping`) take sixteen samples at a time.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numba
import numpy as np
from numpy.typing import DTypeLike

from spikejoule.compiling.emit import LANES
from spikejoule.counts.records import NodeCounts
from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.network import nodes
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.batch import Batch, Plan, Step
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.graph_run import Outcome
from spikejoule.nir.kernels import stepping
from spikejoule.nir.steps import STEPS

# Sizes in numbers of float32 or float64
_BATCH_NUMBERS: Final = 1 << 22
"""The arrays of a batch."""
_ALL_NUMBERS: Final = 1 << 28
"""The batches of all threads: 1 GB, unless a single block of samples has more."""
_THREAD_NUMBERS: Final = 1 << 19
"""The least work of a thread: all samples of all its arrays."""

_MOST_SAMPLES: Final = 4096
"""Most samples of a batch, in blocks of `LANES`."""


def execute(
    network: ImportedGraph,
    conventions: Conventions,
    events: EventList,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> Outcome:
    """Run all samples, in batches, on as many threads as the kernels have.

    Args:
        network: a graph.
        conventions: how it runs, complete and checked.
        events: spikes of the input.
        dtype: float32, or float64 for exact comparisons.
        record: nodes whose spikes are kept.
    """
    plan = Plan(network, conventions, events, dtype)
    threads, size = _threads_and_batch_size(plan)

    def run(first: int) -> Outcome:
        return _run(Batch(plan, first, size), record)

    firsts = range(0, events.n_samples, size)
    if threads == 1:
        # Starting a thread takes longer than many a run.
        outcomes = list(map(run, firsts))
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            outcomes = list(pool.map(run, firsts))
    return Outcome(
        counts={
            name: NodeCounts.of_batches([outcome.counts[name] for outcome in outcomes])
            for name in network.nodes
        },
        output=np.concatenate([outcome.output for outcome in outcomes]),
        recorded={
            name: concatenate_samples([outcome.recorded[name] for outcome in outcomes])
            for name in record
        },
    )


def _threads_and_batch_size(plan: Plan) -> tuple[int, int]:
    """Share samples out: return the number of threads, and of samples in a batch."""
    n_samples = plan.events.n_samples
    # Numbers that a sample takes in all arrays.
    n_units = sum(node.n_in + node.n_out for node in plan.network.nodes.values())
    for steps in plan.delays.values():
        n_units += steps.size * min(int(steps.max()), plan.events.n_steps)
    # A thread whose steps are short waits for the Python of the others, and slows them
    # down; and all threads together must fit into memory.
    by_work = n_samples * n_units // _THREAD_NUMBERS
    by_memory = _ALL_NUMBERS // (LANES * n_units)
    threads = max(1, min(numba.get_num_threads(), by_work, by_memory))
    per_thread = -(-n_samples // threads)
    size = min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, per_thread)
    return threads, LANES * max(1, -(-size // LANES))


def _run(batch: Batch, record: Sequence[str]) -> Outcome:
    """Take all steps of a batch."""
    network = batch.plan.network
    n_steps = batch.plan.events.n_steps
    parts = _parts_of_a_step(batch)
    fired = {
        name: np.zeros((batch.size, n_steps, network.nodes[name].n_out), np.bool_)
        for name in record
    }
    for step in range(n_steps):
        batch.step = step
        for take_part in parts:
            take_part()
        for name in record:
            fired[name][:, step] = batch.by_sample(batch.signals[name].amounts)
    return Outcome(
        counts={name: batch.counts_of(node) for name, node in network.nodes.items()},
        output=batch.by_sample(batch.output),
        recorded={name: EventList.from_dense(fired[name]) for name in record},
    )


def _parts_of_a_step(batch: Batch) -> list[Step]:
    """Return what the nodes do in a step, in order, and what is done at its end."""
    parts: list[Step] = []
    for node in batch.plan.network.nodes.values():
        parts.append(STEPS[type(node)](batch, node))
        if batch.plan.is_listed(node) and not _lists_itself(node):
            parts.append(partial(stepping.take_nonzero, batch.signals[node.name]))
    return parts + batch.at_end


def _lists_itself(node: nodes.Node) -> bool:
    """Whether the kernel of a node lists its active units."""
    if isinstance(node, nodes.Neurons):
        return node.spikes
    return isinstance(node, nodes.Input)
