"""Other people's networks, given as NIR graphs: run on events, counted node by node, priced.

For a node with n units in T steps, and its counts E (synaptic events), M (multiply-accumulates) and
S (spikes) of one sample (`graphs.counts`), the formulas of `counting` are

    Affine, Linear, Conv    E synaptic events and M MACs; E + M addresses, weights read, and twice
                            as many accesses of state at most; T n additions and reads of a bias
    neurons                 T n updates, S of them active; S resets, spikes routed and written; T n
                            comparisons with a threshold; T multiplications for each state that
                            leaks, an addition for each v_leak that is not 0 and, between a synaptic
                            current and the potential, for each neuron; two accesses of each state
    pooling                 an addition for each amount and window; AvgPool2d a multiplication for
                            each sum
    Threshold               T n comparisons; S spikes routed and written
    Delay                   what it gives was written, and is read once or by each that takes it
    a value that is no spike    is written by its node and read by each that multiplies it

and a spike is read once by each connection that it enters. Of a convolution the memory of weights
is that of its kernels. Spikes of the output are added to counts, and the largest is found; what is
done with an output of values is not counted. Constant gains (r dt / tau and the like) are taken as
parts of the weights.

No stage imports this module: it brings the executor of `graphs` with it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.data.subject import Subject, numbered
from spikejoule.encoding.events import EventList
from spikejoule.energy.analysis import (
    AnalysisInputs,
    EnergyAnalysis,
    GraphInput,
    GraphNetwork,
    RecordedAccuracy,
    analyse,
)
from spikejoule.energy.counting import Block, OperationCounts, address_bits, block, joined
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.evaluation import evaluate_predictions
from spikejoule.evaluation.measurement import ConnectionProxy, EnergyProxies
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.dynamics import dynamics_of
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Neurons,
    Node,
    Output,
    Pooling,
    Scaling,
    Step,
    Waiting,
)
from spikejoule.graphs.plan import NEEDS_UNITS, GraphRun
from spikejoule.graphs.running import Graph, run_graph
from spikejoule.model.quantisation import FLOAT_BITS

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

_WORD_BYTES = 4


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
    plan, nodes = run.plan, run.plan.nodes
    synapses = [node for node in nodes if isinstance(node, Dense | Convolution)]
    if not any(plan.fan_outs[node.name].any() for node in synapses):
        raise ArtifactError("the graph has no synapses, and nothing to price.")
    layers = [plan.nodes_by_name[plan.input_name]]
    layers += [node for node in nodes if isinstance(node, Neurons)]
    waiting = ", ".join(sorted(f"{source} -> {target}" for source, target in plan.waiting))
    facts = [("graph run with", run.conventions.in_words or "nothing to choose")]
    facts += [("edges that wait a step", waiting)] if waiting else []
    return AnalysisInputs(
        title=title,
        architecture=GraphNetwork(
            tuple(node.name for node in layers), tuple(node.n_out for node in layers)
        ),
        encoder=GraphInput(
            run.n_steps, step_ms or run.conventions.step_ms or 1000 * run.conventions.seconds
        ),
        accuracy=_accuracy(run, labels),
        spikes_per_inference={
            node.name: float(run.of("spikes", node.name).mean()) for node in layers
        },
        proxies=_proxies(run, synapses),
        operations=count_graph(run),
        n_images=run.n_samples,
        labels=None if labels is None else np.asarray(labels, dtype=np.int64),
        value_macs_per_inference=float(run.total("macs").mean()) or None,
        facts=tuple(facts),
        assumed=ASSUMPTIONS,
        subject=subject or Subject("class", numbered(run.output.shape[1]), "samples"),
    )


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
    if run.predictions is None:
        return None
    found = evaluate_predictions(classes, run.predictions, n_classes).overall
    if found.percent is None:
        return None
    return RecordedAccuracy(found.percent, found.low_percent, found.high_percent)


def _proxies(run: GraphRun, synapses: Sequence[Dense | Convolution]) -> EnergyProxies:
    """Synaptic events and dense operations of each connection, means over the samples."""
    plan, connections = run.plan, []
    for node in synapses:
        fan_out = plan.fan_outs[node.name]
        spiking = [one for one in plan.sources[node.name] if one in plan.spiking]
        connections.append(
            ConnectionProxy(
                name=node.name,
                spikes_per_inference=float(sum(run.of("spikes", one).mean() for one in spiking)),
                fan_out=int(fan_out.max()),
                synapses=int(fan_out.sum()),
                synaptic_events_per_inference=float(run.of("events", node.name).mean()),
                dense_operations_per_inference=int(fan_out.sum()) * run.n_steps,
            )
        )
    sources = tuple("+".join(plan.sources[node.name]) for node in synapses)
    return EnergyProxies(tuple(connections), run.n_steps, sources, bool(run.conventions.pruned))


def count_graph(run: GraphRun) -> OperationCounts:
    """What inference on the N samples of a run takes, node by node."""
    columns, counts = joined(
        (each for node in run.plan.nodes for each in _blocks(run, node)), run.n_samples
    )
    return OperationCounts(columns, counts.astype(np.int64), run.n_steps)


def _blocks(run: GraphRun, node: Node) -> Iterator[Block]:
    if isinstance(node, Dense | Convolution):
        yield from _of_synapses(run, node)
    elif isinstance(node, Neurons):
        yield from _of_neurons(run, node)
    elif isinstance(node, Pooling | Scaling):
        if isinstance(node, Pooling):
            yield _block("addition", node, run.of("additions", node.name))
        if node.name in run.counts["multiplications"]:
            yield _block("multiplication", node, run.of("multiplications", node.name))
    elif isinstance(node, Step):
        yield _block("threshold_comparison", node, run.n_steps * node.n_out)
    if not isinstance(node, Output):
        yield from _of_transfer(run, node)
    elif run.output_spikes:
        yield _block("spike_counted", node, run.output.sum(axis=1).astype(np.int64))
        yield _block("decision_comparison", node, node.n_out - 1)


def _block(term: str, node: Node, counts: NDArray[Any] | int, *sizes: ArrayLike) -> Block:
    """A term at a node, counts [N] or of all samples, with `block`'s bits, words and parameters."""
    return block(term, [node.name], np.atleast_1d(counts)[:, None], *sizes)


