"""The analysis of a run: `price` writes its numbers, `energy_report` explains them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from spikejoule.baselines.counts import load_baseline
from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.from_checkpoint import MeasuredSamples, analysis_inputs
from spikejoule.compare.params import EnergyReportParams
from spikejoule.core.parameters import Only, ParameterFile, Seed
from spikejoule.data.images import LabelledImages, Samples, load_samples
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.evaluation.params import EvaluateParams, MeasureInferenceParams
from spikejoule.network.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.network.trained import TrainedNetwork, load_trained

KEYS = ("profile", "arithmetic_profile", "bootstrap_samples")


class Params(ParameterFile, extra="ignore"):
    """What an analysis reads of params.yaml.

    Single keys: the limits of `spikejoule check` change no result.
    """

    seed: Seed
    measure_inference: MeasureInferenceParams
    evaluate: Annotated[EvaluateParams, Only(("confidence",))]
    energy_report: Annotated[EnergyReportParams, Only(KEYS)]


@dataclass(frozen=True, eq=False)
class PricedRun:
    """A finished network, what it did for the test samples, and its analysis.

    Attributes:
        trained: the network, with the history of its training.
        checkpoint: the complete checkpoint.
        samples: all test samples.
        counted: those that are counted.
        analysis: the priced counts.
    """

    trained: TrainedNetwork
    checkpoint: CompleteCheckpoint
    samples: Samples
    counted: MeasuredSamples
    analysis: EnergyAnalysis


def priced_run(paths: Mapping[str, Path], params: Params) -> PricedRun:
    """Read the counts of a run, price them, and compare."""
    profiles = load_profiles(paths["hardware"])
    chosen = select_profile(
        profiles, params.energy_report.profile, "energy_report.profile"
    )
    arithmetic = select_profile(
        profiles,
        params.energy_report.arithmetic_profile,
        "energy_report.arithmetic_profile",
    )
    trained = load_trained(paths["trained"])
    checkpoint = read_complete(paths["checkpoint"])
    samples = load_samples(paths["test"])
    measured = read_measurement(paths, trained, samples)
    measured = measured.first(params.measure_inference.n_samples)
    labels = samples.labels[: measured.n_samples]
    images = None
    if isinstance(samples, LabelledImages):
        images = samples.images[: measured.n_samples]
    early = EarlyExit.read(paths["early_exit"])
    counted = MeasuredSamples(measured, labels, images, early)
    baselines = load_baseline(paths["baseline"], labels, trained.network.n_input)
    inputs = analysis_inputs(checkpoint, counted, baselines)
    bootstrap = BootstrapSettings(
        params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
    )
    analysis = analyse(inputs, profiles, chosen, arithmetic, bootstrap)
    return PricedRun(trained, checkpoint, samples, counted, analysis)
