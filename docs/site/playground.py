"""The page on which visitors of the documentation draw a digit.

Its networks are recorded in docs/playground.json; the page is made from them, under
present prices and with present scripts, when the documentation is built.

`python -m docs.site.playground PROJECT` records the networks of a finished pipeline.
The committed ones are those of the preset contest-98 on full MNIST, with one change:
the conventional networks were trained for 50 epochs, with 95 % of the weights pruned.
The opponent is the most accurate of those with weights as wide as the spiking one's.
"""

import sys
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from spikejoule.baselines.counts import load_baseline, load_weights
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.energy import BootstrapSettings, analyse, load_profiles
from spikejoule.energy.from_checkpoint import MeasuredSamples, analysis_inputs
from spikejoule.energy.ledger import baseline_variants
from spikejoule.energy.prices import HardwareProfile, headline_profile
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.network.trained import load_trained
from spikejoule.playground import (
    Opponent,
    PlaygroundInputs,
    PlaygroundRecord,
    ReportedComparison,
    page_of_record,
    playground_record,
)
from spikejoule.playground.opponent import ZERO_SKIPPING

ROOT: Final = Path(__file__).resolve().parents[2]
RECORD: Final = ROOT / "docs" / "playground.json"
ENERGY_MODEL: Final = "explanation/energy-ledger.html"
"""Relative to the page."""


def page() -> str:
    """The page of the recorded networks."""
    return page_of_record(PlaygroundRecord.read(RECORD), _profiles(), ENERGY_MODEL)


def _profiles() -> tuple[HardwareProfile, ...]:
    """All price lists, the headline's first."""
    profiles = load_profiles()
    headline = headline_profile(profiles, None, "")
    others = (profile for profile in profiles.values() if profile.id != headline.id)
    return (headline, *others)


def record(project: Path) -> PlaygroundRecord:
    """Record the networks of a project in which the pipeline has run."""
    definition = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    names = definition["vars"][0]["paths"]
    paths = {name: project / path for name, path in names.items()}
    images = load_samples(paths["test"])
    assert isinstance(images, LabelledImages)
    checkpoint = read_complete(paths["checkpoint"])
    measured = read_measurement(paths, load_trained(paths["trained"]), images)
    early = EarlyExit.read(paths["early_exit"])
    counted = MeasuredSamples(measured, images.labels, images.images, early)
    return playground_record(
        PlaygroundInputs(
            checkpoint=checkpoint,
            measured=measured,
            images=images,
            profiles=_profiles(),
            early=early,
            opponent=_opponent(paths["baseline"], checkpoint),
            reported=_reported(checkpoint, counted),
        )
    )


def _opponent(path: Path, checkpoint: CompleteCheckpoint) -> Opponent:
    """The most accurate conventional network with weights of equal width."""
    bits = checkpoint.network.weight_bits
    counts = [network for network in load_baseline(path) if network.weight_bits == bits]
    best = max(counts, key=lambda network: network.validation_accuracy_percent)
    variants = baseline_variants([best], len(best.macs_nonzero))
    (variant,) = (one for one in variants if one.method == ZERO_SKIPPING)
    chosen_as = f"the most accurate one of its run with {bits}-bit weights"
    return Opponent(variant, best, load_weights(path, best.name), chosen_as)


def _reported(
    checkpoint: CompleteCheckpoint, counted: MeasuredSamples
) -> ReportedComparison:
    """The comparison with reference networks, as in the energy report."""
    profiles = load_profiles()
    headline = _profiles()[0]
    inputs = analysis_inputs(checkpoint, counted, ())
    analysis = analyse(inputs, profiles, headline, None, BootstrapSettings())
    return ReportedComparison(analysis.verdicts, analysis.compares_with_published)


if __name__ == "__main__":
    record(Path(sys.argv[1])).save(RECORD)