def _of_synapses(run: GraphRun, node: Dense | Convolution) -> Iterator[Block]:
    """What arrives through weights, and the bias."""
    events, macs = run.of("events", node.name), run.of("macs", node.name)
    reads, bits = events + macs, FLOAT_BITS
    index_bits, stored = 0, int(node.weight.size)
    if run.conventions.pruned and isinstance(node, Dense):
        index_bits, stored = address_bits(node.n_out), int(np.count_nonzero(node.weight))
    biases = 0 if node.bias is None else node.bias.size
    parameters = stored * (bits + index_bits) + biases * bits
    if events.any() or not macs.any():
        yield _block("synaptic_event", node, events)
    if macs.any():
        yield _block("mac", node, macs)
    yield _block("address_event", node, reads)
    yield _block("weight_read", node, reads, bits, stored, parameters)
    if index_bits:
        yield _block("index_read", node, reads, index_bits, stored, parameters)
    if node.bias is not None:
        added = run.n_steps * node.n_out
        yield _block("bias_addition", node, added)
        yield _block("bias_read", node, added, bits, biases, parameters)
    yield _block("state_access_per_event", node, 2 * reads, bits, node.n_out)


def _of_neurons(run: GraphRun, node: Neurons) -> Iterator[Block]:
    n_steps, dynamics = run.n_steps, dynamics_of(node, run.conventions)
    updates, active = n_steps * node.n_out, run.of("spikes", node.name)
    membrane, current = dynamics.membrane, dynamics.keep_current
    leaks, n_states = int(np.count_nonzero(membrane.keep != 1)), node.n_out
    if node.spikes:
        yield _block("neuron_update_active", node, active)
    yield _block("neuron_update_inactive", node, updates - active)
    if current is not None:
        leaks += int(np.count_nonzero(current != 1))
        n_states += node.n_out
        yield _block("addition", node, updates)
    if leaks:
        yield _block("leak_multiplication", node, n_steps * leaks)
    driven = n_steps * int(np.count_nonzero(membrane.drive))
    if driven:
        words = node.n_out * FLOAT_BITS
        yield _block("bias_addition", node, driven)
        yield _block("bias_read", node, driven, FLOAT_BITS, node.n_out, words)
    if node.spikes:
        yield _block("threshold_comparison", node, updates)
        yield _block("reset", node, active)
    yield _block("state_access", node, 2 * n_steps * n_states, FLOAT_BITS, n_states)


