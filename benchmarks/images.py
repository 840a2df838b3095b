"""The images that are measured on: real MNIST, and nothing else unless asked."""

import os
from pathlib import Path

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset

# The project's root, where the stages write.
ROOT = Path(__file__).resolve().parents[1]


def load_benchmark_images(allow_small: bool) -> tuple[dict[str, np.ndarray], str]:
    """Arrays `{train,test}_{images,labels}`, uint8 [N, 28, 28] and [N], and the data's
    title.

    From the directory in `$MNIST_DIR`, else the download of `data.source: auto`. Raises
    DataError for anything but the full MNIST, unless `allow_small`.
    """
    places = Places(ROOT, ROOT / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    dataset = load_dataset("auto", places)
    if dataset.source != "mnist" and not allow_small:
        raise DataError(
            "the benchmark is measured on the full MNIST, but the data are "
            f"{dataset.title!r}: set "
            "MNIST_DIR to a directory of its four files, or pass --allow-small for "
            "a trial run."
        )
    parts = {"train": dataset.train, "test": dataset.test}
    arrays = {f"{name}_images": part.images for name, part in parts.items()}
    return arrays | {
        f"{name}_labels": part.labels for name, part in parts.items()
    }, dataset.title
