"""The data set that `data.source` asks for."""

from contextlib import suppress

from spikejoule.data.idx_directory import load_directory
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places
from spikejoule.data.sources import SOURCES
from spikejoule.foundation.errors import DataError


def load_dataset(source: str, places: Places) -> Dataset:
    """The data set of a source.

    Args:
        source: a name of `SOURCES`, or a directory of the four IDX files (each plain or .gz; a
            relative one lies in the project's root).
        places: where sources look.

    Raises:
        DataError: it cannot be had, or is damaged.
    """
    if source in SOURCES:
        return SOURCES[source]().load(places)
    directory = places.resolved(source)
    with suppress(OSError):  # reading it says why
        if not directory.is_dir():
            raise DataError(
                f"data.source: {directory} is not a directory; allowed: {', '.join(SOURCES)}, or a "
                "directory of the four IDX files."
            )
    return load_directory(directory)
