"""Data sets of four IDX files that torchvision downloads and that have MNIST's form."""

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spikejoule.core.errors import DataError
from spikejoule.data.download import md5_of, run_download
from spikejoule.data.idx_directory import read_directory
from spikejoule.data.images import Dataset
from spikejoule.data.subject import Subject

logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class TorchvisionSet:
    """One of these sets.

    Attributes:
        source: its name as `data.source`.
        title: what people call it.
        torchvision_class: in `torchvision.datasets`.
        address: where torchvision downloads it from.
        md5: of each of the four files, compressed, as torchvision states it.
        subject: what it shows.
    """

    source: str
    title: str
    torchvision_class: str
    address: str
    md5: Mapping[str, str]
    subject: Subject


def load_torchvision_set(of: TorchvisionSet, cache: Path) -> Dataset:
    """The set from `cache`, after a download if it is not there whole; checksums are compared.

    Raises:
        DataError: it cannot be had, or is damaged.
    """
    if _wrong(of, cache):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                dir=cache, prefix=".partial-", ignore_cleanup_errors=True
            ) as folder:
                _download(of, Path(folder), cache)
        except OSError as error:
            raise DataError(
                f"data.source: {of.source} cannot be stored in {cache}: {error.strerror or error}."
            ) from error
    train, test, sha256 = read_directory(cache, of.subject)
    counts = f"{len(train):,} training and {len(test):,} test images"
    return Dataset(
        of.source,
        f"{of.title} ({counts})",
        f"{of.title}, known by its checksums: figures cannot be compared with MNIST's.",
        sha256,
        train,
        test,
    )


def _download(of: TorchvisionSet, folder: Path, cache: Path) -> None:
    logger.info("downloading %s into %s", of.title, cache)
    advice = (
        f"torchvision has it from {of.address}; without a network, put {', '.join(of.md5)} into "
        f"{cache}"
    )
    command = download_command(folder, of.torchvision_class)
    run_download(command, DOWNLOAD_TIMEOUT_SECONDS, of.source, advice)
    raw = folder / of.torchvision_class / "raw"
    wrong = _wrong(of, raw)
    if wrong:
        raise DataError(
            f"data.source: the downloaded {', '.join(wrong)} must have the MD5 of {of.title}'s "
            "files, but have another."
        )
    for name in of.md5:
        os.replace(raw / name, cache / name)


def download_command(folder: Path, torchvision_class: str) -> list[str]:
    """The program that lets torchvision fill a folder."""
    return [sys.executable, "-m", "spikejoule.data.mnist_download", str(folder), torchvision_class]


def _wrong(of: TorchvisionSet, folder: Path) -> list[str]:
    """The files that a folder lacks or holds with another content."""
    return [
        name
        for name, md5 in of.md5.items()
        if not (folder / name).is_file() or md5_of(folder / name) != md5
    ]
