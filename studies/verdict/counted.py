"""The networks of a run, counted again from the files that the run stored.

The spiking network runs over the project's test samples, and stops early by the rule
that its run chose. The run's file of conventional networks has their counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spikejoule.baselines.counts import load_baseline
from spikejoule.cli.inputs import run_checkpoint
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.data.dataset import Samples
from spikejoule.data.images import LabelledImages
from spikejoule.energy.ledger import Variant, baseline_variants
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.runs import CountedSamples, counted_runs, exits_of
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.report.names import network_name


def stored_files(paths: ArtifactPaths) -> dict[str, Path]:
    """The files of a run's networks by name, where `publish` stores them in the run.

    They are the complete checkpoint, the rule of early exit with its accuracies, and
    the conventional networks.
    """
    return {
        "checkpoint": Path("checkpoint", paths["checkpoint"].name),
        "early_exit": paths["early_exit"],
        "baseline": paths["baseline"],
    }


def counted_networks(
    files: Mapping[str, Path], test: Samples, weights_sha256: str
) -> Sequence[Variant]:
    """Count the networks of a run in every way of running them.

    Args:
        files: the run's files, by the names of `stored_files`.
        test: the project's test samples, the first of which the run measured.
        weights_sha256: checksum of the file with the trained spiking network.

    Raises:
        ArtifactError: a file is missing or damaged, or was counted on other samples.
    """
    checkpoint = Checkpoint.read(files["checkpoint"])
    n_input = checkpoint.network.n_input
    n_samples = checkpoint.file.inference_spikes.n_samples
    samples = test.select(slice(n_samples))
    if len(samples) != n_samples:
        raise ArtifactError(
            f"{files['checkpoint']} was measured on {n_samples} test samples, but "
            f"the project has {len(samples)}: run the stage prepare again."
        )
    measured = run_checkpoint(checkpoint, samples)
    early = EarlyExit.read(files["early_exit"])
    runs = counted_runs(
        measured,
        checkpoint.encoder,
        samples.images if isinstance(samples, LabelledImages) else None,
        exits_of(measured, samples.labels, early),
    )
    inputs = analysis_inputs(checkpoint, CountedSamples(runs, samples.labels, early))
    name = network_name(inputs.network, checkpoint.encoder.name, checkpoint.pruned)
    spiking = [
        replace(variant, network=name, weights_sha256=weights_sha256)
        for variant in inputs.variants
    ]
    baselines = load_baseline(files["baseline"], samples.labels, n_input)
    return [*spiking, *baseline_variants(baselines, len(samples))]
