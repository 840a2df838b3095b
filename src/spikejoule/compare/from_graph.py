"""Energy analysis of NIR graphs, counted by the graph executor while they run."""

from collections.abc import Sequence
from dataclasses import replace

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.from_counts import Answers, SampleSet, counted_inputs
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.notes import Note, NoteKind, fact
from spikejoule.nir.graph_run import GraphRun
from spikejoule.nir.verification import NOT_VERIFIED
from spikejoule.nir.writing import FORMAT


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
