"""The additions and memory traffic that the events demand: a lower bound on time.

Training adds, for every spike, the weights of its synapses to the membrane potentials
(forward), and the deltas of its step to the gradients of those weights (backward). This
module does only these additions, for the spikes of a whole epoch: no encoding, decay,
threshold, surrogate, output product or clipping. The spikes are prepared beforehand and
ordered by source for the backward additions. A sample's forward sums stay in registers,
and a gradient row is loaded once for all events of its source in a group of samples.
No engine that adds row by row can be faster.

After each batch, Adam reads and writes a weight, its gradient and its two moments. The
module does this, with one addition a word in place of Adam's formula, for the rows that
an event of the batch reached.

Each thread owns a part of the columns of both layers, in vectors that
`spikejoule.engine.learning.kernels.vector.accumulate_rows` keeps in registers. So no
two threads write the same number, and a thread's part of a sample's deltas fits into
the first-level cache.
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
from spikejoule.engine.kernels.structures import Block, Rows
from spikejoule.engine.kernels.vector import MAX_BLOCK
from spikejoule.engine.learning.kernels.structures import BySource
from spikejoule.engine.learning.kernels.vector import accumulate_rows

# Samples whose gradient additions are done together: the fastest of 1, 4 and 16.
GROUP_SAMPLES = 16


class AdditionStream(NamedTuple):
    """The spikes of one layer in the order of both kinds of additions.

    N samples, T steps, E events. A gradient row is a source within a group of samples;
    there are R of them in G groups.

    Attributes:
        sources: the source of each event, by step, int32 [E].
        samples: first event of each sample in `sources`, int64 [N + 1].
        steps: row (sample x T + step) of each event within its group, ordered by
            source, int32 [E].
        active: the source of each gradient row, int32 [R].
        firsts: first event of each gradient row in `steps`, int64 [R + 1].
        groups: first gradient row of each group, int64 [G + 1].
        group_samples: samples per group.
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
        """Order the events of a layer."""
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
            sources=events.sources.astype(np.int32),
            samples=np.ascontiguousarray(events.offsets[:: events.n_steps]),
            steps=step[order].astype(np.int32),
            active=active.astype(np.int32),
            firsts=np.append(firsts, events.n_events),
            groups=np.searchsorted(row_group, np.arange(n_groups + 1)),
            group_samples=group_samples,
        )


