"""The IDX file format of MNIST, and a data set in four such files, possibly gzipped.

The format is described at the end of the data set's page, Y. LeCun, C. Cortes and
C. J. C. Burges, "The MNIST database of handwritten digits" (1998): two zero bytes, a
byte for the type (8 = unsigned byte), a byte for the number of dimensions, each
dimension as a big-endian 32-bit number, and then the elements in C order.

A data set is recognised by the SHA-256 of its content, not by its path or name.
"""

import gzip
import hashlib
import logging
import math
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError
from spikejoule.core.store import reading
from spikejoule.data.dataset import Dataset
from spikejoule.data.images import LabelledImages
from spikejoule.data.subject import DIGITS, Subject

logger = logging.getLogger(__name__)

MAX_ELEMENTS = 2**31
"""Most bytes that are read of a file: 45 times those of MNIST."""

MNIST_SHA256 = {
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
}


def read_idx(path: Path, n_dimensions: int) -> tuple[NDArray[np.uint8], str]:
    """Read an IDX file of unsigned bytes, gzipped if its name ends in .gz.

    Returns the array, of `n_dimensions` dimensions, and the SHA-256 (hexadecimal) of
    the uncompressed content. Raises DataError for a missing, damaged, too large or
    other file.
    """
    magic = bytes((0, 0, 8, n_dimensions))  # 8: unsigned bytes
    with reading(path, DataError) as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        header = stream.read(4 + 4 * n_dimensions)
        shape = struct.unpack(f">{n_dimensions}I", header[4:])
        content = stream.read(min(math.prod(shape), MAX_ELEMENTS) + 1)
    if header[:4] != magic:
        raise DataError(
            f"{path} must be an IDX file of unsigned bytes in {n_dimensions} "
            f"dimension(s), which begins with the bytes {magic.hex(' ')}."
        )
    if len(content) != math.prod(shape):
        sizes = " x ".join(map(str, shape))
        raise DataError(
            f"{path}: its header announces {sizes} bytes, but the file has fewer or "
            "more."
        )
    elements = np.frombuffer(content, dtype=np.uint8).reshape(shape).copy()
    return elements, hashlib.sha256(header + content).hexdigest()


def load_directory(directory: Path) -> Dataset:
    """Read the four IDX files of a directory, each plain or gzipped, as digits."""
    train, test, sha256 = read_directory(directory)
    counts = f"{len(train):,} training and {len(test):,} test images"
    if sha256 == MNIST_SHA256:
        note = "The full MNIST, known by its SHA-256."
        return Dataset("mnist", f"MNIST ({counts})", note, sha256, train, test)
    note = f"{counts} that are not MNIST: figures cannot be compared with MNIST's."
    logger.warning("the images in %s: %s", directory, note)
    return Dataset(
        "directory",
        f"IDX directory {directory.name} (not MNIST)",
        note,
        sha256,
        train,
        test,
    )


def read_directory(
    directory: Path, subject: Subject = DIGITS
) -> tuple[LabelledImages, LabelledImages, dict[str, str]]:
    """Read training and test images of four IDX files, and the files' SHA-256 by name.

    Raises:
        DataError: a file is missing or damaged, or a label is not one of the subject's
            classes.
    """
    try:
        present = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise DataError(
            f"data.source: {directory} cannot be read: {error.strerror}."
        ) from error
    files = {
        name: directory / file
        for name in MNIST_SHA256
        for file in (f"{name}.gz", name)
        if file in present
    }
    missing = [name for name in MNIST_SHA256 if name not in files]
    if missing:
        raise DataError(
            f"{directory} must hold four IDX files, each plain or as .gz, but lacks "
            f"{', '.join(missing)}."
        )
    sha256: dict[str, str] = {}
    parts: dict[str, LabelledImages] = {}
    for part in ("train", "t10k"):
        images_name = f"{part}-images-idx3-ubyte"
        labels_name = f"{part}-labels-idx1-ubyte"
        images, sha256[images_name] = read_idx(files[images_name], 3)
        labels, sha256[labels_name] = read_idx(files[labels_name], 1)
        index = np.arange(len(labels), dtype=np.int64)
        parts[part] = LabelledImages(images, labels, index, subject)
        parts[part].check(directory / images_name)
    train = parts["train"]
    test = parts["t10k"]
    if train.shape != test.shape:
        raise DataError(
            f"{directory}: images must all have one size, but training images have "
            f"{train.shape} pixels and test images {test.shape}."
        )
    return train, test, sha256
