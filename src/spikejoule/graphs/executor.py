"""Running a planned network on event lists, batches of samples side by side."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.compiling.emit import LANES
from spikejoule.encoding.events import EventList
from spikejoule.graphs.actions import actions_of
from spikejoule.graphs.batch import Batch
from spikejoule.graphs.constants import constants_of
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.counts import KINDS, Counts, GraphRun
from spikejoule.graphs.kernels import lists
from spikejoule.graphs.plan import Plan

_BATCH_NUMBERS = 1 << 22
_ALL_NUMBERS = 1 << 28
"""Of all threads' batches together: 1 GB, unless one block of samples has more."""
_THREAD_NUMBERS = 1 << 19
_MOST_SAMPLES = 4096


def execute(
    plan: Plan,
    conventions: Conventions,
    events: EventList,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> GraphRun:
    """Run all samples, batches of them on as many threads as the kernels have.

    Args:
        plan: of the network.
        conventions: checked ones.
        events: spikes of the input.
        dtype: float32, or float64 for exact comparisons.
        record: nodes whose spikes are kept.
    """
    constants = constants_of(plan, conventions, dtype)
    n_units = sum(node.n_in + node.n_out for node in plan.nodes)
    for steps in plan.delays.values():
        n_units += steps.size * min(int(steps.max()), events.n_steps)
    # A thread for which a step is little work waits for the others' Python, and slows them down.
    most = min(events.n_samples * n_units // _THREAD_NUMBERS, _ALL_NUMBERS // (LANES * n_units))
    threads = max(1, min(numba.get_num_threads(), most))
    size = min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, -(-events.n_samples // threads))
    size = LANES * max(1, -(-size // LANES))
    firsts = range(0, events.n_samples, size)

    def run(first: int) -> _Outcome:
        samples = slice(first, first + size)
        batch = Batch(plan, constants, conventions, events, samples, np.dtype(dtype))
        return _run(batch, record)

    if threads == 1:
        outcomes = list(map(run, firsts))
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            outcomes = list(pool.map(run, firsts))
    return GraphRun(
        plan, conventions, "graph", events.n_steps,
        {kind: {name: np.concatenate([one.counts[kind][name] for one in outcomes])
                for name in outcomes[0].counts[kind]} for kind in KINDS},
        np.concatenate([one.output for one in outcomes]),
        outcomes[0].output_spikes,
        {name: EventList.from_dense(np.concatenate([one.marks[name] for one in outcomes]))
         for name in record},
    )  # fmt: skip


class _Outcome(NamedTuple):
    """What is left of a batch: as of `Batch`, and the spikes of nodes, bool [B, T, n]."""

    counts: Mapping[str, Mapping[str, Counts]]
    output: NDArray[Any]
    output_spikes: bool
    marks: Mapping[str, NDArray[np.bool_]]


def _run(batch: Batch, record: Sequence[str]) -> _Outcome:
    """Take all steps."""
    actions, n_steps = actions_of(batch), batch.events.n_steps
    marks = {
        name: np.zeros((batch.size, n_steps, batch.plan.nodes_by_name[name].n_out), np.bool_)
        for name in record
    }
    for step in range(n_steps):
        for action in actions:
            action(step)
        for name in record:
            lists.mark(batch.given[name], step, marks[name])
    batch.count_alike()
    counts = {
        kind: {name: batch.by_sample(total) for name, total in of_nodes.items()}
        for kind, of_nodes in batch.counts.items()
    }
    return _Outcome(counts, batch.by_sample(batch.output), batch.output_spikes, marks)
