"""What a source of images is."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from spikejoule.data.images import Dataset
from spikejoule.foundation.sections import Kind


@dataclass(frozen=True)
class Places:
    """Where a source may look, and where it may keep what it fetched.

    Attributes:
        project_root: what relative directories lie in.
        cache: for downloads; made when it is needed.
        mnist_directory: of the four IDX files of MNIST, if the user named one.
    """

    project_root: Path
    cache: Path
    mnist_directory: str | None = None

    def resolved(self, directory: str) -> Path:
        """The path of a directory that a user named."""
        return self.project_root / Path(directory).expanduser()


class Source(Kind):
    """A source of images; each is one file of :mod:`spikejoule.data.sources`."""

    @abstractmethod
    def load(self, places: Places) -> Dataset:
        """The data set.

        Raises:
            DataError: it cannot be had, or is damaged.
        """
