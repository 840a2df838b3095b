"""A data set: its training and test samples, the validation split, its description."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import Field

from spikejoule.core.errors import DataError
from spikejoule.core.npz import schema_of
from spikejoule.core.schema import Record, Sha256, Text
from spikejoule.core.store import FilePath
from spikejoule.data.events import EVENT_FILE, LabelledEvents, open_event_file
from spikejoule.data.images import LabelledImages, load_images
from spikejoule.data.subject import DIGITS

Samples = LabelledImages | LabelledEvents
"""Images, or samples recorded as events."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples, and their description.

    Attributes:
        source: name of the source, or "directory", decided by the content.
        title, note: for metrics, reports and figures; they distinguish 5,000 digits
            from 60,000.
        sha256: SHA-256 (hexadecimal) of the uncompressed content of each file or array,
            by name.
        train, test: the samples.
    """

    source: str
    title: str
    note: str
    sha256: Mapping[str, str]
    train: Samples
    test: Samples


def load_samples(path: FilePath) -> Samples:
    """Read a file of images or events; ArtifactError if it is neither, or damaged."""
    if schema_of(path) == EVENT_FILE.schema:
        return open_event_file(path)
    return load_images(path)


def split_validation(
    train: Samples, validation_size: float, seed: int
) -> tuple[Samples, Samples]:
    """Split off a stratified validation set; returns (training, validation).

    `validation_size` is the fraction of samples for validation, above 0 and below 1.
    Raises DataError if the set is too small to have every class on both sides.
    """
    # Imported here: scikit-learn takes a second to import; training does not need it.
    from sklearn.model_selection import train_test_split

    try:
        kept, validation = train_test_split(
            np.arange(len(train)),
            test_size=validation_size,
            random_state=seed,
            stratify=train.labels,
        )
    except ValueError as error:
        raise DataError(
            f"data.validation_size: {validation_size} cannot be split off the "
            f"{len(train):,} training samples with every {train.subject.noun} on both "
            f"sides ({error})"
        ) from error
    return train.select(np.sort(kept)), train.select(np.sort(validation))


# The content of metrics/data.json


class ImageCounts(Record):
    """Number of images of each split."""

    test: int = Field(ge=1)
    train: int = Field(ge=1)
    validation: int = Field(ge=1)


class DataDescription(Record):
    """The data that were used: the content of metrics/data.json.

    Attributes:
        counts: number of images of each split.
        sha256: SHA-256 of the uncompressed content of each file or array, by name.
        source, title, note: as in `Dataset`.
        validated_on_test: whether the validation images are the test images.
        noun, class_names, samples: as in `Subject`; absent for images of digits.
    """

    # In this order: a checkpoint holds them in the order of the fields.
    counts: ImageCounts
    note: str
    sha256: dict[str, Sha256]
    source: Text
    title: Text
    validated_on_test: bool
    noun: Text | None = None
    class_names: list[Text] | None = None
    samples: Text | None = None


def describe(
    dataset: Dataset, train: Samples, validation: Samples, validated_on_test: bool
) -> DataDescription:
    """Describe the data that are used: the content of metrics/data.json."""
    subject = train.subject
    stated: dict[str, Any] = {}
    if subject != DIGITS:
        stated = asdict(subject) | {"class_names": list(subject.class_names)}
    return DataDescription(
        source=dataset.source,
        title=dataset.title,
        note=dataset.note,
        counts=ImageCounts(
            train=len(train), validation=len(validation), test=len(dataset.test)
        ),
        sha256=dict(dataset.sha256),
        validated_on_test=validated_on_test,
        **stated,
    )
