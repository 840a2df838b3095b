"""What a source of samples is, and what sources have in common: downloads, files of the
user's own.

A source of images in MNIST's form states where its four IDX files are; one of a
sensor's events is read once in its own format, and kept as event files.
"""

import logging
import zipfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.parameters import Kind
from spikejoule.data.events import (
    EventBlock,
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
    open_event_file,
    write_event_file,
)
from spikejoule.data.idx import read_directory
from spikejoule.data.images import Dataset
from spikejoule.data.subject import Subject

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 15.0)
"""To reach a server, and for each of its answers."""

Sample = tuple[NDArray[np.uint32], NDArray[np.uint16], int]
"""Times in microseconds, units, label."""

_BLOCK_SAMPLES = 256


@dataclass(frozen=True)
class Places:
    """Where a source may look, and where it may keep what it fetched.

    Attributes:
        project_root: what relative directories lie in.
        cache: for the download of MNIST; made when it is needed. Others lie beside it.
        mnist_directory: of the four IDX files of MNIST, if the user named one.
    """

    project_root: Path
    cache: Path
    mnist_directory: str | None = None

    def resolved(self, path: str) -> Path:
        """The path of a directory or file that a user named."""
        return self.project_root / Path(path).expanduser()

    def kept(self, source: str) -> Path:
        """The folder of a source's downloads."""
        return self.cache.with_name(source)


class Source(Kind):
    """A source of samples; each is one file of :mod:`spikejoule.data.sources`.

    Attributes:
        gives: ``images``, or ``events`` that need no encoder.
    """

    gives: ClassVar[Literal["images", "events"]] = "images"

    @abstractmethod
    def load(self, places: Places) -> Dataset:
        """The data set.

        Raises:
            DataError: it cannot be had, or is damaged.
        """


def fetch(url: str, path: Path, md5: str, source: str, files: str) -> None:
    """Download a file, unless `path` is that file already.

    Args:
        url: where it is.
        path: where it goes; nothing is there before its checksum is found right.
        md5: its checksum, as the publishers of data sets state it.
        source: which `data.source` asks, for messages.
        files: names of all that the source needs, which a user without a network puts
            there.

    Raises:
        DataError: it cannot be had, or is another file; the sentence names the address.
    """
    # Here and not above: a training does not need it.
    import pooch

    host = urlsplit(url).netloc
    pooch.get_logger().setLevel(logging.WARNING)
    if not path.is_file():
        logger.info("downloading %s from %s into %s", path.name, host, path.parent)
    try:
        pooch.retrieve(
            url,
            f"md5:{md5}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS),
        )
    except (OSError, ValueError) as error:  # of network and disk, and of the checksum
        reason = " ".join(str(error).split())
        raise DataError(
            f"data.source: {source} could not be downloaded from {host} into "
            f"{path.parent} "
            f"({reason}); without a network, put {files} into {path.parent}."
        ) from error


class IdxSource(Source):
    """A data set in MNIST's form by download, once.

    Attributes:
        title: what people call it.
        published: the class of `torchvision.datasets` that knows the address and the
            checksums of its four files, gzipped.
        subject: what it shows.
    """

    title: ClassVar[str]
    published: ClassVar[str]
    subject: ClassVar[Subject]

    def fetch_into(self, cache: Path) -> None:
        """Fetch the files that a folder lacks or holds with another content; as of
        `fetch`.
        """
        # Here and not above: PyTorch comes with it.
        from torchvision import datasets

        published = getattr(datasets, self.published)
        files = dict(published.resources)
        for name, md5 in files.items():
            fetch(
                published.mirrors[0] + name,
                cache / name,
                md5,
                self.name,
                ", ".join(files),
            )

    def load(self, places: Places) -> Dataset:
        """See :meth:`Source.load`."""
        self.fetch_into(places.kept(self.name))
        train, test, sha256 = read_directory(places.kept(self.name), self.subject)
        counts = f"{len(train):,} training and {len(test):,} test images"
        note = (
            f"{self.title}, known by its checksums: figures cannot be compared "
            "with MNIST's."
        )
        return Dataset(self.name, f"{self.title} ({counts})", note, sha256, train, test)


class SensorSource(Source):
    """A published set of events: read once in its own format, and kept as event files.

    Attributes:
        setting: what all samples share.
        downloads: of each part its address, the name of its archive, and its MD5.
        note: what is to be known of the set.
    """

    gives = "events"

    setting: ClassVar[EventSetting]
    downloads: ClassVar[Mapping[str, tuple[str, str, str]]]
    note: ClassVar[str]

    @abstractmethod
    def samples(self, archive: zipfile.ZipFile) -> Iterator[Sample]:
        """The samples of a part, whose archive has the checksum that its publishers
        state.
        """

    def load(self, places: Places) -> Dataset:
        """See :meth:`Source.load`."""
        cache = places.kept(self.name)
        names = " and ".join(name for _, name, _ in self.downloads.values())
        for url, name, md5 in self.downloads.values():
            fetch(url, cache / name, md5, self.name, names)
        try:
            parts = _kept(cache, self.downloads)
        except ArtifactError:
            for part, (_, name, _) in self.downloads.items():
                write_event_file(
                    cache / f"{part}.npz", self.setting, self._read(cache / name)
                )
            parts = _kept(cache, self.downloads)
        train = parts["train"]
        test = parts["test"]
        title = (
            f"{self.setting.title} ({len(train):,} training and {len(test):,} "
            "test samples)"
        )
        sha256 = {f"{part}-events": events.sha256 for part, events in parts.items()}
        return Dataset(self.name, title, self.note, sha256, train, test)

    def _read(self, place: Path) -> Iterator[EventBlock]:
        """What an archive holds, some samples at a time."""
        with zipfile.ZipFile(place) as archive:
            samples = self.samples(archive)
            while some := list(islice(samples, _BLOCK_SAMPLES)):
                times, units, labels = zip(*some, strict=True)
                offsets = offsets_of(np.array([len(each) for each in times]))
                events = EventSamples(
                    np.concatenate(times), np.concatenate(units), offsets
                )
                yield EventBlock(events, np.array(labels))


def _kept(folder: Path, parts: Iterable[str]) -> dict[str, LabelledEvents]:
    """The event files of a folder; ArtifactError if one is missing or damaged."""
    return {part: open_event_file(folder / f"{part}.npz") for part in parts}
