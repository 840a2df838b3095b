"""MNIST by download, with torchvision, once.

Source of the data: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
to document recognition", Proc. IEEE 86(11), 1998, https://doi.org/10.1109/5.726791.
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import ClassVar

from spikejoule.core.errors import DataError
from spikejoule.data.download import run_download
from spikejoule.data.idx_directory import MNIST_SHA256, load_directory
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, Source
from spikejoule.data.torchvision_sets import download_command

logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT_SECONDS = 900.0


class Mnist(Source):
    """The full MNIST: 60,000 digits to train, 10,000 to test."""

    name: ClassVar = "mnist"
    reference: ClassVar = "LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791"

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        return load_mnist(places.cache)


def load_mnist(cache: Path) -> Dataset:
    """Return MNIST from `cache`, after a download by torchvision if it is not there whole.

    The files enter the cache only after torchvision's checksums and their SHA-256 are found right.
    """
    if all((cache / f"{name}.gz").is_file() for name in MNIST_SHA256):
        try:
            dataset = load_directory(cache)
        except DataError as error:
            logger.warning("the cached MNIST is damaged and is downloaded again: %s", error)
        else:
            if dataset.source == "mnist":
                return dataset
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=cache, prefix=".partial-", ignore_cleanup_errors=True
        ) as folder:
            return _download_mnist(Path(folder), cache)
    except OSError as error:
        raise DataError(
            f"data.source: mnist cannot be stored in {cache}: {error.strerror or error}."
        ) from error


def _download_mnist(folder: Path, cache: Path) -> Dataset:
    logger.info("downloading MNIST (11 MB) into %s", cache)
    run_download(
        _download_command(folder),
        DOWNLOAD_TIMEOUT_SECONDS,
        "mnist",
        "without a network use mnist5k or a directory of the four IDX files",
    )
    raw = folder / "MNIST" / "raw"
    dataset = load_directory(raw)
    if dataset.source != "mnist":
        wrong = [name for name in MNIST_SHA256 if dataset.sha256[name] != MNIST_SHA256[name]]
        raise DataError(
            f"data.source: the downloaded {', '.join(wrong)} must have the SHA-256 of MNIST's "
            "files, but have another."
        )
    for name in MNIST_SHA256:
        os.replace(raw / f"{name}.gz", cache / f"{name}.gz")
    return dataset


def _download_command(folder: Path) -> list[str]:
    return download_command(folder, "MNIST")
