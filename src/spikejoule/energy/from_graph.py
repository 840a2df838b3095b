"""Other people's networks, counted as they run, arranged for the ledger and priced: a
graph of NIR, run on events, or a model of torch (`modules`).

No stage imports this module: it brings the executor of `graphs` with it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.proxies import energy_proxies
from spikejoule.counts.records import Activity
from spikejoule.data.subject import Subject, numbered
from spikejoule.encoding.events import EventList
from spikejoule.energy.analysis import (
    AnalysisInputs,
    EnergyAnalysis,
    analyse,
    network_name,
)
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import SPIKING, WHOLE_WINDOW, Accuracies, Variant
from spikejoule.energy.notes import Note, NoteKind, fact, sentence, warning
from spikejoule.energy.operations import count_operations
from spikejoule.energy.prices import arithmetic_profile, headline_profile, load_profiles
from spikejoule.evaluation.accuracy import accuracy, class_labels
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.executor import GraphRun
from spikejoule.nir.running import Graph, run_graph
from spikejoule.nir.verification import NOT_VERIFIED, Verification
from spikejoule.nir.writing import FORMAT


def price_graph(
    graph: Graph,
    events: EventList,
    given: Conventions | None = None,
    title: str = "events",
    labels: NDArray[np.integer] | None = None,
    profile: str | None = None,
    verified: Verification | None = None,
) -> EnergyAnalysis:
    """Run a graph on events, count, and price under the packaged profiles.

    Args:
        graph: of nir, in memory; or from `spikejoule.nir.reading.read_nir`, which reads
            files that nir itself refuses, too.
        events: spikes of the input, N samples of T steps.
        given: what the graph does not say of how it is run.
        title: of the data.
        labels: class of each sample, [N], for the accuracy; None where not known.
        profile: id of the price list of the headline; None for the first that includes
            memory.
        verified: what `spikejoule.verify` found when it compared the graph with the
            module that it came from; None where that was not done.

    Raises:
        ArtifactError, ParameterError, DataError: as `run_graph` and `graph_inputs`.
    """
    profiles = load_profiles(None)
    chosen = headline_profile(profiles, profile, "profile")
    verified_in_words = None if verified is None else verified.in_words
    inputs = graph_inputs(
        run_graph(graph, events, given), title, labels, verified=verified_in_words
    )
    for note in inputs.cautions:
        warnings.warn(sentence(note, with_label=False), stacklevel=2)
    arithmetic = arithmetic_profile(profiles)
    return analyse(inputs, profiles, chosen, arithmetic, BootstrapSettings())


def graph_inputs(
    run: GraphRun,
    title: str,
    labels: NDArray[np.integer] | None = None,
    subject: Subject | None = None,
    step_ms: float | None = None,
    verified: str | None = None,
    baselines: Sequence[BaselineCounts] = (),
) -> AnalysisInputs:
    """Arrange what a run of a graph has counted.

    Args:
        run: N samples in a graph.
        title: as of `counted_inputs`, and so are labels, subject and baselines.
        labels: of the samples, [N].
        subject: the data.
        step_ms: what a step of the events stands for; None for what the graph is run
            with.
        verified: whether the graph is the module that it came from, in words; None
            where they were not compared.
        baselines: conventional networks to compare with.

    Raises:
        ArtifactError, DataError: as of `counted_inputs`.
    """
    waiting = ", ".join(
        sorted(f"{source} -> {target}" for source, target in run.network.waiting)
    )
    notes = [fact("graph run with", run.conventions.in_words or "nothing to choose")]
    if waiting:
        notes.append(fact("edges that wait a step", waiting))
    if run.network.metadata.get("format") != FORMAT or verified is not None:
        notes.append(
            Note(NoteKind.VERIFIED, NOT_VERIFIED if verified is None else verified)
        )
    return counted_inputs(
        run,
        title,
        labels,
        run.predictions,
        run.output.shape[1],
        counted_in="graph",
        notes=notes,
        subject=subject,
        step_ms=step_ms or run.conventions.step_ms or 1000 * run.conventions.seconds,
        baselines=baselines,
    )


def counted_inputs(
    run: Activity,
    title: str,
    labels: ArrayLike | None,
    predictions: NDArray[np.int64] | None,
    n_classes: int,
    *,
    counted_in: str,
    notes: Sequence[Note],
    subject: Subject | None = None,
    step_ms: float = 1.0,
    baselines: Sequence[BaselineCounts] = (),
) -> AnalysisInputs:
    """Arrange what was counted of a network that ran, in whatever way.

    Args:
        run: what N samples did.
        title: of the data.
        labels: class of each sample, [N]; None where not known.
        predictions: likewise, -1 where several have the most spikes; None where nobody
            says how the output is read.
        n_classes: of the output.
        counted_in: ``graph`` or ``modules``.
        notes: what else there is to say of the network.
        subject: what the samples show, and the classes; None for classes with numbers.
        step_ms: what a step stands for.
        baselines: conventional networks to compare with, at an accuracy that both
            reach.

    Raises:
        ArtifactError: the network has no synapse.
        DataError: there is another number of labels than of samples, or a label beyond
            the output.
    """
    network = run.network
    n_samples = run.n_rows
    if not any(network.synapses):
        raise ArtifactError("the network has no synapses, and nothing to price.")
    remarks = [*notes]
    silent = ", ".join(_silent(run))
    if silent:
        remarks.append(
            warning(f"no spike of {silent} in any of the {n_samples:,} samples")
        )
    classes = known = level = None
    if labels is not None:
        classes = class_labels(labels, n_samples, n_classes)
    if classes is not None and predictions is not None:
        # Where equals are no answer, they are wrong.
        right = accuracy(int((predictions == classes).sum()), n_samples)
        assert right.percent is not None
        known = Accuracies(None, right.percent, right.low_percent, right.high_percent)
        unanswered = int((predictions < 0).sum())
        if unanswered:
            remarks.append(
                Note(NoteKind.UNANSWERED, f"{unanswered:,} of {n_samples:,}")
            )
        if baselines:
            known = replace(known, validation_percent=known.test_percent)
            level = min(
                known.test_percent, max(one.accuracy_percent for one in baselines)
            )
    name = network_name(network, "none")
    operations = count_operations(run)
    return AnalysisInputs(
        title=title,
        network=network,
        variants=(Variant(SPIKING, name, WHOLE_WINDOW, known, FLOAT_BITS, operations),),
        proxies=energy_proxies(run),
        n_images=n_samples,
        step_ms=step_ms,
        labels=classes,
        baselines=tuple(baselines),
        value_macs_per_inference=float(run.macs.mean()) or None,
        notes=tuple(remarks),
        subject=subject or Subject("class", numbered(n_classes), "samples"),
        counted_in=counted_in,
        level_percent=level,
    )


def _silent(run: Activity) -> list[str]:
    """Layers of spikes that emit none."""
    return [
        name
        for name in run.network.layer_names
        if name in run.network.spiking
        and run.counts[name].values is None
        and not run.spikes_of(name).any()
    ]
