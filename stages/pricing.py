"""The analysis of a run: `price` writes its numbers, `energy_report` explains them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from spikejoule.baselines.counts import load_baseline
from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.compare.params import EnergyReportParams
from spikejoule.core.parameters import Only, ParameterFile, Seed
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.params import EvaluateParams
from spikejoule.evaluation.runs import CountedSamples, load_runs
from spikejoule.network.checkpoint import Checkpoint

KEYS = ("profile", "arithmetic_profile", "bootstrap_samples")


class Params(ParameterFile, extra="ignore"):
    """What an analysis reads of params.yaml.

    Single keys: the limits of `spikejoule check` change no result.
    """

    seed: Seed
    evaluate: Annotated[EvaluateParams, Only(("confidence",))]
    energy_report: Annotated[EnergyReportParams, Only(KEYS)]


@dataclass(frozen=True, eq=False)
class PricedRun:
    """A finished network, what it did for the test samples, and what that costs.

    Attributes:
        checkpoint: the network.
        counted: what it did for the test samples.
        analysis: the priced counts.
    """

    checkpoint: Checkpoint
    counted: CountedSamples
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
    checkpoint = Checkpoint.read(paths["checkpoint"])
    early = EarlyExit.read(paths["early_exit"])
    counted = load_runs(paths["counts"], checkpoint, early)
    n_input = checkpoint.network.n_input
    baselines = load_baseline(paths["baseline"], counted.labels, n_input)
    inputs = analysis_inputs(checkpoint, counted, baselines)
    bootstrap = BootstrapSettings(
        params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
    )
    analysis = analyse(inputs, profiles, chosen, arithmetic, bootstrap)
    return PricedRun(checkpoint, counted, analysis)
