"""Images with their labels, their file, the validation split, and their description.

Shapes: N samples, images of H x W pixels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import DataError, check
from spikejoule.core.npz import schema_of
from spikejoule.core.schema import Array, ArrayFile, Arrays, Record, Sha256, Text
from spikejoule.core.store import FilePath
from spikejoule.data.events import EVENT_FILE, LabelledEvents, open_event_file
from spikejoule.data.subject import (
    DIGITS,
    SUBJECT_ARRAYS,
    Subject,
    subject_arrays,
    subject_of,
    subject_problem,
)


def _problem(arrays: Arrays) -> str:
    if arrays["images"].size == 0:
        return "there must be at least one image, with at least one pixel"
    return subject_problem(arrays)


IMAGES = ArrayFile(
    "spikejoule/images/1",
    {
        "images": Array("uint8", ("N", "H", "W")),
        "labels": Array("uint8", ("N",)),
        "index": Array("int64", ("N",), low=0),
    },
    _problem,
    # A file of digits does not state its subject.
    optional=SUBJECT_ARRAYS,
)


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


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images uint8 [N, H, W], labels uint8 [N], and index int64 [N].

    `index` is the position in the source's file, which identifies a sample through
    every split. `subject` says what the images show, and the classes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    index: NDArray[np.int64]
    subject: Subject = DIGITS

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> NDArray[np.uint8]:
        """What an encoder takes: the images."""
        return self.images

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an image."""
        return self.images.shape[1:]

    def select(self, positions: NDArray[np.int64] | slice) -> "LabelledImages":
        """Return the samples at some positions, in the order given."""
        return LabelledImages(
            self.images[positions],
            self.labels[positions],
            self.index[positions],
            self.subject,
        )

    @property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the pixels."""
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file; a file of digits does not state its subject."""
        stated = {} if self.subject == DIGITS else subject_arrays(self.subject)
        return {
            "images": self.images,
            "labels": self.labels,
            "index": self.index,
            **stated,
        }

    def check(self, what: FilePath) -> None:
        """Raise DataError, naming `what`, unless labels and images fit each other."""
        check(what, IMAGES.problem(self.arrays()), DataError)

    def save(self, path: FilePath) -> None:
        """Write images, labels and index to an .npz file, atomically."""
        IMAGES.write(path, self.arrays())


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


def subject_of_data(data: Mapping[str, Any]) -> Subject:
    """Return the subject that metrics/data.json states; digits if it states none."""
    noun = data.get("noun")
    names = data.get("class_names")
    if noun is None or names is None:
        return DIGITS
    return Subject(str(noun), tuple(names), str(data.get("samples", DIGITS.samples)))


def load_images(path: FilePath) -> LabelledImages:
    """Read a file of images; ArtifactError if it is missing, damaged or another."""
    arrays = IMAGES.read(path)
    return LabelledImages(
        arrays["images"], arrays["labels"], arrays["index"], subject_of(arrays)
    )


def load_samples(path: FilePath) -> Samples:
    """Read a file of images or events; ArtifactError if it is neither, or damaged."""
    if schema_of(path) == EVENT_FILE.schema:
        return open_event_file(path)
    return load_images(path)
