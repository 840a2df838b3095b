"""Fashion-MNIST by download, once: pictures of clothes in MNIST's form."""

from typing import ClassVar

from spikejoule.data.source import IdxSource
from spikejoule.data.subject import Subject


class FashionMnist(IdxSource):
    """60,000 garments to train, 10,000 to test."""

    name: ClassVar = "fashion_mnist"
    reference: ClassVar = "Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747"
    title: ClassVar = "Fashion-MNIST"
    address: ClassVar = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    md5: ClassVar = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    subject: ClassVar = Subject(
        "garment",
        ("T-shirt/top", "trouser", "pullover", "dress", "coat",
         "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )  # fmt: skip
