"""Kuzushiji-MNIST by download, once: cursive Japanese in MNIST's form."""

from typing import ClassVar

from spikejoule.data.source import IdxSource
from spikejoule.data.subject import Subject


class Kmnist(IdxSource):
    """60,000 characters to train, 10,000 to test."""

    name: ClassVar = "kmnist"
    reference: ClassVar = "Clanuwat et al. 2018, arXiv:1812.01718"
    title: ClassVar = "Kuzushiji-MNIST"
    address: ClassVar = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
    md5: ClassVar = {
        "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
    }
    subject: ClassVar = Subject(
        "character", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    )
