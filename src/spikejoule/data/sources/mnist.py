"""MNIST by download, with torchvision, once.

Source of the data: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied
to document recognition", Proc. IEEE 86(11), 1998, https://doi.org/10.1109/5.726791.
"""

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from spikejoule.data.idx_directory import MNIST_SHA256, load_directory
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, Source
from spikejoule.foundation.errors import DataError

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
    try:
        done = subprocess.run(
            _download_command(folder),
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
            env=_environment_with_this_package(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            "data.source: mnist could not be downloaded within "
            f"{DOWNLOAD_TIMEOUT_SECONDS:g} seconds."
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1].rstrip(".")
        raise DataError(
            f"data.source: mnist could not be downloaded ({reason}); without a network use mnist5k "
            "or a directory of the four IDX files."
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
    return [sys.executable, "-m", "spikejoule.data.mnist_download", str(folder)]


def _environment_with_this_package(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a child process imports this very copy of the package."""
    here = str(Path(__file__).resolve().parents[3])
    inherited = environment.get("PYTHONPATH")
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join([here, inherited] if inherited else [here]),
    }
