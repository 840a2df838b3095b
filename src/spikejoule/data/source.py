"""What a source of samples is."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from spikejoule.core.parameters import Kind
from spikejoule.data.images import Dataset


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
