"""The images that are measured on: real MNIST, and nothing else unless asked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.data.idx import load_directory
from spikejoule.data.images import DataDescription, LabelledImages, load_images

ROOT = Path(__file__).resolve().parents[1]
"""The project's root, where the stages write."""

PREPARED = ("data/train.npz", "data/validation.npz", "data/test.npz", "metrics/data.json")


def load_benchmark_images(
    project_root: Path, environment: Mapping[str, str], allow_small: bool
) -> tuple[dict[str, np.ndarray], str]:
    """Arrays `{train,test}_{images,labels}`, uint8 [N, 28, 28] and [N], and the data's title.

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
    return {
        "train_images": train.images,
        "train_labels": train.labels,
        "test_images": test.images,
        "test_labels": test.labels,
    }, title


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
    images, labels, index = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("images", "labels", "index")
    )
    order = np.argsort(index, kind="stable")
    whole = LabelledImages(images[order], labels[order], index[order])
    return whole, test, description.source, description.title
