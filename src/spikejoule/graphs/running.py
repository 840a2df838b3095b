"""Running a NIR graph on events, and counting."""

from collections.abc import Sequence
from typing import TypeAlias

import nir
import numpy as np
from numpy.typing import DTypeLike

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.graphs.conventions import Conventions, conventions_of
from spikejoule.graphs.counts import GraphRun
from spikejoule.graphs.executor import execute
from spikejoule.graphs.fully_connected import execute_layers, layers_of
from spikejoule.graphs.network import Network
from spikejoule.graphs.nir_in import network_of
from spikejoule.graphs.plan import plan_of

Graph: TypeAlias = "nir.NIRGraph | Network"
"""A graph in memory, of nir or checked."""


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
    if events.n_inputs != network.input.n_out:
        raise ArtifactError(
            f"the events come from {events.n_inputs} units, but the graph's input has "
            f"{network.input.n_out}, of the shape {network.input.out_shape}."
        )
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    conventions = conventions_of(network, given or Conventions())
    plan = plan_of(network, conventions)
    unknown = [name for name in record if name not in plan.spiking]
    if unknown:
        raise ParameterError(
            f"record: {', '.join(unknown)} give no spikes; allowed are "
            f"{', '.join(sorted(plan.spiking))}."
        )
    if engine == "auto" and np.dtype(dtype) == np.float32:
        layers = layers_of(plan, conventions)
        found = layers and execute_layers(plan, conventions, events, layers, tuple(record))
        if found:
            return found
    return execute(plan, conventions, events, dtype, record)
