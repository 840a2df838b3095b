"""Other people's networks, given as NIR graphs: run on events, counted by `counting`, priced.

No stage imports this module: it brings the executor of `graphs` with it.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.data.subject import Subject, numbered
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.events import EventList
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis, analyse, network_name
from spikejoule.energy.counting import count_spiking
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import SPIKING, WHOLE_WINDOW, Accuracies, Variant
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.accuracy import accuracy, class_labels
from spikejoule.evaluation.measurement import energy_proxies
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.executor import GraphRun
from spikejoule.graphs.nir_out import FORMAT
from spikejoule.graphs.running import Graph, run_graph
from spikejoule.graphs.verified import NOT_VERIFIED
from spikejoule.model.quantisation import FLOAT_BITS


def price_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    title: str = "events",
    labels: NDArray[np.integer] | None = None,
    profile: str | None = None,
    verified: str = NOT_VERIFIED,
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
        verified: whether the graph is the module that it came from, `Verification.in_words` of
            `spikejoule.verify`.

    Raises:
        ArtifactError, ParameterError, DataError: as `run_graph` and `graph_inputs`.
    """
    profiles = load_profiles(None)
    chosen = select_profile(profiles, profile or next(iter(profiles)), "profile")
    inputs = graph_inputs(run_graph(graph, events, given), title, labels, verified=verified)
    for words in (value for name, value in inputs.facts if name == "warning"):
        warnings.warn(words, stacklevel=2)
    return analyse(inputs, profiles, chosen, chosen, BootstrapSettings())


def graph_inputs(
    run: GraphRun,
    title: str,
    labels: NDArray[np.integer] | None = None,
    subject: Subject | None = None,
    step_ms: float | None = None,
    verified: str = NOT_VERIFIED,
) -> AnalysisInputs:
    """Arrange what a run has counted.

    Args:
        run: N samples in a graph.
        title: of the data.
        labels: class of each sample, [N]; None where not known.
        subject: what the samples show, and the classes; None for classes with numbers.
        step_ms: what a step of the events stands for; None for what the graph is run with.
        verified: whether the graph is the module that it came from, in words.

    Raises:
        ArtifactError: the graph has no synapse.
        DataError: there is another number of labels than of samples, or a label beyond the output.
    """
    network = run.network
    if not any(synapses for synapses in network.synapses):
        raise ArtifactError("the graph has no synapses, and nothing to price.")
    spikes = {name: float(counts.mean()) for name, counts in run.counts["spikes"].items()}
    events = [float(run.of("events", name).mean()) for name in network.connection_names]
    waiting = ", ".join(sorted(f"{source} -> {target}" for source, target in network.waiting))
    facts = [("graph run with", run.conventions.in_words or "nothing to choose")]
    facts += [("edges that wait a step", waiting)] if waiting else []
    if network.metadata.get("format") != FORMAT or verified != NOT_VERIFIED:
        facts.append(("verified", verified))
    if run.silent:
        names = ", ".join(run.silent)
        facts.append(("warning", f"no spike of {names} in any of the {run.n_rows:,} samples"))
    unanswered = 0 if run.predictions is None else int((run.predictions < 0).sum())
    if unanswered and labels is not None:
        facts.append(("no answer, for equal spike counts", f"{unanswered:,} of {run.n_rows:,}"))
    step_ms = step_ms or run.conventions.step_ms or 1000 * run.conventions.seconds
    encoder = NoEncoding.model_construct(
        time_window=run.time_window, window_ms=run.time_window * step_ms
    )
    name, operations = network_name(network, encoder), count_spiking(run)
    accuracies = _accuracies(run, labels)
    return AnalysisInputs(
        title=title,
        architecture=network,
        encoder=encoder,
        variants=(Variant(SPIKING, name, WHOLE_WINDOW, accuracies, FLOAT_BITS, operations),),
        proxies=energy_proxies(network, spikes, run.time_window, events, pruned=run.pruned),
        n_images=run.n_rows,
        labels=None if labels is None else class_labels(labels, run.n_rows, run.output.shape[1]),
        value_macs_per_inference=float(run.total("macs").mean()) or None,
        facts=tuple(facts),
        counted_in="graph",
        subject=subject or Subject("class", numbered(run.output.shape[1]), "samples"),
    )


def _accuracies(run: GraphRun, labels: NDArray[np.integer] | None) -> Accuracies | None:
    """By the output with the most spikes, where equals are no answer; of an output of values nobody
    says how it is read."""
    if labels is None:
        return None
    classes = class_labels(labels, run.n_rows, run.output.shape[1])
    if run.predictions is None:
        return None
    found = accuracy(int((run.predictions == classes).sum()), run.n_rows)
    if found.percent is None:
        return None
    return Accuracies(None, found.percent, found.low_percent, found.high_percent)
