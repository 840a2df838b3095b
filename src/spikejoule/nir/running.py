"""Running a NIR graph on events, and counting.

Which kernels run a node is chosen for each connection. The event engine's take a layer
over all steps, faster and with the same spikes: a fully connected node that has its
spikes as a list, from the input or another such layer, and neurons that it alone leads
to, LIF or IF, alike, with currents of gain 1, v_leak = 0 and v_reset = 0. Firing above
the threshold alone is firing at or above the next number, so that it runs these, too,
unless a reset subtracts the threshold. Everything else the executor runs, step by step
(`executor`).

Both add the same numbers, the event engine one after another to what is left of the
potential, the executor among themselves first: where sums are not exact in float32,
their last bits differ.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import nir
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.counts.records import Counts, NodeCounts
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import check_input
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network, State
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import Connection, Dense, Input, Neurons, Node, Threshold
from spikejoule.nir.conventions import Conventions, conventions_of, dynamics_of
from spikejoule.nir.executor import GraphRun, execute
from spikejoule.nir.reading import network_of

Graph: TypeAlias = "nir.NIRGraph | ImportedGraph"
"""A graph in memory, of nir or checked."""


@dataclass(frozen=True, eq=False)
class EventLayer:
    """A population and the connection before it as a network of one layer.

    Attributes:
        network, state: for the event engine.
        sender: the node whose spikes it takes.
    """

    network: Network
    state: State
    sender: str


def event_layer(
    network: ImportedGraph, neurons: Neurons, conventions: Conventions
) -> EventLayer | None:
    """What the event engine runs of a population; None unless it computes the same."""
    dense = network.nodes[network.sources[neurons.name][0]]
    senders = network.sources[dense.name]
    is_chain = (
        len(network.sources[neurons.name]) == 1
        and len(senders) == 1
        and len(network.readers_of(dense.name)) == 1
    )
    if not (
        is_chain
        and isinstance(dense, Dense)
        and neurons.spikes
        and not neurons.has_current
    ):
        return None
    # To start the engine for fewer synapses would take longer.
    if dense.n_in * dense.n_out < LANES or max(dense.n_in, dense.n_out) > 65_535:
        return None
    subtracts = conventions.reset == "subtract"
    if subtracts and conventions.comparison == "gt":
        return None
    dynamics = dynamics_of(neurons, conventions, np.float32)
    membrane = dynamics.membrane
    for zeros in (membrane.gain - 1, membrane.drive, membrane.reset, dynamics.initial):
        if zeros.any():
            return None
    if np.ptp(membrane.keep) or np.ptp(membrane.limit):
        return None
    state = {"layer1.synapses.weight": dense.weight.astype(np.float32)}
    if dense.bias is not None:
        state["layer1.synapses.bias"] = dense.bias.astype(np.float32)
    try:
        neuron = LeakyIntegrateAndFire(
            threshold=float(membrane.limit[0]),
            decay=float(membrane.keep[0]),
            reset="subtract" if subtracts else "zero",
            bias=dense.bias is not None,
        )
    except (ParameterError, ValueError):  # a constant is out of its range
        return None
    part = _part_of(network, {dense.name, neurons.name})
    return EventLayer(Network(part.nodes, part.edges, neuron=neuron), state, senders[0])


def run_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
    engine: str = "auto",
) -> GraphRun:
    """Run a graph on the spikes of N samples; a step of theirs is one step of the
    graph.

    Args:
        graph: in memory, of nir or from `read_nir`.
        events: spikes of the input; unit numbers count in C order through its shape.
        given: what the graph does not say; a graph of this project says it itself.
        dtype: float32, or float64 for exact comparisons.
        record: nodes that give spikes which are kept.
        engine: ``auto``; ``graph`` never takes the event engine.

    Raises:
        ArtifactError: the graph is none that is known, or does not fit the events.
        ParameterError: how it is run is not known, or contradicts it.
    """
    network = graph if isinstance(graph, ImportedGraph) else network_of(graph)
    _check_arguments(network, events, given, record)
    conventions = conventions_of(network, given or Conventions())
    pruned = bool(conventions.pruned)
    known = {network.input.name: events}
    counts: dict[str, NodeCounts] = {}
    rest = set(network.nodes)
    if engine == "auto" and np.dtype(dtype) == np.float32:
        for neurons in network.of(Neurons):
            layer = event_layer(network, neurons, conventions)
            if layer is None or layer.sender not in known:
                continue
            sent = known[layer.sender]
            measured = measure_network(layer.state, layer.network, sent, pruned=pruned)
            known[neurons.name] = measured.layers[-1]
            counts |= measured.activity().counts
            rest -= {neurons.name, *layer.network.connection_names}
    is_whole = (
        rest == {network.input.name, network.output.name} and network.answer in known
    )
    output: NDArray[Any]
    if is_whole and network.answer is not None:
        output = class_counts(known[network.answer])
    else:
        left = _part_of(network, rest - {network.input.name}) if counts else network
        inputs = {node.name: known[node.name] for node in left.of(Input)}
        to_record = [name for name in record if name not in known]
        outcome = execute(left, conventions, inputs, dtype, to_record)
        known |= outcome.recorded
        counts |= outcome.counts
        output = outcome.output

    every_step = np.full(events.n_samples, events.n_steps, np.int64)
    for neurons in network.of(Neurons):
        n_leaks = dynamics_of(neurons, conventions, dtype).n_leaks
        counts[neurons.name] = _clocked(
            network, neurons, counts[neurons.name], every_step, n_leaks
        )
    for node in (*network.of(Threshold), *network.connections):
        counts[node.name] = _clocked(network, node, counts[node.name], every_step)
    return GraphRun(
        network=network,
        time_window=events.n_steps,
        counts={
            name: counts[name] for name in network.nodes if name != network.output.name
        },
        pruned=pruned,
        conventions=conventions,
        engine="event" if is_whole else "graph",
        output=output,
        recorded={name: known[name] for name in record},
    )


def _check_arguments(
    network: ImportedGraph,
    events: EventList,
    given: Conventions | None,
    record: Sequence[str],
) -> None:
    """Raise ArtifactError or ParameterError for arguments of `run_graph` that do not
    fit.
    """
    if not isinstance(given, Conventions | None):
        raise ParameterError(
            f"given must be Conventions, not a {type(given).__name__}."
        )
    if not isinstance(events, EventList):
        raise ArtifactError(
            f"events must be an EventList, not a {type(events).__name__}: "
            "`EventList.from_dense` "
            "makes one of an array of samples, steps and units."
        )
    if events.currents is not None:
        raise ArtifactError(
            "the events hold constant currents, which a graph is not run on: "
            "encode them as spikes."
        )
    check_input(events, network)
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    unknown = [name for name in record if name not in network.spiking]
    if unknown:
        raise ParameterError(
            f"record: {', '.join(unknown)} give no spikes; allowed are "
            f"{', '.join(sorted(network.spiking))}."
        )


def _clocked(
    network: ImportedGraph,
    node: Node,
    counts: NodeCounts,
    every_step: Counts,
    n_leaks: int = 0,
) -> NodeCounts:
    """The counts of a node with those that do not depend on what arrives.

    Args:
        network, node: which.
        counts: what was counted while it ran.
        every_step: an operation in each step, [N].
        n_leaks: multiplications by which states leak in a step.
    """
    each_unit = every_step * node.n_out
    if isinstance(node, Neurons):
        n_constants = network.constants_of(node)
        leaks = every_step * n_leaks if n_leaks else None
        biases = every_step * n_constants if n_constants else None
        if counts.spikes is not None:
            return NodeCounts.of_neurons(counts.spikes, each_unit, leaks, biases)
        return replace(counts, updates=each_unit, leaks=leaks, biases=biases)
    if isinstance(node, Threshold):
        return replace(counts, comparisons=each_unit)
    if isinstance(node, Connection) and node.bias is not None:
        return replace(counts, biases=each_unit)
    return counts


def _part_of(network: ImportedGraph, names: Collection[str]) -> ImportedGraph:
    """Some nodes of a network; nodes outside that send to them become inputs."""
    edges = tuple(edge for edge in network.edges if edge[1] in names)
    senders = {source for source, _ in edges}
    nodes: dict[str, Node] = {
        name: node if name in names else Input(name, node.out_shape, node.out_shape)
        for name, node in network.nodes.items()
        if name in names or name in senders
    }
    return replace(network, nodes=nodes, edges=edges)
