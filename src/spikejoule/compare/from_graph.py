"""Energy analysis of NIR graphs, counted by the graph executor while they run."""

from collections.abc import Sequence
from dataclasses import replace

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.from_counts import Answers, SampleSet, counted_inputs
from spikejoule.compare.inputs import AnalysisInputs
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
    if samples.step_ms is None:
        # Without dt, nothing in the graph takes time.
        dt_ms = None if conventions.dt is None else 1000 * conventions.dt
        samples = replace(samples, step_ms=conventions.step_ms or dt_ms)
    answers = Answers(run.predictions, run.output.shape[1])
    inputs = counted_inputs(run, samples, answers, "graph", baselines)
    if verified is None:
        is_own = run.network.metadata.get("format") == FORMAT
        verified = "" if is_own else NOT_VERIFIED
    return replace(inputs, verified=verified)
