"""Energy analysis of NIR graphs, counted by the graph executor while they run."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.analysis import AnalysisInputs, EnergyAnalysis, analyse
from spikejoule.compare.from_counts import Answers, SampleSet, counted_inputs
from spikejoule.compare.notes import Note, NoteKind, fact, sentence
from spikejoule.encoding.events import EventList
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.executor import GraphRun
from spikejoule.nir.running import Graph, run_graph
from spikejoule.nir.verification import NOT_VERIFIED
from spikejoule.nir.writing import FORMAT


def price_graph(
    graph: Graph,
    events: EventList,
    conventions: Conventions | None = None,
    samples: SampleSet | None = None,
    profile: str | None = None,
) -> EnergyAnalysis:
    """Run a NIR graph on events, count, and price under the packaged price lists.

    Args:
        graph: a graph in memory, or from `spikejoule.nir.reading.read_nir`, which also
            reads files that the nir package refuses.
        events: input spikes, N samples of T steps.
        conventions: how to run the graph, where it does not say.
        samples: title and labels of the samples.
        profile: id of the headline's price list; None for the first that includes
            memory.

    Raises:
        ArtifactError, ParameterError, DataError: see `run_graph` and `graph_inputs`.
    """
    profiles = load_profiles(None)
    chosen = headline_profile(profiles, profile, "profile")
    inputs = graph_inputs(run_graph(graph, events, conventions), samples or SampleSet())
    for note in inputs.cautions:
        warnings.warn(sentence(note, with_label=False), stacklevel=2)
    return analyse(inputs, profiles, chosen, None, BootstrapSettings())


def graph_inputs(
    run: GraphRun,
    samples: SampleSet,
    verified: str | None = None,
    baselines: Sequence[CountedBaseline] = (),
) -> AnalysisInputs:
    """Collect what an energy analysis of a NIR graph needs.

    Args:
        run: the graph's run on N samples.
        samples: the samples.
        verified: the result of comparing the graph with the model that it was exported
            from; None if they were not compared.
        baselines: conventional networks to compare with.

    Raises:
        ArtifactError, DataError: see `counted_inputs`.
    """
    conventions = run.conventions
    notes = [fact("graph run with", conventions.in_words or "no assumptions needed")]
    waiting = sorted(f"{source} -> {target}" for source, target in run.network.waiting)
    if waiting:
        notes.append(fact("edges that wait a step", ", ".join(waiting)))
    if run.network.metadata.get("format") != FORMAT or verified is not None:
        words = NOT_VERIFIED if verified is None else verified
        notes.append(Note(NoteKind.VERIFIED, words))
    if samples.step_ms is None:
        # Without dt, nothing in the graph takes time.
        dt_ms = None if conventions.dt is None else 1000 * conventions.dt
        samples = replace(samples, step_ms=conventions.step_ms or dt_ms)
    answers = Answers(run.predictions, run.output.shape[1])
    inputs = counted_inputs(run, samples, answers, "graph", baselines)
    return replace(inputs, notes=(*notes, *inputs.notes))
