"""The benchmark's images: full MNIST, and other data only with `--allow-small`."""

import os
from pathlib import Path

import numpy as np

from spikejoule.core.errors import DataError
from spikejoule.data.source import Places
from spikejoule.data.sources import load_dataset

# The project's root, where the stages write.
ROOT = Path(__file__).resolve().parents[1]


def load_benchmark_images(allow_small: bool) -> tuple[dict[str, np.ndarray], str]:
    """Return the images and labels, and the title of the data.

    The arrays are `{train,test}_{images,labels}`, uint8 [N, 28, 28] and [N]. They come
    from `$MNIST_DIR`, or else from the download of `data.source: auto`.

    Raises:
        DataError: the data are not full MNIST, and `allow_small` is False.
    """
    places = Places(ROOT, ROOT / ".cache" / "mnist", os.environ.get("MNIST_DIR"))
    dataset = load_dataset("auto", places)
    if dataset.source != "mnist" and not allow_small:
        raise DataError(
            "the benchmark needs the full MNIST, but the data are "
            f"{dataset.title!r}: set MNIST_DIR to a directory with its four files, "
            "or pass --allow-small for a trial run."
        )
    arrays = {
        "train_images": dataset.train.images,
        "train_labels": dataset.train.labels,
        "test_images": dataset.test.images,
        "test_labels": dataset.test.labels,
    }
    return arrays, dataset.title
