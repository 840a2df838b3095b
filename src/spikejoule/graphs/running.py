"""Running a NIR graph on events, and counting.

Foreign networks that the project's own event engine runs, faster and with the same spikes, are
chains of fully connected layers whose neurons are LIF or IF, alike within a layer, with currents of
gain 1, v_leak = 0 and v_reset = 0. Firing above the threshold alone is firing at or above the next
number, so that it runs these, too, unless a reset subtracts the threshold.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import nir
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.inference import measure_network
from spikejoule.graphs.conventions import Conventions, conventions_of, dynamics_of
from spikejoule.graphs.executor import GraphRun, execute
from spikejoule.graphs.nir_in import network_of
from spikejoule.model.network import Dense, Network, Neurons, Output
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire

Graph: TypeAlias = "nir.NIRGraph | Network"
"""A graph in memory, of nir or checked."""


def chain_of(
    network: Network, conventions: Conventions
) -> tuple[Network, dict[str, NDArray[Any]]] | None:
    """The layers of a graph and their parameters; None if the event engine does not compute them
    exactly."""
    nodes = [*network.nodes.values()]
    inner, connections, populations = nodes[1:-1], network.of(Dense), network.of(Neurons)
    in_turn = [one for pair in zip(connections, populations, strict=False) for one in pair]
    constants = [_constants(one, conventions) for one in populations]
    if (
        len(inner) < 4
        or inner != in_turn
        or set(network.edges) != set(pairwise(network.nodes))
        or not isinstance(nodes[-1], Output)
        or (conventions.comparison == "gt" and conventions.reset == "subtract")
        or max(one.n_out for one in nodes) > 65_535
        or None in constants
    ):
        return None
    has_bias = any(one.bias is not None for one in connections)
    state: dict[str, NDArray[Any]] = {}
    for number, one in enumerate(connections, start=1):
        state[f"layer{number}.synapses.weight"] = one.weight.astype(np.float32)
        if has_bias:
            bias = np.zeros(one.n_out) if one.bias is None else one.bias
            state[f"layer{number}.synapses.bias"] = bias.astype(np.float32)
    thresholds, decays = zip(*(each for each in constants if each), strict=True)
    try:
        neuron = LeakyIntegrateAndFire(
            threshold=thresholds,
            decay=decays,
            reset="subtract" if conventions.reset == "subtract" else "zero",
            bias=has_bias,
        )
        layers = {one.name: one for one in nodes[:-1]}
        return Network(layers, tuple(pairwise(layers)), neuron), state
    except (ParameterError, ValueError):  # a constant is out of its range
        return None


def _constants(node: Neurons, conventions: Conventions) -> tuple[float, float] | None:
    """Threshold and decay of all neurons of a node, in float32; None if the engine has none."""
    if not node.spikes or node.has_current:
        return None
    dynamics = dynamics_of(node, conventions, np.float32)
    membrane = dynamics.membrane
    if (membrane.gain != 1).any() or any(
        values.any() for values in (membrane.drive, membrane.reset, dynamics.initial)
    ):
        return None
    if np.ptp(membrane.keep) or np.ptp(membrane.limit):
        return None
    return float(membrane.limit[0]), float(membrane.keep[0])


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
    network = graph if isinstance(graph, Network) else network_of(graph)
    if events.currents is not None:
        raise ArtifactError(
            "the events hold constant currents, which a graph is not run on: encode them as spikes."
        )
    if events.n_inputs != network.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} units, but the graph's input has "
            f"{network.n_input}, of the shape {network.input.out_shape}."
        )
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    conventions = conventions_of(network, given or Conventions())
    unknown = [name for name in record if name not in network.spiking]
    if unknown:
        raise ParameterError(
            f"record: {', '.join(unknown)} give no spikes; allowed are "
            f"{', '.join(sorted(network.spiking))}."
        )
    chain = None
    if engine == "auto" and np.dtype(dtype) == np.float32:
        chain = chain_of(network, conventions)
    if chain is None:
        return execute(network, conventions, events, dtype, record)
    layers, state = chain
    measured = measure_network(state, layers, events, pruned=bool(conventions.pruned))
    spikes = dict(zip(layers.layer_names, measured.layers, strict=True))
    return GraphRun(
        network=network,
        time_window=events.n_steps,
        counts=measured.activity().counts,
        pruned=bool(conventions.pruned),
        conventions=conventions,
        engine="event",
        output=measured.class_counts,
        recorded={name: spikes[name] for name in record},
    )
