"""Images with their labels: what they are, how they are split, and the file that holds them.

Shapes: N samples, images of 28 x 28 pixels.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule.foundation.array_files import Array, ArrayFile, Arrays
from spikejoule.foundation.errors import ArtifactError, DataError
from spikejoule.foundation.records import Record, Sha256, Text

IMAGE_SHAPE = (28, 28)
N_CLASSES = 10


def _index_problem(arrays: Arrays) -> str:
    index = arrays["index"]
    if len(index) == 0:
        return "there must be at least one image, but there is none"
    return "" if len(np.unique(index)) == len(index) else "an index is given to two images"


IMAGES = ArrayFile(
    "spikejoule/images/1",
    {
        "images": Array("uint8", ("N", *IMAGE_SHAPE)),
        "labels": Array("uint8", ("N",), high=N_CLASSES - 1),
        "index": Array("int64", ("N",), low=0),
    },
    _index_problem,
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
    """

    # By name: a trained network holds them in this order.
    counts: ImageCounts
    note: str
    sha256: dict[str, Sha256]
    source: Text
    title: Text
    validated_on_test: bool

    def check_counts(self, path: str | os.PathLike[str], train: int, validation: int) -> None:
        """Raise ArtifactError, naming `path`, unless this describes so many images."""
        for name, count, found in (
            ("training", self.counts.train, train),
            ("validation", self.counts.validation, validation),
        ):
            if count != found:
                raise ArtifactError(
                    f"{path} states {count:,} {name} images, but there are {found:,}: run the "
                    "prepare stage again."
                )


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images uint8 [N, 28, 28], labels uint8 [N] from 0 to 9, and index int64 [N].

    `index` is the position in the file of the source: it names a sample through every split.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, positions: NDArray[np.int64] | slice) -> "LabelledImages":
        """The samples at some positions of this set, in their order."""
        return LabelledImages(self.images[positions], self.labels[positions], self.index[positions])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images, and what they are.

    source: "mnist", "mnist5k" or "directory", decided by the content and not by how it was found.
    title, note: for metrics, reports and figures; they tell 5,000 digits from 60,000.
    sha256: file or array -> SHA-256 (hexadecimal) of its uncompressed content.
    """

    source: str
    title: str
    note: str
    sha256: Mapping[str, str]
    train: LabelledImages
    test: LabelledImages


def check_images(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], what: str | os.PathLike[str]
) -> None:
    """Raise DataError unless these are digits: N >= 1 images of 28 x 28 pixels, N labels 0 to 9."""
    if images.shape[1:] != IMAGE_SHAPE:
        height, width = images.shape[1:]
        raise DataError(f"{what}: images must be 28 x 28 pixels, but are {height} x {width}.")
    if len(images) != len(labels):
        raise DataError(
            f"{what}: every image needs one label, but there are {len(images):,} images and "
            f"{len(labels):,} labels."
        )
    if len(labels) == 0:
        raise DataError(f"{what}: there must be at least one image, but there is none.")
    if labels.max() >= N_CLASSES:
        position = int(np.argmax(labels >= N_CLASSES))
        raise DataError(
            f"{what}: labels must be digits from 0 to 9, but the label at position {position} is "
            f"{labels[position]}."
        )


def split_validation(
    train: LabelledImages, validation_size: float, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """Split off a stratified validation set; returns (training, validation).

    `validation_size` is the fraction of the images that go to validation, above 0 and below 1.
    Raises DataError if the set is too small to have every digit on both sides.
    """
    # Here and not above: scikit-learn takes a second to import, and training needs none of it.
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
            f"{len(train):,} training images with every digit on both sides ({error})"
        ) from error
    return train.select(np.sort(kept)), train.select(np.sort(validation))


def describe(
    dataset: Dataset, train: LabelledImages, validation: LabelledImages, validated_on_test: bool
) -> DataDescription:
    """What was used: the content of the metrics file of the data."""
    return DataDescription(
        source=dataset.source,
        title=dataset.title,
        note=dataset.note,
        counts=ImageCounts(train=len(train), validation=len(validation), test=len(dataset.test)),
        sha256=dict(dataset.sha256),
        validated_on_test=validated_on_test,
    )


def images_sha256(samples: LabelledImages) -> str:
    """SHA-256 of the images' pixels (hexadecimal): what an event list was made from."""
    return hashlib.sha256(np.ascontiguousarray(samples.images).data).hexdigest()


def save_images(path: str | os.PathLike[str], samples: LabelledImages) -> None:
    """Write images, labels and index to an .npz file, atomically and deterministically."""
    IMAGES.write(path, {"images": samples.images, "labels": samples.labels, "index": samples.index})


def load_images(path: str | os.PathLike[str]) -> LabelledImages:
    """Read a file of `save_images`; one that is missing, damaged or another: ArtifactError."""
    arrays = IMAGES.read(path)
    return LabelledImages(arrays["images"], arrays["labels"], arrays["index"])
