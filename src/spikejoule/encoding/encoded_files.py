"""Files of encoded samples: event lists with their encoder, and metrics/encode.json."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.schema import Record, Sha256
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.encoding.encoder import Encoded, Encoder
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import EventList, load_events

Split = Literal["validation", "test"]


class EncodedImages(Record):
    """The encoder and the samples that an event list was made from.

    Attributes:
        encoder: the encoding.
        seed: the experiment's seed.
        split: ``validation`` or ``test``.
        images_sha256: SHA-256 of the pixels.
    """

    encoder: SerializeAsAny[Encoder]
    seed: int = Field(ge=0, lt=2**32)
    split: Split
    images_sha256: Sha256

    def entry(self) -> dict[str, Any]:
        """Return the header of the event list, as plain values."""
        return {**self.encoder.entry(), **self.model_dump(exclude={"encoder"})}


def encode_samples(
    encoder: Encoder, samples: Samples, seed: int, split: str
) -> Encoded:
    """Encode the samples of a split that is encoded once.

    Raises:
        ParameterError: the encoding is not for this kind of samples, or as for
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
    """Make the encoder that an `Encoder.entry` states; other keys are ignored.

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
    encoder = ENCODERS[name]
    values = {}
    for field in encoder.model_fields:
        stated = encoder.header_names.get(field, field)
        if stated in entry:
            values[field] = entry[stated]
    try:
        return encoder.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(
            f"{path}: encoding.{first_problem(error)}: write it again."
        ) from error


def load_events_of(path: Path, expected: Mapping[str, Any]) -> EventList:
    """Read an event list whose header must have some entries.

    Raises ArtifactError as `load_encoded_images` does, and if an entry of the header
    (`EncodedImages.entry`) differs from `expected`.
    """
    events, made_from = load_encoded_images(path)
    stated = made_from.entry()
    for key, needed in expected.items():
        if stated.get(key) != needed:
            raise ArtifactError(
                f"{path} was encoded with {key} {stated.get(key)}, but {needed} is "
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
    """Return the figures of a split for metrics/encode.json.

    They are the number of `samples` and of input `spikes` (0 for constant currents);
    `density`, the fraction of (sample, step, unit) places with a spike; and, for
    samples that are events, `events_dropped` outside the window and `events_merged`
    with another of the same unit and step.
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
