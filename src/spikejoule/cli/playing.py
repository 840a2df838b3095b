"""The command `try`: the page where people draw a digit, for any checkpoint."""

import argparse

from spikejoule.cli.inputs import run_checkpoint, test_samples
from spikejoule.core.errors import DataError
from spikejoule.core.store import write_text
from spikejoule.data.images import LabelledImages
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.opponent import choose_opponent
from spikejoule.playground.page import playground_page


def write_page(options: argparse.Namespace) -> str:
    """Run the network on test images, and write the page."""
    checkpoint = Checkpoint.read(options.file)
    profiles = load_profiles(options.hardware)
    headline = headline_profile(profiles, options.profile, "--profile")
    others = [profile for profile in profiles.values() if profile.id != headline.id]
    source = options.images or _recorded_source(checkpoint)
    _, samples = test_samples(source, None)
    if not isinstance(samples, LabelledImages):
        raise DataError(f"--images {source}: these are events, but images are needed.")
    opponent = None
    if options.baselines is not None:
        opponent = choose_opponent(options.baselines, samples, headline, checkpoint)
    inputs = PlaygroundInputs(
        checkpoint=checkpoint,
        measured=run_checkpoint(checkpoint, samples),
        images=samples,
        profiles=(headline, *others),
        opponent=opponent,
    )
    write_text(options.html, playground_page(inputs))
    return f"wrote {options.html}\n"


def _recorded_source(checkpoint: Checkpoint) -> str:
    """The data that the network was trained on; MNIST also from `$MNIST_DIR`."""
    source = str(checkpoint.file.spikejoule.data.get("source", "mnist"))
    return "auto" if source == "mnist" else source