def _of_transfer(run: GraphRun, node: Node) -> Iterator[Block]:
    """What leaves a node: spikes or values, written once and read by each that takes them."""
    readers = sum(isinstance(one, NEEDS_UNITS) for one in run.plan.consumers_of(node.name))
    if isinstance(node, Waiting):
        readers = max(readers, 1)
    if node.name in run.plan.spiking:
        spikes, bits = run.of("spikes", node.name), address_bits(node.n_out)
        yield _block("spike_routed", node, spikes)
        if readers:
            yield _block("spike_read", node, readers * spikes, bits, node.n_out)
        if isinstance(node, Neurons | Step | Waiting):
            yield _block("spike_write", node, spikes, bits, node.n_out)
    elif readers:
        values = run.of("values", node.name)
        yield _block("activation_write", node, values, FLOAT_BITS, node.n_out)
        yield _block("activation_read", node, readers * values, FLOAT_BITS, node.n_out)


def neurobench_results(run: GraphRun, inputs: AnalysisInputs) -> dict[str, Any]:
    """A run's counts as NeuroBench's `Benchmark.run` returns them, as far as a graph has them.

    Yik et al., Nature Communications 16, 2025, doi:10.1038/s41467-025-56739-4; the definitions are
    those of its package 2.3, in float32:

        Effective_ACs   synaptic events per sample: products with a spike and a weight that is not
                        zero
        Effective_MACs  the same of values that are no spikes
        Dense           all synapses in every step, per sample
        ActivationSparsity   fraction of (neuron, step) places without a spike
        ConnectionSparsity   fraction of weights that are zero
        Footprint       bytes of the parameters, and of the states of the neurons

    NeuroBench decides in every call anew whether an input holds spikes, by its values; here a node
    that gives spikes by its kind does. It counts no operation with a weight of zero; here one
    counts, unless the graph is run as ``pruned``.
    """
    synapses = [node for node in run.plan.nodes if isinstance(node, Dense | Convolution)]
    neurons = [node for node in run.plan.nodes if isinstance(node, Neurons)]
    firing = [node for node in neurons if node.spikes]
    n_weights = sum(node.weight.size for node in synapses)
    n_zero = sum(int(np.sum(node.weight == 0)) for node in synapses)
    words = n_weights + sum(node.bias.size for node in synapses if node.bias is not None)
    words += sum(values.size for node in neurons for values in node.parameters.values())
    words += sum(node.n_out * (2 if node.has_current else 1) for node in neurons)
    results: dict[str, Any] = {
        "SynapticOperations": {
            "Effective_ACs": inputs.proxies.synaptic_events_per_inference,
            "Effective_MACs": inputs.value_macs_per_inference or 0.0,
            "Dense": float(inputs.proxies.dense_operations_per_inference),
        },
        "ConnectionSparsity": n_zero / n_weights,
        "Footprint": _WORD_BYTES * words,
    }
    places = run.n_samples * run.n_steps * sum(node.n_out for node in firing)
    if places:
        spikes = sum(int(run.of("spikes", node.name).sum()) for node in firing)
        results["ActivationSparsity"] = 1 - spikes / places
    if inputs.accuracy is not None:
        results["ClassificationAccuracy"] = inputs.accuracy.percent / 100
    return results
