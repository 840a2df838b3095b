"""Encoding a whole split, and reading the file that it is saved in.

`spikejoule.encoding.events.save_events` writes the file: an event list, and a header
with the encoder, the seed, the split and a checksum of the samples. A reader rebuilds
the encoder from the header, and checks that the file fits its samples and parameters.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.schema import Record, Sha256
from spikejoule.data.dataset import Samples
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoder import Encoded, Encoder
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import EventList, load_events

Split = Literal["validation", "test"]


class EncodedImages(Record):
    """The header of an event list: what it was encoded from, and how.

    Attributes:
        encoder: the encoder with its parameters.
        seed: the experiment's seed.
        split: ``validation`` or ``test``.
        images_sha256: SHA-256 of the samples: of their pixels, or of their events.
    """

    encoder: SerializeAsAny[Encoder]
    seed: int = Field(ge=0, lt=2**32)
    split: Split
    images_sha256: Sha256

    def entry(self) -> dict[str, Any]:
        """Return the header as plain values; the encoder's entry is part of it."""
        return {**self.encoder.entry(), **self.model_dump(exclude={"encoder"})}


def encode_samples(
    encoder: Encoder, samples: Samples, seed: int, split: str
) -> Encoded:
    """Encode the samples of a split that is not encoded anew in every epoch.

    `split` is ``validation`` or ``test``: it chooses the random streams.

    Raises:
        ParameterError: the encoder does not take this kind of samples, or as for
            `Encoder.events`.
    """
    samples_are = "images" if isinstance(samples, LabelledImages) else "events"
    if encoder.takes != samples_are:
        raise ParameterError(
            f"the samples are {samples_are}, but the encoding {encoder.name!r} takes "
            f"{encoder.takes}"
        )
    key = encoder.draw_key(seed, split, epoch=0)
    return encoder.encode(samples.inputs, key, samples.index)


def encoder_of_entry(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> Encoder:
    """Make an encoder from its `Encoder.entry` in a file; ignore the other keys.

    Raises:
        ArtifactError: the encoding is unknown, or a parameter is missing or out of
            range; the message names `path`.
    """
    name = entry.get("type")
    if not isinstance(name, str) or name not in ENCODERS:
        raise ArtifactError(
            f"{path} was made with the encoding {name!r:.80}, but the encodings are "
            f"{', '.join(ENCODERS)}."
        )
    encoder_class = ENCODERS[name]
    values = {}
    for field in encoder_class.model_fields:
        key = encoder_class.header_names.get(field, field)
        if key in entry:
            values[field] = entry[key]
    try:
        return encoder_class.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(
            f"{path}: encoding.{first_problem(error)}: write it again."
        ) from error


def load_events_of(path: Path, expected: Mapping[str, Any]) -> EventList:
    """Read an event list, and compare its header with expected entries.

    Raises:
        ArtifactError: as for `load_encoded_images`, or an entry of the header
            (`EncodedImages.entry`) differs from `expected`.
    """
    events, made_from = load_encoded_images(path)
    header = made_from.entry()
    for key, needed in expected.items():
        if header.get(key) != needed:
            raise ArtifactError(
                f"{path} was encoded with {key} {header.get(key)}, but {needed} is "
                "needed: run the encode stage again, and train again from the same "
                "parameters."
            )
    return events


def load_encoded_images(path: Path) -> tuple[EventList, EncodedImages]:
    """Read an event list and its header; ArtifactError if it is missing or damaged."""
    events, header = load_events(path)
    encoder = encoder_of_entry(path, header)
    others = {key: value for key, value in header.items() if key not in encoder.entry()}
    made_from = EncodedImages.from_content(path, {"encoder": encoder, **others})
    return events, made_from


def figures_of(encoded: Encoded) -> dict[str, int | float]:
    """Summarise an encoded split for metrics/encode.json.

    The values are the number of `samples` and of input `spikes` (0 for constant
    currents); `density`, the fraction of all (sample, step, unit) that have a spike;
    and, for event samples, `events_dropped` outside the window and `events_merged` with
    another of the same unit and step.
    """
    events = encoded.events
    figures: dict[str, int | float] = {
        "samples": events.n_samples,
        "spikes": events.n_events,
        "density": events.density,
    }
    if encoded.dropped.size:
        figures["events_dropped"] = int(encoded.dropped.sum())
        figures["events_merged"] = int(encoded.merged.sum())
    return figures