class AdditionArrays(NamedTuple):
    """What the additions read and write: flat float32, rows padded to `stride`.

    Attributes:
        weights, gradients: [sources * stride].
        currents: receives the sums of all samples, [stride].
        deltas: of one group, read for every group, [rows * stride].
        stride: columns of a row.
    """

    weights: np.ndarray
    gradients: np.ndarray
    currents: np.ndarray
    deltas: np.ndarray
    stride: int

    @classmethod
    def of(cls, weight: np.ndarray, n_rows: int) -> "AdditionArrays":
        """Allocate for weights [target, source] and deltas of `n_rows` steps."""
        n_targets, n_sources = weight.shape
        stride = padded(n_targets)
        weights = aligned_zeros((n_sources, stride), np.float32)
        weights[:, :n_targets] = weight.T
        return cls(
            weights=weights.reshape(-1),
            gradients=aligned_zeros((n_sources * stride,), np.float32),
            currents=aligned_zeros((stride,), np.float32),
            deltas=aligned_zeros((n_rows * stride,), np.float32),
            stride=stride,
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
            # A thread's columns are cut into blocks that fit into the registers.
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
                group_events = BySource(
                    stream.active[first:last],
                    stream.firsts[first : last + 1],
                    stream.steps,
                    last - first,
                )
                accumulate_rows(gradients, block, group_events, arrays.deltas)


def add_events(stream: AdditionStream, arrays: AdditionArrays, n_lanes: int) -> None:
    """Do all additions of a stream on at most `n_lanes` threads."""
    vectors = arrays.stride // LANES
    bounds = np.linspace(0, vectors, min(n_lanes, vectors) + 1).round().astype(np.int64)
    _add(stream, arrays, bounds)


class AdamArrays(NamedTuple):
    """The words of a layer that Adam reads and writes: flat float32, padded rows."""

    weights: np.ndarray
    gradients: np.ndarray
    first_moments: np.ndarray
    second_moments: np.ndarray
    stride: int

    @classmethod
    def of(cls, additions: AdditionArrays) -> "AdamArrays":
        """Take the weights and gradients of a layer, and allocate its moments."""
        size = (additions.weights.size,)
        return cls(
            weights=additions.weights,
            gradients=additions.gradients,
            first_moments=aligned_zeros(size, np.float32),
            second_moments=aligned_zeros(size, np.float32),
            stride=additions.stride,
        )


@numba.njit(parallel=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _update(active, batches, arrays, bounds):
    weights = arrays.weights
    gradients = arrays.gradients
    first_moments = arrays.first_moments
    second_moments = arrays.second_moments
    for lane in numba.prange(bounds.size - 1):
        for row in range(batches[0], batches[-1]):
            start = active[row] * arrays.stride
            for column in range(bounds[lane] * LANES, bounds[lane + 1] * LANES):
                place = start + column
                gradient = gradients[place]
                first_moments[place] += gradient
                second_moments[place] += gradient * gradient
                weights[place] += gradient
                gradients[place] = np.float32(0)


def update_rows(batches: AdditionStream, arrays: AdamArrays, n_lanes: int) -> None:
    """Read and write the words of every row that a batch reached, batch by batch.

    Args:
        batches: groups of one batch each.
        arrays: of the layer.
        n_lanes: threads, at most.
    """
    vectors = arrays.stride // LANES
    bounds = np.linspace(0, vectors, min(n_lanes, vectors) + 1).round().astype(np.int64)
    _update(batches.active, batches.groups, arrays, bounds)


def prepare_additions(
    state: Mapping[str, np.ndarray], layers: list[EventList]
) -> list[tuple[AdditionStream, AdditionArrays]]:
    """Prepare the layers of a network, given the spikes into each."""
    prepared = []
    for number, events in enumerate(layers, start=1):
        weight = state[f"layer{number}.synapses.weight"]
        arrays = AdditionArrays.of(weight, events.n_steps * GROUP_SAMPLES)
        prepared.append((AdditionStream.of(events, GROUP_SAMPLES), arrays))
    return prepared


def measure_limit(job: Job, plan: Plan, data: dict[str, np.ndarray]) -> Measurement:
    """Time the additions and updates of an epoch, for the layers of the job's network.

    The network is the one that the event engine has when its own timing starts.
    """
    state, layers = epoch_events(job, data, plan)
    prepared = prepare_additions(state, layers)
    batches = [AdditionStream.of(events, job.batch_size) for events in layers]
    updated = [AdamArrays.of(arrays) for _, arrays in prepared]
    lanes = numba.get_num_threads()

    def additions() -> None:
        for stream, arrays in prepared:
            add_events(stream, arrays, lanes)

    def updates() -> None:
        for stream, arrays in zip(batches, updated, strict=True):
            update_rows(stream, arrays, lanes)

    # The first pass compiles, or warms the caches.
    repeats = range(plan.epochs + 2)
    add_seconds = [timed(additions)[0] for _ in repeats][1:]
    update_seconds = [timed(updates)[0] for _ in repeats][1:]
    seconds = [sum(both) for both in zip(add_seconds, update_seconds, strict=True)]
    per_sample = [events.n_events / events.n_samples for events in layers]
    further = {
        "events_per_sample": per_sample,
        "group_samples": GROUP_SAMPLES,
        "optimizer_fraction": sum(update_seconds) / sum(seconds),
    }
    return Measurement(seconds, peak_mib=own_peak_mib(), further=further)
