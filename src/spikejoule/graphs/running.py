"""Running a NIR graph on events, and counting.

Foreign networks that the project's own event engine runs, faster and with the same spikes.

It runs a chain of fully connected layers whose neurons are LIF or IF, alike within a layer, with
currents of gain 1, v_leak = 0 and v_reset = 0. Firing above the threshold alone is firing at or
above the next number, so that it runs these, too, unless a reset subtracts the threshold.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import nir
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.counting import class_counts
from spikejoule.encoding.events import EventList
from spikejoule.engine.event import EventEngine
from spikejoule.graphs.conventions import Conventions, conventions_of
from spikejoule.graphs.dynamics import dynamics_of
from spikejoule.graphs.executor import execute
from spikejoule.graphs.network import Dense, Input, Network, Neurons, Output
from spikejoule.graphs.nir_in import network_of
from spikejoule.graphs.plan import KINDS, Counts, GraphRun, Plan, plan_of
from spikejoule.model.architecture import Architecture
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.pruning import synaptic_events_per_sample

Layer = tuple[Dense, Neurons, float, float]
"""Synapses, neurons, decay and threshold."""


def layers_of(plan: Plan, conventions: Conventions) -> list[Layer]:
    """The layers of a network that the event engine computes exactly; none for another one."""
    nodes = plan.nodes
    chain = all(plan.sources[b.name] == (a.name,) for a, b in pairwise(nodes))
    inner = nodes[1:-1]
    if (
        not chain
        or len(inner) < 4
        or not isinstance(nodes[0], Input)
        or not isinstance(nodes[-1], Output)
        or (conventions.comparison == "gt" and conventions.reset == "subtract")
    ):
        return []
    layers: list[Layer] = []
    for synapses, neurons in zip(inner[::2], inner[1::2], strict=False):
        if not isinstance(synapses, Dense) or not isinstance(neurons, Neurons):
            return []
        constants = _constants(neurons, conventions)
        if constants is None:
            return []
        layers.append((synapses, neurons, *constants))
    sizes = [nodes[0].n_out, *(neurons.n_out for _, neurons, *_ in layers)]
    return layers if 2 * len(layers) == len(inner) and max(sizes) <= 65_535 else []


def _constants(node: Neurons, conventions: Conventions) -> tuple[float, float] | None:
    """Decay and threshold of all neurons of a node, in float32; None if the engine has none."""
    if not node.spikes or node.has_current:
        return None
    dynamics = dynamics_of(node, conventions)
    dynamics = dynamics.cast(np.float32, conventions.comparison)
    membrane = dynamics.membrane
    if (membrane.gain != 1).any() or any(
        values.any() for values in (membrane.drive, membrane.reset, dynamics.initial)
    ):
        return None
    if np.ptp(membrane.keep) or np.ptp(membrane.limit):
        return None
    return float(membrane.keep[0]), float(membrane.limit[0])


def execute_layers(
    plan: Plan, conventions: Conventions, events: EventList, layers: list[Layer],
    record: tuple[str, ...] = (),
) -> GraphRun | None:  # fmt: skip
    """Run the layers in the event engine; None if a constant is out of its range."""
    state: dict[str, NDArray[Any]] = {}
    has_bias = any(synapses.bias is not None for synapses, *_ in layers)
    for number, (synapses, neurons, *_) in enumerate(layers, start=1):
        state[f"layer{number}.synapses.weight"] = synapses.weight.astype(np.float32)
        if has_bias:
            bias = np.zeros(neurons.n_out) if synapses.bias is None else synapses.bias
            state[f"layer{number}.synapses.bias"] = bias.astype(np.float32)
    try:
        neuron = LeakyIntegrateAndFire(
            threshold=tuple(threshold for *_, threshold in layers),
            decay=tuple(decay for *_, decay, _ in layers),
            reset=conventions.reset or "zero",
            bias=has_bias,
        )
        sizes = tuple(neurons.n_out for _, neurons, *_ in layers)
        architecture = Architecture(events.n_inputs, sizes[:-1], sizes[-1], neuron)
    except (ParameterError, ValueError):
        return None
    names = [plan.nodes[0].name, *(neurons.name for _, neurons, *_ in layers)]
    emitted = EventEngine(architecture, state).run(events)
    spikes = dict(zip(names, (events, *emitted), strict=True))
    fan_outs = {synapses.name: plan.fan_outs[synapses.name] for synapses, *_ in layers}
    reached = synaptic_events_per_sample(list(spikes.values()), list(fan_outs.values()))
    counts: dict[str, dict[str, Counts]] = {kind: {} for kind in KINDS}
    counts["events"] = dict(zip(fan_outs, reached.T, strict=True))
    counts["spikes"] = {name: layer.counts_per_sample() for name, layer in spikes.items()}
    return GraphRun(
        plan,
        conventions,
        "event",
        events.n_steps,
        counts,
        class_counts(emitted[-1]),
        True,
        {name: layer for name, layer in spikes.items() if name in record},
    )


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
