"""Kuzushiji-MNIST, downloaded once: cursive Japanese in MNIST's form."""

from typing import ClassVar

from spikejoule.data.source import IdxSource
from spikejoule.data.subject import Subject


class Kmnist(IdxSource):
    """60,000 characters to train, 10,000 to test."""

    reference: ClassVar = "Clanuwat et al. 2018, arXiv:1812.01718"
    title: ClassVar = "Kuzushiji-MNIST"
    published: ClassVar = "KMNIST"
    subject: ClassVar = Subject(
        "character", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    )
