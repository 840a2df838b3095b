"""The interface of a source of samples, and what downloads have in common.

A source of images in MNIST's form states where its four IDX files are. A source of a
sensor's events converts its download once, and keeps event files.
"""

import logging
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.parameters import Kind
from spikejoule.data.dataset import Dataset
from spikejoule.data.events import (
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
    open_event_file,
)
from spikejoule.data.idx import read_directory
from spikejoule.data.subject import Subject

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 15.0)
"""To reach a server, and for each of its answers."""


@dataclass(frozen=True)
class Places:
    """Where a source may look for files, and where it may store downloads.

    Attributes:
        project_root: relative directories are in it.
        cache: folder of the MNIST download; other downloads are beside it.
        mnist_directory: folder of MNIST's four IDX files, if the user named one.
    """

    project_root: Path
    cache: Path
    mnist_directory: str | None = None

    def resolved(self, path: str) -> Path:
        """Return the path of a directory or file that a user named."""
        return self.project_root / Path(path).expanduser()

    def kept(self, source: str) -> Path:
        """Return the folder of a source's downloads."""
        return self.cache.with_name(source)


class Source(Kind):
    """A source of samples; each is one file of :mod:`spikejoule.data.sources`.

    Attributes:
        gives: ``images``, or ``events``, which need no encoder.
        note: what users of its figures should know; empty for nothing.
    """

    gives: ClassVar[Literal["images", "events"]] = "images"
    note: ClassVar[str] = ""

    @abstractmethod
    def load(self, places: Places) -> Dataset:
        """Load the data set.

        Raises:
            DataError: it cannot be obtained, or is damaged.
        """


class Download(NamedTuple):
    """A published file: its address, its name here, and its MD5."""

    url: str
    name: str
    md5: str


def fetch(download: Download, folder: Path, source: str, files: str) -> None:
    """Download a file into a folder, unless the same file is there.

    Args:
        download: the file; it appears in the folder only if its checksum matches.
        folder: created if missing.
        source: name of the `data.source`, for messages.
        files: names of all files that the source needs, for users without a network.

    Raises:
        DataError: it cannot be downloaded, or its checksum differs.
    """
    # Imported here: training does not need it.
    import pooch

    host = urlsplit(download.url).netloc
    pooch.get_logger().setLevel(logging.WARNING)
    if not (folder / download.name).is_file():
        logger.info("downloading %s from %s into %s", download.name, host, folder)
    try:
        pooch.retrieve(
            download.url,
            f"md5:{download.md5}",
            fname=download.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS),
        )
    except (OSError, ValueError) as error:  # network and disk; the checksum
        reason = " ".join(str(error).split())
        raise DataError(
            f"data.source: {source} could not be downloaded from {host} into {folder} "
            f"({reason}); without a network, put {files} into {folder}."
        ) from error


class IdxSource(Source):
    """A downloaded data set in MNIST's form.

    Attributes:
        title: its name for people.
        published: the class of `torchvision.datasets` that knows the addresses and
            checksums of its four gzipped files.
        subject: what it shows.
    """

    title: ClassVar[str]
    published: ClassVar[str]
    subject: ClassVar[Subject]

    def fetch_into(self, cache: Path) -> None:
        """Download the files that are missing or differ; errors as for `fetch`."""
        # Imported here: it imports PyTorch.
        from torchvision import datasets

        published = getattr(datasets, self.published)
        files = dict(published.resources)
        for name, md5 in files.items():
            download = Download(published.mirrors[0] + name, name, md5)
            fetch(download, cache, self.name, ", ".join(files))

    def load(self, places: Places) -> Dataset:
        """See :meth:`Source.load`."""
        folder = places.kept(self.name)
        self.fetch_into(folder)
        train, test, sha256 = read_directory(folder, self.subject)
        counts = f"{len(train):,} training and {len(test):,} test images"
        note = (
            f"{self.title}, known by its checksums: figures cannot be compared "
            "with MNIST's."
        )
        return Dataset(self.name, f"{self.title} ({counts})", note, sha256, train, test)


class SensorSample(NamedTuple):
    """A sample: times in microseconds, units, label."""

    times: NDArray[np.uint32]
    units: NDArray[np.uint16]
    label: int


class SensorSource(Source):
    """A published set of events, converted once to event files.

    Attributes:
        setting: what all samples share.
        downloads: the archives of ``train`` and ``test``.
    """

    gives = "events"

    setting: ClassVar[EventSetting]
    downloads: ClassVar[Mapping[str, Download]]

    @abstractmethod
    def samples(self, archive: zipfile.ZipFile) -> Iterator[SensorSample]:
        """Yield the samples of an archive whose checksum has been verified."""

    def load(self, places: Places) -> Dataset:
        """See :meth:`Source.load`."""
        cache = places.kept(self.name)
        names = " and ".join(download.name for download in self.downloads.values())
        for download in self.downloads.values():
            fetch(download, cache, self.name, names)
        train = self._part(cache, "train")
        test = self._part(cache, "test")
        title = (
            f"{self.setting.title} ({len(train):,} training and {len(test):,} "
            "test samples)"
        )
        sha256 = {"train-events": train.sha256, "test-events": test.sha256}
        return Dataset(self.name, title, self.note, sha256, train, test)

    def _part(self, cache: Path, part: str) -> LabelledEvents:
        """Read the event file of a part, or make it from the archive."""
        file = cache / f"{part}.npz"
        try:
            return open_event_file(file)
        except ArtifactError:  # missing or damaged
            with zipfile.ZipFile(cache / self.downloads[part].name) as archive:
                samples = list(self.samples(archive))
        events = EventSamples(
            np.concatenate([sample.times for sample in samples]),
            np.concatenate([sample.units for sample in samples]),
            offsets_of(np.array([sample.times.size for sample in samples])),
        )
        labels = np.array([sample.label for sample in samples], dtype=np.uint8)
        made = LabelledEvents(events, labels, np.arange(len(samples)), self.setting)
        made.save(file)
        return made
