"""Images with their labels: what they are, and the file that holds them.

Shapes: N samples, images of H x W pixels.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.core.errors import DataError, check
from spikejoule.core.npz import schema_of
from spikejoule.core.schema import Array, ArrayFile, Arrays, Record, Sha256, Text
from spikejoule.core.store import FilePath
from spikejoule.data.events import EVENT_SAMPLES_SCHEMA, LabelledEvents, open_event_file
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
    # Images of digits say nothing of what they show.
    optional=SUBJECT_ARRAYS,
)


class ImageCounts(Record):
    """How many images there are of each kind."""

    test: int = Field(ge=1)
    train: int = Field(ge=1)
    validation: int = Field(ge=1)


class DataDescription(Record):
    """What images were used: the content of metrics/data.json.

    Attributes:
        counts: how many there are of each kind.
        sha256: file or array -> SHA-256 of its uncompressed content.
        source, title, note: as in `Dataset`.
        validated_on_test: whether the validation images are the test images.
        noun, class_names, samples: as in `Subject`; not stated for images of digits.
        crop_pixels, average_pixels: as in `Dataset.reduced`; not stated for images as
        they are.
    """

    # By name: a trained network holds them in this order.
    counts: ImageCounts
    note: str
    sha256: dict[str, Sha256]
    source: Text
    title: Text
    validated_on_test: bool
    noun: Text | None = None
    class_names: list[Text] | None = None
    samples: Text | None = None
    crop_pixels: int | None = None
    average_pixels: int | None = None


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images uint8 [N, H, W], labels uint8 [N], and index int64 [N].

    `index` is the position in the file of the source: it names a sample through every
    split. `subject` says what there is to see, and which classes there are.
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
        """Of an image."""
        return self.images.shape[1:]

    def select(self, positions: NDArray[np.int64] | slice) -> "LabelledImages":
        """The samples at some positions of this set, in their order."""
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
        """What a file holds; of digits it does not say what they show."""
        stated = {} if self.subject == DIGITS else subject_arrays(self.subject)
        return {
            "images": self.images,
            "labels": self.labels,
            "index": self.index,
            **stated,
        }

    def check(self, what: FilePath) -> None:
        """Raise DataError unless these are N >= 1 images with N labels of the subject's
        classes.
        """
        check(what, IMAGES.problem(self.arrays()), DataError)

    def save(self, path: FilePath) -> None:
        """Write images, labels and index to an .npz file, atomically and
        deterministically.
        """
        IMAGES.write(path, self.arrays())


Samples = LabelledImages | LabelledEvents
"""Images, or samples that are events from birth."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples, and what they are.

    source: the name of a source, or "directory", by the content and not by how it was
    found. title, note: for metrics, reports and figures; they tell 5,000 digits from
    60,000. sha256: file or array -> SHA-256 (hexadecimal) of its uncompressed content.
    reduction: what `reduced` was given, if anything.
    """

    source: str
    title: str
    note: str
    sha256: Mapping[str, str]
    train: Samples
    test: Samples
    reduction: Mapping[str, int] = field(default_factory=dict)

    def reduced(self, crop_pixels: int, average_pixels: int) -> "Dataset":
        """Images without their border, and of each square of pixels the mean.

        Args:
            crop_pixels: border that is cut off at each side; 0 for none, as for samples
                of events.
            average_pixels: side of the squares; of a mean half-way between two numbers
                the larger is taken. 1 for none.

        Raises:
            DataError: nothing is left, or what is left has no whole number of squares.
        """
        if not (crop_pixels or average_pixels > 1):
            return self
        return replace(
            self,
            train=_reduced(self.train, crop_pixels, average_pixels),
            test=_reduced(self.test, crop_pixels, average_pixels),
            reduction={"crop_pixels": crop_pixels, "average_pixels": average_pixels},
        )


def _reduced(samples: Samples, crop_pixels: int, side: int) -> LabelledImages:
    assert isinstance(samples, LabelledImages)
    height = samples.shape[0] - 2 * crop_pixels
    width = samples.shape[1] - 2 * crop_pixels
    if min(height, width) < 1 or height % side or width % side:
        raise DataError(
            f"data.crop_pixels: {crop_pixels} leaves {height} x {width} pixels, which "
            f"data.average_pixels: {side} does not divide"
        )
    kept = samples.images[:, crop_pixels:, crop_pixels:][:, :height, :width]
    squares = kept.reshape(len(kept), height // side, side, width // side, side)
    means = (squares.sum(axis=(2, 4), dtype=np.int64) + side**2 // 2) // side**2
    return replace(samples, images=means.astype(np.uint8))


def split_validation(
    train: Samples, validation_size: float, seed: int
) -> tuple[Samples, Samples]:
    """Split off a stratified validation set; returns (training, validation).

    `validation_size` is the fraction of the samples that go to validation, above 0 and
    below 1. Raises DataError if the set is too small to have every class on both sides.
    """
    # Here and not above: scikit-learn takes a second to import, and training needs none
    # of it.
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
            f"{len(train):,} "
            f"training samples with every {train.subject.noun} on both sides ({error})"
        ) from error
    return train.select(np.sort(kept)), train.select(np.sort(validation))


def describe(
    dataset: Dataset, train: Samples, validation: Samples, validated_on_test: bool
) -> DataDescription:
    """What was used: the content of the metrics file of the data."""
    subject = train.subject
    stated: dict[str, Any] = dict(dataset.reduction)
    if subject != DIGITS:
        stated |= asdict(subject) | {"class_names": list(subject.class_names)}
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
    """The subject that the content of a `DataDescription` states; digits if it states
    none.
    """
    noun = data.get("noun")
    names = data.get("class_names")
    if noun is None or names is None:
        return DIGITS
    return Subject(str(noun), tuple(names), str(data.get("samples", DIGITS.samples)))


def load_images(path: FilePath) -> LabelledImages:
    """Read images from a file; one that is missing, damaged or another:
    ArtifactError.
    """
    arrays = IMAGES.read(path)
    return LabelledImages(
        arrays["images"], arrays["labels"], arrays["index"], subject_of(arrays)
    )


def load_samples(path: FilePath) -> Samples:
    """Read a file of either kind; one that is missing, damaged or another:
    ArtifactError.
    """
    return (
        open_event_file(path)
        if schema_of(path) == EVENT_SAMPLES_SCHEMA
        else load_images(path)
    )
