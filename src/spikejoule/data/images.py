"""Images with their labels, and their file.

Shapes: N samples, images of H x W pixels.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError, check
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.core.store import FilePath
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


def load_images(path: FilePath) -> LabelledImages:
    """Read a file of images; ArtifactError if it is missing, damaged or another."""
    arrays = IMAGES.read(path)
    return LabelledImages(
        arrays["images"], arrays["labels"], arrays["index"], subject_of(arrays)
    )
