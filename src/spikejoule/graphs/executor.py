"""Running a planned network on event lists, batches of samples side by side."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import DTypeLike

from spikejoule.graphs.batch import Batch
from spikejoule.graphs.constants import constants_of
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.counts import KINDS, GraphRun
from spikejoule.graphs.plan import Plan
from spikejoule.spikes.events import EventList

_BATCH_NUMBERS = 1 << 19
_LEAST_NUMBERS = 1 << 14
_MOST_SAMPLES = 256


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
    threads = numba.get_num_threads()
    # A small network takes its steps sooner than two threads agree who is to take the next one.
    share = max(-(-events.n_samples // threads), _LEAST_NUMBERS // n_units)
    size = max(1, min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, share))
    firsts = range(0, events.n_samples, size)

    def run(first: int) -> Batch:
        batch = Batch(
            plan, conventions, constants, events, slice(first, first + size), np.dtype(dtype),
            tuple(record),
        )  # fmt: skip
        batch.run()
        return batch

    with ThreadPoolExecutor(max_workers=threads) as pool:
        batches = list(pool.map(run, firsts))
    return GraphRun(
        plan, conventions, "graph", events.n_steps,
        {kind: {name: np.concatenate([batch.counts[kind][name] for batch in batches])
                for name in batches[0].counts[kind]} for kind in KINDS},
        np.concatenate([batch.output for batch in batches]),
        batches[0].output_spikes,
        {name: EventList.from_dense(np.concatenate([batch.marks[name] for batch in batches]))
         for name in record},
    )  # fmt: skip
