"""How images became spikes, as files state it: event lists, and metrics/encode.json."""

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
    """What an event list was made from.

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
        """The header of the event list: plain values."""
        return {**self.encoder.entry(), **self.model_dump(exclude={"encoder"})}


def encode_samples(
    encoder: Encoder, samples: Samples, seed: int, split: str
) -> Encoded:
    """The spikes of samples that are encoded once, of a split of this name.

    Raises:
        ParameterError: the encoding is not for samples of this kind, or as of
            `Encoder.events`.
    """
    given = "images" if isinstance(samples, LabelledImages) else "events"
    if encoder.takes != given:
        raise ParameterError(
            f"the samples are {given}, but the encoding {encoder.name!r} takes "
            f"{encoder.takes}"
        )
    key = encoder.draw_key(seed, split, epoch=0)
    return encoder.encode(samples.inputs, key, samples.index)


def encoder_of_entry(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> Encoder:
    """The encoder that an entry of `Encoder.entry` states; other keys of the entry are
    ignored.

    Raises:
        ArtifactError: naming `path`: the encoding is unknown, or a parameter missing or
            out of range.
    """
    name = entry.get("type")
    if not isinstance(name, str) or name not in ENCODERS:
        raise ArtifactError(
            f"{path} was made with the encoding {name!r:.80}, but the encodings are "
            f"{', '.join(ENCODERS)}."
        )
    kind = ENCODERS[name]
    names = {kind.header_names.get(key, key): key for key in kind.model_fields}
    try:
        return kind.model_validate(
            {key: entry[stated] for stated, key in names.items() if stated in entry}
        )
    except ValidationError as error:
        raise ArtifactError(
            f"{path}: encoding.{first_problem(error)}: write it again."
        ) from error


def load_events_of(path: Path, expected: Mapping[str, Any]) -> EventList:
    """Read an event list that was encoded from known samples.

    Raises ArtifactError as `load_encoded_images` does, and if its header says anything
    else than `expected`: entries of `EncodedImages.entry`.
    """
    events, made_from = load_encoded_images(path)
    stated = made_from.entry()
    for key, needed in expected.items():
        if stated.get(key) != needed:
            raise ArtifactError(
                f"{path} was encoded with {key} {stated.get(key)}, but {needed} is "
                "needed: run the "
                "encode stage again, and train again from the same parameters."
            )
    return events


def load_encoded_images(path: Path) -> tuple[EventList, EncodedImages]:
    """Read an event list of images.

    Raises ArtifactError if it is missing or damaged.
    """
    events, header = load_events(path)
    encoder = encoder_of_entry(path, header)
    others = {key: value for key, value in header.items() if key not in encoder.entry()}
    made_from = EncodedImages.from_content(path, {"encoder": encoder, **others})
    return events, made_from


def figures_of(encoded: Encoded) -> dict[str, int | float]:
    """Figures of a split, as metrics/encode.json has them.

    `samples` and the input `spikes` of all of them (0 for constant currents);
    `density`, the fraction of (sample, step, unit) places that hold a spike; and, of
    samples that are events, `events_dropped` outside of the window and `events_merged`,
    which repeat the unit and step of another.
    """
    events = encoded.events
    figures = {
        "samples": events.n_samples,
        "spikes": events.n_events,
        "density": events.density,
    }
    lost = {"events_dropped": encoded.dropped, "events_merged": encoded.merged}
    return figures | {
        name: int(counts.sum()) for name, counts in lost.items() if counts.size
    }
