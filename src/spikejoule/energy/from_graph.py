"""Other people's networks, given as NIR graphs: run on events, counted, priced.

No stage imports this module: it brings the executor of `graphs` with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.data.subject import Subject, numbered
from spikejoule.encoding.events import EventList
from spikejoule.energy.analysis import EnergyAnalysis, analyse
from spikejoule.energy.graph_operations import count_graph
from spikejoule.energy.inputs import AnalysisInputs, RecordedAccuracy
from spikejoule.energy.profile_files import load_profiles, select_profile
from spikejoule.energy.statistics import BootstrapSettings
from spikejoule.evaluation.evaluation import evaluate_predictions
from spikejoule.evaluation.measurement import ConnectionProxy, EnergyProxies
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.counts import GraphRun
from spikejoule.graphs.network import Convolution, Dense, Neurons
from spikejoule.graphs.running import Graph, run_graph

ASSUMPTIONS: Final = (
    "Counts are integers, taken from what each sample did in the graph, step by step; a price is a "
    "published figure for one operation. A term without a price is listed as such and is not zero.",
    "A synaptic event is one weight added to one sum because of a spike. Of a convolution, a spike "
    "has as many as there are outputs under whose window it lies, at the border fewer.",
    "A value that is no spike (behind pooling, Scale, or neurons that give potentials) is "
    "multiplied where it is not zero: these are multiply-accumulates, not synaptic events. What "
    "comes to neurons without a synapse before them is added, and not counted.",
    "A spike reaches recurrent weights in the step in which it is fired, and what they give "
    "arrives one step later. What a Delay still holds at the end reaches no synapse.",
    "A neuron is updated in every step; the update is active if the neuron spikes in that step. "
    "Each state that leaks is a multiplication per step. Constant gains such as r dt / tau are "
    "taken as parts of the weights.",
    "Memory: weights, potentials and values have 32 bits; kernels of a convolution are stored "
    "once. Every potential is read and written once per step, and at most twice more for each "
    "event.",
    "Of what turns data into events nothing is counted: they are given. What is done with an "
    "output of values is not counted either; of one of spikes, the search for the answer is.",
)


@dataclass(frozen=True)
class GraphNeurons:
    """Not every neuron of a graph has a bias, as far as the analysis asks."""

    has_bias: bool = False


@dataclass(frozen=True, eq=False)
class GraphNetwork:
    """A graph as `energy.described.NetworkDescribed`: the input and nodes of neurons are layers."""

    layer_names: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    connection_names: tuple[str, ...]
    synapses: tuple[int, ...]
    neuron: GraphNeurons = field(default_factory=GraphNeurons)
    quantisation: None = None

    @property
    def n_input(self) -> int:
        """Units of the input."""
        return self.layer_sizes[0]


@dataclass(frozen=True)
class GraphInput:
    """Given events as `energy.described.InputDescribed`."""

    time_window: int
    step_ms: float
    name: str = "events"
    takes: str = "events"
    rate_hz: None = None
    input_products: None = None


def graph_inputs(
    run: GraphRun,
    title: str,
    labels: NDArray[np.integer] | None = None,
    subject: Subject | None = None,
    step_ms: float | None = None,
) -> AnalysisInputs:
    """Arrange what a run has counted.

    Args:
        run: N samples in a graph.
        title: of the data.
        labels: class of each sample, [N]; None where not known.
        subject: what the samples show, and the classes; None for classes with numbers.
        step_ms: what a step of the events stands for; None for what the graph is run with.

    Raises:
        ArtifactError: the graph has no synapse.
        DataError: there is another number of labels than of samples, or a label beyond the output.
    """
    synapses: list[Dense | Convolution] = [
        node for node in run.plan.nodes if isinstance(node, Dense | Convolution)
    ]
    if not sum(int(run.plan.fan_outs[node.name].sum()) for node in synapses):
        raise ArtifactError("the graph has no synapses, and nothing to price.")
    layers = [run.plan.nodes_by_name[run.plan.input_name]]
    layers += [node for node in run.plan.nodes if isinstance(node, Neurons)]
    network = GraphNetwork(
        layer_names=tuple(node.name for node in layers),
        layer_sizes=tuple(node.n_out for node in layers),
        connection_names=tuple(node.name for node in synapses),
        synapses=tuple(int(run.plan.fan_outs[node.name].sum()) for node in synapses),
    )
    macs = float(run.total("macs").mean())
    step_ms = step_ms or run.conventions.step_ms or 1000 * run.conventions.seconds
    return AnalysisInputs(
        title=title,
        architecture=network,
        encoder=GraphInput(run.n_steps, step_ms),
        accuracy=_accuracy(run, labels),
        spikes_per_inference={
            name: float(run.of("spikes", name).mean()) for name in network.layer_names
        },
        proxies=_proxies(run, synapses),
        operations=count_graph(run),
        n_images=run.n_samples,
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        value_macs_per_inference=macs or None,
        graph_places=tuple(node.name for node in run.plan.nodes),
        facts=_facts(run),
        assumed=ASSUMPTIONS,
        subject=subject or Subject("class", numbered(run.output.shape[1]), "samples"),
    )


def price_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    title: str = "events",
    labels: NDArray[np.integer] | None = None,
    profile: str | None = None,
) -> EnergyAnalysis:
    """Run a graph on events, count, and price under the packaged profiles.

    Args:
        graph: of nir, in memory; or from `spikejoule.graphs.nir_in.read_nir`, which reads files
            that nir itself refuses, too.
        events: spikes of the input, N samples of T steps.
        given: what the graph does not say of how it is run.
        title: of the data.
        labels: class of each sample, [N], for the accuracy; None where not known.
        profile: id of the profile of the headline; None for the first.

    Raises:
        ArtifactError, ParameterError, DataError: as `run_graph` and `graph_inputs`.
    """
    profiles = load_profiles(None)
    chosen = select_profile(profiles, profile or next(iter(profiles)), "profile")
    inputs = graph_inputs(run_graph(graph, events, given), title, labels)
    return analyse(inputs, profiles, chosen, chosen, BootstrapSettings())


def _accuracy(run: GraphRun, labels: NDArray[np.integer] | None) -> RecordedAccuracy | None:
    """By the output with the most spikes; of an output of values nobody says how it is read."""
    if labels is None:
        return None
    n_classes, classes = run.output.shape[1], np.asarray(labels)
    if len(classes) != run.n_samples or classes.min() < 0 or classes.max() >= n_classes:
        raise DataError(
            f"each of the {run.n_samples:,} samples needs one label from 0 to {n_classes - 1}, but "
            f"there are {len(classes):,} labels up to {classes.max(initial=0)}."
        )
    predictions = run.predictions
    if predictions is None:
        return None
    found = evaluate_predictions(classes, predictions, n_classes).overall
    if found.percent is None:
        return None
    return RecordedAccuracy(found.percent, found.low_percent, found.high_percent)


def _proxies(run: GraphRun, synapses: Sequence[Dense | Convolution]) -> EnergyProxies:
    """Synaptic events and dense operations of each connection, means over the samples."""
    plan = run.plan
    connections = []
    for node in synapses:
        fan_out = plan.fan_outs[node.name]
        spikes = [run.of("spikes", one).mean() for one in plan.sources[node.name]
                  if one in plan.spiking]  # fmt: skip
        connections.append(
            ConnectionProxy(
                name=node.name,
                spikes_per_inference=float(sum(spikes)),
                fan_out=int(fan_out.max()),
                synapses=int(fan_out.sum()),
                synaptic_events_per_inference=float(run.of("events", node.name).mean()),
                dense_operations_per_inference=int(fan_out.sum()) * run.n_steps,
            )
        )
    sources = tuple("+".join(plan.sources[node.name]) for node in synapses)
    pruned = bool(run.conventions.pruned)
    return EnergyProxies(tuple(connections), run.n_steps, sources, pruned)


def _facts(run: GraphRun) -> tuple[tuple[str, str], ...]:
    waiting = ", ".join(sorted(f"{source} -> {target}" for source, target in run.plan.waiting))
    facts = [("graph run with", run.conventions.in_words or "nothing to choose")]
    if waiting:
        facts.append(("edges that wait a step", waiting))
    return tuple(facts)
