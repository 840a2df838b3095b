"""The limit: the additions that the events demand, and nothing else.

Training adds, for every spike, the weights of its synapses to the membrane potentials
(forward) and the deltas of its step to the gradients of those weights (backward). This
module does those additions for the index stream of a whole epoch with everything else
taken away: no encoding, no membrane decay, no threshold, no surrogate, no output
product, no clipping, no optimizer. The stream is prepared beforehand, regrouped by
source for the backward additions; a sample's forward sums stay in registers from its
first event to its last, and a gradient row is fetched once for all events that a source
has in a group of samples. What remains is a bound for any engine that adds row by row,
and time / limit says how far ours is from it.

Each thread owns a share of the columns of both layers, in vectors held in registers
(`spikejoule.engine.kernels.vector.accumulate_rows`), so no two threads write the same
number and one thread's part of a sample's deltas fits into its first-level cache.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numba
import numpy as np

from benchmarks.job import Job
from benchmarks.machine import own_peak_mib, timed
from benchmarks.measurement import Measurement, Plan
from benchmarks.peers.project import epoch_events
from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.encoding.events import EventList
from spikejoule.engine.kernels.structures import Block, BySource, Rows
from spikejoule.engine.kernels.vector import MAX_BLOCK, accumulate_rows

# Samples whose gradient additions are done together: the fastest of 1, 4 and 16.
GROUP_SAMPLES = 16


class AdditionStream(NamedTuple):
    """The spikes of one layer in the order of both kinds of additions. N samples, T
    steps.

    sources int32 [E], samples int64 [N + 1]: by step; sample n has those from
    samples[n] to
        samples[n + 1].
    steps int32 [E]: the row sample x T + step, within its group of samples, of each
    event; the
        events of a group are ordered by source.
    active int32 [R], firsts int64 [R + 1]: row r, a source of a group, has the events
    from
        firsts[r] to firsts[r + 1].
    groups int64 [G + 1]: group g has the rows from groups[g] to groups[g + 1].
    """

    sources: np.ndarray
    samples: np.ndarray
    steps: np.ndarray
    active: np.ndarray
    firsts: np.ndarray
    groups: np.ndarray
    group_samples: int

    @classmethod
    def of(cls, events: EventList, group_samples: int) -> "AdditionStream":
        group, step = np.divmod(
            events.row_of_each_event(), events.n_steps * group_samples
        )
        key = group * events.n_inputs + events.sources
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
        row_group, active = np.divmod(ordered[firsts], events.n_inputs)
        n_groups = -(-events.n_samples // group_samples)
        return cls(
            events.sources.astype(np.int32),
            np.ascontiguousarray(events.offsets[:: events.n_steps]),
            step[order].astype(np.int32),
            active.astype(np.int32),
            np.append(firsts, events.n_events),
            np.searchsorted(row_group, np.arange(n_groups + 1)),
            group_samples,
        )


class AdditionArrays(NamedTuple):
    """What the additions read and write, flat float32, rows padded to `stride`
    columns.
    """

    weights: np.ndarray
    gradients: np.ndarray
    currents: np.ndarray
    deltas: np.ndarray
    stride: int

    @classmethod
    def of(cls, weight: np.ndarray, n_rows: int) -> "AdditionArrays":
        """For weights [target, source] as in a state dict, and deltas of `n_rows`
        steps.
        """
        target, source = weight.shape
        stride = padded(target)
        weights = aligned_zeros((source, stride), np.float32)
        weights[:, :target] = weight.T
        return cls(
            weights.reshape(-1),
            aligned_zeros((source * stride,), np.float32),
            aligned_zeros((stride,), np.float32),
            aligned_zeros((n_rows * stride,), np.float32),
            stride,
        )


@numba.njit(parallel=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _add(stream, arrays, bounds):
    samples = stream.samples
    groups = stream.groups
    group_samples = stream.group_samples
    n_samples = samples.size - 1
    only_row = np.zeros(1, np.int32)
    currents = Rows(arrays.currents, 0, arrays.stride)
    gradients = Rows(arrays.gradients, 0, arrays.stride)
    for lane in numba.prange(bounds.size - 1):
        for group in range(groups.size - 1):
            # A lane's share is cut into blocks that fit into the registers.
            for part in range(bounds[lane], bounds[lane + 1], MAX_BLOCK):
                block = Block(part * LANES, min(MAX_BLOCK, bounds[lane + 1] - part))
                start = group * group_samples
                for sample in range(start, min(start + group_samples, n_samples)):
                    events = BySource(
                        only_row, samples[sample : sample + 2], stream.sources, 1
                    )
                    accumulate_rows(currents, block, events, arrays.weights)
                first = groups[group]
                last = groups[group + 1]
                events_of_group = BySource(
                    stream.active[first:last],
                    stream.firsts[first : last + 1],
                    stream.steps,
                    last - first,
                )
                accumulate_rows(gradients, block, events_of_group, arrays.deltas)


def add_events(stream: AdditionStream, arrays: AdditionArrays, n_lanes: int) -> None:
    """Do all additions of a stream, on `n_lanes` threads at most.

    `arrays.currents` receives the sums of all samples; `arrays.deltas` stands for every
    group's.
    """
    vectors = arrays.stride // LANES
    bounds = np.linspace(0, vectors, min(n_lanes, vectors) + 1).round().astype(np.int64)
    _add(stream, arrays, bounds)


def prepare_additions(
    state: Mapping[str, np.ndarray], layers: list[EventList]
) -> list[tuple[AdditionStream, AdditionArrays]]:
    """Of both layers of a network, for the spikes before each."""
    of_layers = []
    for number, events in enumerate(layers, start=1):
        weight = state[f"layer{number}.synapses.weight"]
        arrays = AdditionArrays.of(weight, events.n_steps * GROUP_SAMPLES)
        of_layers.append((AdditionStream.of(events, GROUP_SAMPLES), arrays))
    return of_layers


def measure_limit(job: Job, plan: Plan, data: dict[str, np.ndarray]) -> Measurement:
    """Seconds per epoch of the additions alone, for both layers of the job's network.

    The input events are those of one epoch; the hidden events are those of the network
    that the event engine has after as many epochs as its own measurement warms it up
    with.
    """
    state, layers = epoch_events(job, data, plan)
    prepared = prepare_additions(state, layers)
    lanes = numba.get_num_threads()

    def additions() -> None:
        for stream, arrays in prepared:
            add_events(stream, arrays, lanes)

    # The first pass compiles, or warms the caches up.
    seconds = [timed(additions)[0] for _ in range(plan.epochs + 2)][1:]
    per_sample = [events.n_events / events.n_samples for events in layers]
    further = {"events_per_sample": per_sample, "group_samples": GROUP_SAMPLES}
    return Measurement(seconds, peak_mib=own_peak_mib(), further=further)
