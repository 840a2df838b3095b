"""The page on which visitors of the documentation draw a digit.

Its networks are recorded in docs/playground.json; the page is made from them, under
present prices and with present scripts, when the documentation is built.

`python -m docs.site.playground PROJECT` records the networks of a finished pipeline.
The committed ones are those of the preset contest-98 on full MNIST. The opponent is
the run's cheapest conventional network of at least the same validation accuracy.
"""

import sys
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from spikejoule.compare.analysis import analyse
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.data.dataset import load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import HardwareProfile, headline_profile, load_profiles
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.evaluation.runs import CountedSamples, counted_runs, exits_of
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.playground.content import PlaygroundRecord, playground_record
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.opponent import choose_opponent
from spikejoule.playground.page import page_of_record
from spikejoule.playground.reported import reported_notes

ROOT: Final = Path(__file__).resolve().parents[2]
RECORD: Final = ROOT / "docs" / "playground.json"
ENERGY_MODEL: Final = "explanation/energy-ledger.html"
"""Relative to the page."""


def page() -> str:
    """The page of the recorded networks."""
    recorded = PlaygroundRecord.model_validate_json(RECORD.read_bytes())
    return page_of_record(recorded, _profiles(), ENERGY_MODEL)


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
    checkpoint = Checkpoint.read(paths["checkpoint"])
    measured = read_measurement(paths, checkpoint, images)
    early = EarlyExit.read(paths["early_exit"])
    exits = exits_of(measured, images.labels, early)
    runs = counted_runs(measured, checkpoint.encoder, images.images, exits)
    counted = CountedSamples(runs, images.labels, early)
    return playground_record(
        PlaygroundInputs(
            checkpoint=checkpoint,
            measured=measured,
            images=images,
            profiles=_profiles(),
            early=early,
            opponent=choose_opponent(
                paths["baseline"], images, _profiles()[0], checkpoint
            ),
            notes=_notes(checkpoint, counted),
        )
    )


def _notes(checkpoint: Checkpoint, counted: CountedSamples) -> dict[str, str]:
    """The comparison with reference networks, as in the energy report."""
    profiles = load_profiles()
    headline = _profiles()[0]
    inputs = analysis_inputs(checkpoint, counted, ())
    analysis = analyse(inputs, profiles, headline, None, BootstrapSettings())
    return reported_notes(analysis.verdicts, analysis.compares_with_published)


if __name__ == "__main__":
    recorded = record(Path(sys.argv[1]))
    RECORD.write_text(f"{recorded.model_dump_json()}\n", encoding="utf-8")
