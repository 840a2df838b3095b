"""MNIST, downloaded once.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based
learning applied to document recognition", Proc. IEEE 86(11), 1998,
https://doi.org/10.1109/5.726791.
"""

from typing import ClassVar

from spikejoule.data.dataset import Dataset
from spikejoule.data.idx import load_directory
from spikejoule.data.source import IdxSource, Places
from spikejoule.data.subject import DIGITS


class Mnist(IdxSource):
    """The full MNIST: 60,000 digits to train, 10,000 to test."""

    reference: ClassVar = "LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791"
    title: ClassVar = "MNIST"
    published: ClassVar = "MNIST"
    subject: ClassVar = DIGITS

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        self.fetch_into(places.cache)
        return load_directory(places.cache)
