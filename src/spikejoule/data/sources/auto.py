"""The first available of: the user's MNIST directory, the download, 5,000 digits."""

import logging
from typing import ClassVar

from spikejoule.core.errors import DataError
from spikejoule.data.dataset import Dataset
from spikejoule.data.idx import load_directory
from spikejoule.data.source import Places, Source
from spikejoule.data.sources.mnist import Mnist
from spikejoule.data.sources.mnist5k import Mnist5k

logger = logging.getLogger(__name__)


_BANNER = """ONLY 5,000 DIGITS, NOT THE FULL MNIST
The run continues with mnist5k: 4,000 training and 1,000 test images. Its
accuracies and spike counts cannot be compared with figures for MNIST's 60,000 and
10,000. For the full MNIST, set MNIST_DIR to a directory that holds its four files and
run `dvc repro --force prepare`, or name the directory as data.source in params.yaml."""


class Auto(Source):
    """`Places.mnist_directory` if given, else the download, else mnist5k.

    A given directory that is unusable is an error; falling back to mnist5k warns.
    """

    reference: ClassVar = "one of the others"

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        if places.mnist_directory:
            return load_directory(places.resolved(places.mnist_directory))
        try:
            return Mnist().load(places)
        except DataError as error:
            frame = "#" * 88
            logger.warning("\n%s\n%s\nReason: %s\n%s", frame, _BANNER, error, frame)
            return Mnist5k().load(places)
