"""The images that are measured on: real MNIST, and nothing else unless asked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.data.idx_directory import load_directory
from spikejoule.data.images import DataDescription, LabelledImages, load_images

IMAGES = ArrayFile(
    "spikejoule/benchmark-images/1",
    {
        "train_images": Array("uint8", ("N", 28, 28)),
        "train_labels": Array("uint8", ("N",)),
        "test_images": Array("uint8", ("M", 28, 28)),
        "test_labels": Array("uint8", ("M",)),
    },
)
PREPARED = ("data/train.npz", "data/validation.npz", "data/test.npz", "metrics/data.json")


def load_benchmark_images(
    project_root: Path, environment: Mapping[str, str], allow_small: bool
) -> tuple[LabelledImages, LabelledImages, str]:
    """Training images, test images, and the title of the data.

    From the directory in `$MNIST_DIR`, else what the stage `prepare` wrote (its training and
    validation split together). Raises DataError for anything but the full MNIST, unless
    `allow_small`.
    """
    directory = environment.get("MNIST_DIR")
    if directory:
        dataset = load_directory(project_root / Path(directory).expanduser())
        train, test, source, title = dataset.train, dataset.test, dataset.source, dataset.title
    else:
        train, test, source, title = _prepared(project_root)
    if source != "mnist" and not allow_small:
        raise DataError(
            f"the benchmark is measured on the full MNIST, but the data are {title!r}: set "
            "MNIST_DIR to a directory of its four files, or pass --allow-small for a trial run."
        )
    return train, test, title


def store(path: Path, train: LabelledImages, test: LabelledImages) -> None:
    """Write both sets to one uncompressed file, from which every measuring process reads."""
    arrays = {
        "train_images": train.images,
        "train_labels": train.labels,
        "test_images": test.images,
        "test_labels": test.labels,
    }
    IMAGES.write(path, arrays)


def restore(path: Path) -> dict[str, np.ndarray]:
    """Read a file of `store`; raises ArtifactError if it is another."""
    return IMAGES.read(path)


def _prepared(project_root: Path) -> tuple[LabelledImages, LabelledImages, str, str]:
    files = [project_root / name for name in PREPARED]
    missing = [name for name, file in zip(PREPARED, files, strict=True) if not file.is_file()]
    if missing:
        raise DataError(
            f"the benchmark needs MNIST: set MNIST_DIR to a directory of its four files, or run "
            f"`make repro` first ({', '.join(missing)} missing)."
        )
    train, validation, test = (load_images(file) for file in files[:3])
    description = DataDescription.read(files[3])
    parts = [train] if description.validated_on_test else [train, validation]
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index, kind="stable")
    whole = LabelledImages(
        np.concatenate([part.images for part in parts])[order],
        np.concatenate([part.labels for part in parts])[order],
        index[order],
    )
    return whole, test, description.source, description.title


def project_root() -> Path:
    """The folder that holds `benchmarks`."""
    return Path(__file__).resolve().parents[1]
