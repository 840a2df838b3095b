"""The networks of a run, counted again from the files that the run stored.

The spiking network runs over the project's test samples, and stops early by the rule
that its run chose. The run's file of conventional networks has their counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spikejoule.baselines.counts import load_baseline
from spikejoule.core.yaml_files import ArtifactPaths
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.from_checkpoint import MeasuredSamples, analysis_inputs
from spikejoule.energy.ledger import Variant, averaged, baseline_variants
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import read_complete


@dataclass(frozen=True)
class RunFiles:
    """Files of a run, by their paths in the run or in a folder.

    Attributes:
        checkpoint: the complete checkpoint.
        early_exit: the rule of early exit, and its accuracies.
        baseline: the conventional networks.
    """

    checkpoint: Path
    early_exit: Path
    baseline: Path

    @classmethod
    def published(cls, paths: ArtifactPaths) -> "RunFiles":
        """Where `publish` stores the artifacts of a pipeline."""
        return cls(
            checkpoint=Path("checkpoint", paths["checkpoint"].name),
            early_exit=paths["early_exit"],
            baseline=paths["baseline"],
        )

    def below(self, folder: Path) -> "RunFiles":
        """The files in a folder."""
        return RunFiles(
            folder / self.checkpoint, folder / self.early_exit, folder / self.baseline
        )

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return self.checkpoint, self.early_exit, self.baseline


def counted_networks(
    files: RunFiles, test: Samples, weights_sha256: str
) -> Sequence[Variant]:
    """Count the networks of a run in every way of running them.

    Args:
        files: the run's files.
        test: the project's test samples, the first of which the run measured.
        weights_sha256: checksum of the file with the trained spiking network.

    Raises:
        ArtifactError: a file is missing or damaged, or was counted on other samples.
    """
    checkpoint = read_complete(files.checkpoint)
    n_samples = checkpoint.file.inference_spikes.n_samples
    samples = test.select(slice(n_samples))
    seed = checkpoint.file.spikejoule.seed
    assert seed is not None
    events = encode_samples(checkpoint.encoder, samples, seed, "test").events
    measured = measure_network(
        checkpoint.state, checkpoint.network, events, pruned=checkpoint.pruned
    )
    counted = MeasuredSamples(
        measurement=measured,
        labels=samples.labels,
        images=samples.images if isinstance(samples, LabelledImages) else None,
        early=EarlyExit.read(files.early_exit),
    )
    n_input = checkpoint.network.n_input
    baselines = load_baseline(files.baseline, samples.labels, n_input)
    inputs = analysis_inputs(checkpoint, counted, baselines)
    spiking = [
        replace(variant, weights_sha256=weights_sha256) for variant in inputs.variants
    ]
    conventional = averaged(
        baseline_variants(baselines, measured.n_samples), inputs.average_pixels, n_input
    )
    return [*spiking, *conventional]
