"""encode: turn the validation and test images into event lists, once."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from spikejoule.data.images import LabelledImages, images_sha256, load_images
from spikejoule.params import Params
from spikejoule.spikes.codes import EncodedImages, Split
from spikejoule.spikes.events import save_events
from stages.shared.common import run_stage

logger = logging.getLogger(__name__)

PATHS = ("validation", "test", "events_validation", "events_test")


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the events of both splits; training draws its own afresh in every epoch."""
    # Both are read before anything is written.
    splits: dict[Split, LabelledImages] = {
        "validation": load_images(paths["validation"]),
        "test": load_images(paths["test"]),
    }
    encoder = params.encode.encoder
    for split, samples in splits.items():
        key = encoder.draw_key(params.seed, split, epoch=0)
        events = encoder.events(samples.images, key, samples.index)
        code = EncodedImages(encoder, params.seed, split, images_sha256(samples))
        save_events(paths[f"events_{split}"], events, code.entry())
        logger.info(
            "%s: %s images, %.1f spikes per image, %.2f %% of the input bits",
            split, f"{len(samples):,}", events.n_events / len(samples), 100 * events.density,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
