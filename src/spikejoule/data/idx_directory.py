"""A data set in four IDX files, as MNIST has them.

A data set is known by the SHA-256 of its content, not by its path or the name it was asked for: a
directory with the four files of MNIST is MNIST, and nothing else is.
"""

import logging
from pathlib import Path

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.data.idx import read_idx
from spikejoule.data.images import Dataset, LabelledImages, check_images
from spikejoule.data.subject import DIGITS, Subject

logger = logging.getLogger(__name__)

MNIST_SHA256 = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}


def load_directory(directory: Path) -> Dataset:
    """Read the four IDX files of a directory, each plain or gzipped; they show digits."""
    train, test, sha256 = read_directory(directory)
    counts = f"{len(train):,} training and {len(test):,} test images"
    if sha256 == MNIST_SHA256:
        return Dataset(
            "mnist", f"MNIST ({counts})", "The full MNIST, known by its SHA-256.",
            sha256, train, test,
        )  # fmt: skip
    note = f"{counts} that are not MNIST: figures cannot be compared with MNIST's."
    logger.warning("the images in %s: %s", directory, note)
    return Dataset(
        "directory", f"IDX directory {directory.name} (not MNIST)", note, sha256, train, test
    )


def read_directory(
    directory: Path, subject: Subject = DIGITS
) -> tuple[LabelledImages, LabelledImages, dict[str, str]]:
    """Training and test images of the four IDX files, and the SHA-256 of each by its name.

    Raises:
        DataError: a file is missing or damaged, or holds other classes than those of the subject.
    """
    try:
        is_directory = directory.is_dir()
    except OSError as error:
        raise DataError(f"data.source: {directory} cannot be read: {error.strerror}.") from error
    if not is_directory:
        raise DataError(f"data.source: {directory} is not a directory.")
    files = {name: _idx_file(directory, name) for name in sorted(MNIST_SHA256)}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise DataError(
            f"{directory} must hold four IDX files, each plain or as .gz, but lacks "
            f"{', '.join(missing)}."
        )
    sha256: dict[str, str] = {}
    parts: dict[str, LabelledImages] = {}
    for part in ("train", "t10k"):
        images_name, labels_name = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        images, sha256[images_name] = read_idx(_present(files[images_name]), 3)
        labels, sha256[labels_name] = read_idx(_present(files[labels_name]), 1)
        check_images(images, labels, directory / images_name, subject)
        index = np.arange(len(labels), dtype=np.int64)
        parts[part] = LabelledImages(images, labels, index, subject)
    train, test = parts["train"], parts["t10k"]
    if train.shape != test.shape:
        raise DataError(
            f"{directory}: images must all have one size, but those to train have {_size(train)} "
            f"pixels and those of the test {_size(test)}."
        )
    return train, test, sha256


def _size(images: LabelledImages) -> str:
    return " x ".join(map(str, images.shape))


def _idx_file(directory: Path, name: str) -> Path | None:
    candidates = (directory / name, directory / f"{name}.gz")
    return next((file for file in candidates if file.is_file()), None)


def _present(file: Path | None) -> Path:
    assert file is not None
    return file
