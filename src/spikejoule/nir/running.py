"""Run a NIR graph on events, and count.

A plain chain of fully connected LIF or IF layers runs in the event engine, which takes
a layer over all steps; it is faster, and emits the same spikes. Every other graph runs
in the graph executor, step by step (`executor`).

Both add the same numbers: the event engine one after another to the rest of the
potential, the executor first among themselves. Where sums are not exact in float32,
their last bits differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, TypeAlias

import nir
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.counts.records import Counts, NodeCounts
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import check_input
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Connection, Dense, Neurons, Node, Output, Threshold
from spikejoule.nir.conventions import Conventions, conventions_of, dynamics_of
from spikejoule.nir.executor import execute
from spikejoule.nir.graph_run import GraphRun, Outcome
from spikejoule.nir.reading import network_of

Graph: TypeAlias = "nir.NIRGraph | ImportedGraph"
"""A graph in memory, from nir or already read."""

_MAX_ENGINE_UNITS: Final = 65_535
"""The event engine numbers units with 16 bits."""


def run_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> GraphRun:
    """Run a graph on the spikes of N samples; a step of the events is one of the graph.

    Args:
        graph: in memory, from nir or `read_nir`.
        events: input spikes; units are numbered in C order through the input's shape.
        given: what the graph does not say; a graph of this project says everything.
        dtype: float32, or float64 for exact comparisons.
        record: spiking nodes whose spikes are kept.

    Raises:
        ArtifactError: the graph is not known, or does not fit the events.
        ParameterError: it is not known how the graph is run, or this contradicts it.
    """
    network = graph if isinstance(graph, ImportedGraph) else network_of(graph)
    _check(network, events, given, record)
    conventions = conventions_of(network, given or Conventions())
    pruned = bool(conventions.pruned)
    real = np.dtype(dtype)
    chain = _chain_of(network, conventions) if real == np.float32 else None
    if chain is None:
        outcome = execute(network, conventions, events, real, record)
    else:
        outcome = chain.run(events, pruned)
    every_step = np.full(events.n_samples, events.n_steps, np.int64)
    return GraphRun(
        network=network,
        time_window=events.n_steps,
        counts={
            name: _clocked(node, outcome.counts[name], every_step, conventions, real)
            for name, node in network.nodes.items()
            if not isinstance(node, Output)
        },
        pruned=pruned,
        conventions=conventions,
        engine="graph" if chain is None else "event",
        output=outcome.output,
        recorded={name: outcome.recorded[name] for name in record},
    )


def _check(
    network: ImportedGraph,
    events: EventList,
    given: Conventions | None,
    record: Sequence[str],
) -> None:
    """Refuse arguments of `run_graph` that do not fit."""
    if not isinstance(given, Conventions | None):
        raise ParameterError(
            f"given must be Conventions, not a {type(given).__name__}."
        )
    if not isinstance(events, EventList):
        raise ArtifactError(
            f"events must be an EventList, not a {type(events).__name__}: "
            "`EventList.from_dense` makes one of an array of samples, steps and units."
        )
    if events.currents is not None:
        raise ArtifactError(
            "the events are constant currents, but a graph runs on spikes: encode them "
            "as spikes."
        )
    check_input(events, network)
    if events.n_samples == 0:
        raise ArtifactError("there are no samples; at least one is needed.")
    unknown = [name for name in record if name not in network.spiking]
    if unknown:
        raise ParameterError(
            f"record: {', '.join(unknown)} do not emit spikes; allowed are "
            f"{', '.join(sorted(network.spiking))}."
        )


def _clocked(
    node: Node,
    counts: NodeCounts,
    every_step: Counts,
    conventions: Conventions,
    dtype: np.dtype[Any],
) -> NodeCounts:
    """Add the counts of a node that do not depend on what arrives.

    They are the updates of neurons with their leaks and constants, the comparisons of a
    Threshold, and the biases of a connection.
    """
    units = every_step * node.n_out
    if isinstance(node, Threshold):
        return replace(counts, comparisons=units)
    if isinstance(node, Connection):
        return counts if node.bias is None else replace(counts, biases=units)
    if not isinstance(node, Neurons):
        return counts
    n_leaks = dynamics_of(node, conventions, dtype).n_leaks
    n_biases = int(np.count_nonzero(node.parameters.get("v_leak", ())))
    leaks = every_step * n_leaks if n_leaks else None
    biases = every_step * n_biases if n_biases else None
    if counts.spikes is None:
        return replace(counts, updates=units, leaks=leaks, biases=biases)
    return NodeCounts.of_neurons(counts.spikes, units, leaks, biases)


@dataclass(frozen=True, eq=False)
class Chain:
    """A graph as a network of the event engine.

    Attributes:
        network, state: for the engine.
    """

    network: Network
    state: dict[str, NDArray[np.float32]]

    def run(self, events: EventList, pruned: bool) -> Outcome:
        """Run all samples, and keep all spikes."""
        measured = measure_network(self.state, self.network, events, pruned=pruned)
        layers = zip(self.network.layer_names, measured.layers, strict=True)
        return Outcome(
            counts=dict(measured.activity().counts),
            output=class_counts(measured.layers[-1]),
            recorded=dict(layers),
        )


def engine_chain(network: ImportedGraph, given: Conventions) -> Chain | None:
    """Return a graph as a network of the event engine; None if it is no plain chain.

    Raises:
        ParameterError: it is not known how the graph is run, or `given` contradicts it.
    """
    return _chain_of(network, conventions_of(network, given))


def _chain_of(network: ImportedGraph, conventions: Conventions) -> Chain | None:
    """Return a graph as a chain; None if the event engine would compute anything else.

    The neurons of a layer must be alike, with currents of gain 1, and v_leak, v_reset
    and the first potential 0. Firing above a threshold is firing at or above the next
    number, so both comparisons will do, except with a reset that subtracts the
    threshold.
    """
    layers = _layers_of(network)
    subtracts = conventions.reset == "subtract"
    if not layers or (subtracts and conventions.comparison == "gt"):
        return None
    thresholds = []
    decays = []
    state = {}
    has_bias = any(dense.bias is not None for dense, _ in layers)
    for number, (dense, neurons) in enumerate(layers, start=1):
        dynamics = dynamics_of(neurons, conventions, np.float32)
        membrane = dynamics.membrane
        needed_zeros = (
            membrane.gain - 1,
            membrane.drive,
            membrane.reset,
            dynamics.initial,
        )
        if any(zeros.any() for zeros in needed_zeros):
            return None
        if np.ptp(membrane.keep) or np.ptp(membrane.limit):
            return None
        thresholds.append(float(membrane.limit[0]))
        decays.append(float(membrane.keep[0]))
        state[f"layer{number}.synapses.weight"] = dense.weight.astype(np.float32)
        if has_bias:
            # A bias of 0 changes no potential, where only some layers have one.
            bias = np.zeros(dense.n_out) if dense.bias is None else dense.bias
            state[f"layer{number}.synapses.bias"] = bias.astype(np.float32)
    try:
        neuron = LeakyIntegrateAndFire(
            threshold=tuple(thresholds),
            decay=tuple(decays),
            reset="subtract" if subtracts else "zero",
            bias=has_bias,
        )
    except (ParameterError, ValueError):  # a constant is out of the engine's range
        return None
    output = network.output.name
    nodes = {name: node for name, node in network.nodes.items() if name != output}
    edges = tuple(edge for edge in network.edges if edge[1] != output)
    return Chain(Network(nodes, edges, neuron=neuron), state)


def _layers_of(network: ImportedGraph) -> list[tuple[Dense, Neurons]]:
    """Return the layers of a plain chain, from the input to the output.

    Empty if the graph is anything but fully connected layers of spiking neurons without
    synaptic currents, one after another.
    """
    layers = list(zip(network.of(Dense), network.of(Neurons), strict=False))
    between = [node for layer in layers for node in layer]
    path = [network.input, *between, network.output]
    edges = set(pairwise(node.name for node in path))
    if len(path) != len(network.nodes) or edges != set(network.edges):
        return []
    for dense, neurons in layers:
        is_simple = neurons.spikes and not neurons.has_current
        if not is_simple or max(dense.n_in, dense.n_out) > _MAX_ENGINE_UNITS:
            return []
    return layers
