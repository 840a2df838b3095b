"""How images became spikes, as files say it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import Record, Sha256, first_problem
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.encoding.encoder import Encoded, Encoder
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import EventList, load_events

Split = Literal["validation", "test"]


class _Draws(Record):
    """What an encoded split depends on beside its code."""

    seed: int = Field(ge=0, lt=2**32)
    split: Split
    images_sha256: Sha256


@dataclass(frozen=True)
class EncodedImages:
    """What an event list was made from.

    Attributes:
        encoder: the code.
        seed: the experiment's seed.
        split: ``validation`` or ``test``.
        images_sha256: SHA-256 of the pixels.
    """

    encoder: Encoder
    seed: int
    split: Split
    images_sha256: str

    def entry(self) -> dict[str, Any]:
        """The header of the event list: plain values."""
        return {
            **self.encoder.entry(),
            "seed": self.seed,
            "split": self.split,
            "images_sha256": self.images_sha256,
        }


def encode_samples(encoder: Encoder, samples: Samples, seed: int, split: str) -> Encoded:
    """The spikes of samples that are encoded once, of a split of this name.

    Raises:
        ParameterError: the code is not for samples of this kind, or as of `Encoder.events`.
    """
    given = "images" if isinstance(samples, LabelledImages) else "events"
    if encoder.takes != given:
        raise ParameterError(
            f"the samples are {given}, but the code {encoder.name!r} takes {encoder.takes}"
        )
    key = encoder.draw_key(seed, split, epoch=0)
    return encoder.encode(samples.inputs, key, samples.index)


def encoder_of_entry(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> Encoder:
    """The encoder that an entry of `Encoder.entry` states; other keys of the entry are ignored.

    Raises:
        ArtifactError: naming `path`, if the code is unknown or a parameter missing or out of range.
    """
    code = entry.get("type")
    if not isinstance(code, str) or code not in ENCODERS:
        raise ArtifactError(
            f"{path} was made with the code {code!r:.80}, but the codes are {', '.join(ENCODERS)}."
        )
    kind = ENCODERS[code]
    names = {kind.header_names.get(name, name): name for name in kind.model_fields}
    try:
        return kind.model_validate(
            {name: entry[stated] for stated, name in names.items() if stated in entry}
        )
    except ValidationError as error:
        problem = first_problem(error, kind.header_names)
        raise ArtifactError(f"{path}: encoding.{problem}: write it again.") from error


def load_events_of(path: Path, expected: EncodedImages) -> EventList:
    """Read the event list of known images.

    Raises ArtifactError as `load_encoded_images` does, and if it was made from anything else.
    """
    events, code = load_encoded_images(path)
    found = code.entry()
    for key, value in expected.entry().items():
        if found.get(key) != value:
            raise ArtifactError(
                f"{path} was encoded with {key} {found.get(key)!r}, but {value!r} is needed: "
                "run the encode stage again."
            )
    return events


def load_encoded_images(path: Path) -> tuple[EventList, EncodedImages]:
    """Read an event list of images.

    Raises ArtifactError if it is missing or damaged, or if its header tells of another window.
    """
    events, header = load_events(path)
    encoder = encoder_of_entry(path, header)
    own = encoder.entry()
    draws = _Draws.from_content(path, {k: v for k, v in header.items() if k not in own})
    code = EncodedImages(encoder, draws.seed, draws.split, draws.images_sha256)
    if encoder.time_window != events.n_steps:
        raise ArtifactError(
            f"{path} holds {events.n_steps} steps, but states a window of {encoder.time_window}: "
            "run the encode stage again."
        )
    products = None if events.currents is None else events.currents.products
    if products != encoder.input_products:
        raise ArtifactError(
            f"{path} states the code {encoder.name} with the products {encoder.input_products}, "
            f"but holds those of {products}: run the encode stage again."
        )
    return events, code
