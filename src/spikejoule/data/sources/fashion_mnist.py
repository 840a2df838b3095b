"""Fashion-MNIST, downloaded once: pictures of clothes in MNIST's form."""

from typing import ClassVar

from spikejoule.data.source import IdxSource
from spikejoule.data.subject import Subject


class FashionMnist(IdxSource):
    """60,000 garments to train, 10,000 to test."""

    reference: ClassVar = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747"
    title: ClassVar = "Fashion-MNIST"
    published: ClassVar = "FashionMNIST"
    subject: ClassVar = Subject(
        "garment",
        (
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    )
