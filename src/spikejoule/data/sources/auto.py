"""Whatever can be had: the directory that the user named, the download, or 5,000 digits."""

import logging
import textwrap
from typing import ClassVar

from spikejoule.core.errors import DataError
from spikejoule.data.idx import load_directory
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, Source
from spikejoule.data.sources.mnist import Mnist
from spikejoule.data.sources.mnist5k import load_mnist5k

logger = logging.getLogger(__name__)


class Auto(Source):
    """`Places.mnist_directory` if that is given, else the download, else mnist5k with a warning.

    A directory that was given but is unusable is an error: it is never passed over in silence.
    """

    name: ClassVar = "auto"
    reference: ClassVar = "one of the others"

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        if places.mnist_directory:
            return load_directory(places.resolved(places.mnist_directory))
        try:
            return Mnist().load(places)
        except DataError as error:
            logger.warning(_framed_warning(str(error)))
            return load_mnist5k()


def _framed_warning(reason: str) -> str:
    """A warning that nobody can overlook: these are 5,000 digits and not 60,000."""
    paragraphs = (
        "WARNING: ONLY 5,000 DIGITS, NOT THE FULL MNIST",
        reason,
        "The run continues with mnist5k: 4,000 training and 1,000 test images. Its accuracies and "
        "spike counts cannot be compared with figures for MNIST's 60,000 and 10,000.",
        "For the full MNIST, set MNIST_DIR to a directory that holds its four files and run "
        "`dvc repro --force prepare`, or name the directory as data.source in params.yaml.",
    )
    lines = [
        f"# {line:<84} #"
        for paragraph in paragraphs
        for line in (*textwrap.wrap(paragraph, 84, break_on_hyphens=False), "")
    ]
    return "\n".join(["", "#" * 88, *lines[:-1], "#" * 88])
