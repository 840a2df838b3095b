"""Kuzushiji-MNIST by download, with torchvision, once: cursive Japanese in MNIST's form."""

from typing import ClassVar

from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, Source
from spikejoule.data.subject import Subject
from spikejoule.data.torchvision_sets import TorchvisionSet, load_torchvision_set

KMNIST = TorchvisionSet(
    source="kmnist",
    title="Kuzushiji-MNIST",
    torchvision_class="KMNIST",
    address="codh.rois.ac.jp",
    md5={
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    },
    subject=Subject("character", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
)


class Kmnist(Source):
    """60,000 characters to train, 10,000 to test."""

    name: ClassVar = "kmnist"
    reference: ClassVar = "Clanuwat et al. 2018, arXiv:1812.01718"

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        return load_torchvision_set(KMNIST, places.kept(self.name))
