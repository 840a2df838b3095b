"""MNIST by download, once.

Source of the data: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
to document recognition", Proc. IEEE 86(11), 1998, https://doi.org/10.1109/5.726791.
"""

from contextlib import suppress
from typing import ClassVar

from spikejoule.core.errors import DataError
from spikejoule.data.idx import load_directory
from spikejoule.data.images import Dataset
from spikejoule.data.source import IdxSource, Places
from spikejoule.data.subject import DIGITS


class Mnist(IdxSource):
    """The full MNIST: 60,000 digits to train, 10,000 to test."""

    name: ClassVar = "mnist"
    reference: ClassVar = "LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791"
    title: ClassVar = "MNIST"
    published: ClassVar = "MNIST"
    subject: ClassVar = DIGITS

    def load(self, places: Places) -> Dataset:
        """The files in the cache, if what they hold is MNIST, however packed; else the download."""
        with suppress(DataError):  # missing or damaged: downloaded now
            kept = load_directory(places.cache)
            if kept.source == self.name:
                return kept
        self.fetch_into(places.cache)
        return load_directory(places.cache)
