"""encode: turn the validation and test samples into event lists, once."""

import logging
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.parameters import ParameterFile, Seed
from spikejoule.core.store import write_json
from spikejoule.data.dataset import Samples, load_samples
from spikejoule.encoding.encoded_files import (
    EncodedImages,
    Split,
    encode_samples,
    figures_of,
)
from spikejoule.encoding.events import save_events
from spikejoule.encoding.params import EncodeParams

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    seed: Seed
    encode: EncodeParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the events of both splits; training draws fresh ones in every epoch."""
    # Both splits are read before anything is written.
    splits: dict[Split, Samples] = {
        "validation": load_samples(paths["validation"]),
        "test": load_samples(paths["test"]),
    }
    encoder = params.encode.encoder
    figures: dict[str, dict[str, int | float]] = {}
    for split, samples in splits.items():
        encoded = encode_samples(encoder, samples, params.seed, split)
        events = encoded.events
        made_from = EncodedImages(
            encoder=encoder, seed=params.seed, split=split, images_sha256=samples.sha256
        )
        save_events(paths[f"events_{split}"], events, made_from.entry())
        figures[split] = figures_of(encoded)
        logger.info(
            "%s: %s %s, %.1f spikes per %s, %.2f %% of the input bits",
            split,
            f"{len(samples):,}",
            samples.subject.samples,
            events.n_events / len(samples),
            samples.subject.sample,
            100 * events.density,
        )
        if encoder.takes == "events":
            logger.info(
                "%s: %s events outside the window dropped, %s with the same unit and "
                "step merged",
                split,
                f"{encoded.dropped.sum():,}",
                f"{encoded.merged.sum():,}",
            )
    # Last, since it describes the two files above.
    write_json(paths["encode_metrics"], figures)
