"""Running a NIR graph on events, and counting.

Which kernels run a node is chosen for each connection. The event engine's take a layer over all
steps, faster and with the same spikes: a fully connected node that has its spikes as a list, from
the input or another such layer, and neurons that it alone leads to, LIF or IF, alike, with currents
of gain 1, v_leak = 0 and v_reset = 0. Firing above the threshold alone is firing at or above the
next number, so that it runs these, too, unless a reset subtracts the threshold. Everything else the
executor runs, step by step (`executor`).

Both add the same numbers, the event engine one after another to what is left of the potential, the
executor among themselves first: where sums are not exact in float32, their last bits differ.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
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
from spikejoule.network.nodes import Connection, Dense, Input, Neurons, Node, Output, Threshold
from spikejoule.nir.conventions import Conventions, conventions_of, dynamics_of
from spikejoule.nir.executor import GraphRun, execute
from spikejoule.nir.reading import network_of

Graph: TypeAlias = "nir.NIRGraph | ImportedGraph"
"""A graph in memory, of nir or checked."""


def event_layer(
    network: ImportedGraph, neurons: Neurons, conventions: Conventions, known: Collection[str]
) -> tuple[Network, State] | None:
    """A population and the connection before it as a network of one layer, and its parameters.

    None unless the event engine computes it exactly, from spikes of a node of `known`.
    """
    senders = network.sources[neurons.name]
    dense = network.nodes[senders[0]]
    givers = network.sources[dense.name]
    if (
        not (isinstance(dense, Dense) and neurons.spikes and not neurons.has_current)
        or dense.n_in * dense.n_out < LANES  # to start the engine would take longer
        or [len(senders), len(givers), len(network.readers_of(dense.name))] != [1, 1, 1]
        or givers[0] not in known
        or (conventions.comparison == "gt" and conventions.reset == "subtract")
        or max(dense.n_in, dense.n_out) > 65_535
    ):
        return None
    dynamics = dynamics_of(neurons, conventions, np.float32)
    membrane = dynamics.membrane
    elsewhere = (membrane.gain - 1, membrane.drive, membrane.reset, dynamics.initial)
    if (
        any(values.any() for values in elsewhere)
        or np.ptp([membrane.keep, membrane.limit], 1).any()
    ):
        return None
    state = {"layer1.synapses.weight": dense.weight.astype(np.float32)}
    if dense.bias is not None:
        state["layer1.synapses.bias"] = dense.bias.astype(np.float32)
    try:
        neuron = LeakyIntegrateAndFire(
            threshold=float(membrane.limit[0]),
            decay=float(membrane.keep[0]),
            reset="subtract" if conventions.reset == "subtract" else "zero",
            bias=dense.bias is not None,
        )
    except (ParameterError, ValueError):  # a constant is out of its range
        return None
    part = _part_of(network, {dense.name, neurons.name})
    return Network(part.nodes, part.edges, neuron=neuron), state


def run_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
    engine: str = "auto",
) -> GraphRun:
    """Run a graph on the spikes of N samples; a step of theirs is one step of the graph.

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
    given = Conventions() if given is None else given
    if not isinstance(events, EventList):
        raise ArtifactError(
            f"events must be an EventList, not a {type(events).__name__}: `EventList.from_dense` "
            "makes one of an array of samples, steps and units."
        )
    if not isinstance(given, Conventions):
        raise ParameterError(f"given must be Conventions, not a {type(given).__name__}.")
    if events.currents is not None:
        raise ArtifactError(
            "the events hold constant currents, which a graph is not run on: encode them as spikes."
        )
    check_input(events, network)
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    conventions = conventions_of(network, given)
    unknown = [name for name in record if name not in network.spiking]
    if unknown:
        raise ParameterError(
            f"record: {', '.join(unknown)} give no spikes; allowed are "
            f"{', '.join(sorted(network.spiking))}."
        )
    known, pruned = {network.input.name: events}, bool(conventions.pruned)
    by_kernels = network.of(Neurons) if engine == "auto" and np.dtype(dtype) == np.float32 else ()
    found: dict[str, NodeCounts] = {}
    rest = set(network.nodes)
    for one in by_kernels:
        layer = event_layer(network, one, conventions, known)
        if layer is not None:
            part, state = layer
            measured = measure_network(state, part, known[part.input.name], pruned=pruned)
            known[one.name] = measured.layers[-1]
            found |= measured.activity().counts
            rest -= {one.name, *part.connection_names}
    if is_whole := rest == {network.input.name, network.output.name} and network.answer in known:
        output: NDArray[Any] = class_counts(known[network.answer])
    else:
        left = _part_of(network, rest - {network.input.name}) if found else network
        inputs = {node.name: known[node.name] for node in left.of(Input)}
        kept = [name for name in record if name not in known]
        counts, output, recorded = execute(left, conventions, inputs, dtype, kept)
        known |= recorded
        found |= counts
    in_all = np.full(events.n_samples, events.n_steps, np.int64)
    leaks = {
        node.name: dynamics_of(node, conventions, dtype).n_leaks for node in network.of(Neurons)
    }
    return GraphRun(
        network=network,
        time_window=events.n_steps,
        counts={
            name: _completed(network, node, found[name], in_all * node.n_out, leaks.get(name, 0))
            for name, node in network.nodes.items()
            if not isinstance(node, Output)
        },
        pruned=pruned,
        conventions=conventions,
        engine="event" if is_whole else "graph",
        output=output,
        recorded={name: known[name] for name in record},
    )


def _completed(
    network: ImportedGraph, node: Node, found: NodeCounts, every_step: Counts, n_leaks: int
) -> NodeCounts:
    """The counts of a node with those that do not depend on what arrives.

    Args:
        network, node: which.
        found: what was counted while it ran.
        every_step: an operation of each unit in each step, [N].
        n_leaks: multiplications by which states leak in a step.
    """
    if isinstance(node, Neurons):
        n_constants = network.constants_of(node)
        leaks = every_step * n_leaks // node.n_out if n_leaks else None
        biases = every_step * n_constants // node.n_out if n_constants else None
        if found.spikes is not None:
            return NodeCounts.of_neurons(found.spikes, every_step, leaks, biases)
        return replace(found, updates=every_step, leaks=leaks, biases=biases)
    if isinstance(node, Threshold):
        return replace(found, comparisons=every_step)
    if isinstance(node, Connection) and node.bias is not None:
        return replace(found, biases=every_step)
    return found


def _part_of(network: ImportedGraph, names: Collection[str]) -> ImportedGraph:
    """Some nodes of a network; what gives them something from without becomes an input."""
    edges = tuple(edge for edge in network.edges if edge[1] in names)
    givers = {source for source, _ in edges}
    nodes: dict[str, Node] = {
        name: node if name in names else Input(name, node.out_shape, node.out_shape)
        for name, node in network.nodes.items()
        if name in names or name in givers
    }
    return replace(network, nodes=nodes, edges=edges)
