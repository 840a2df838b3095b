"""The sources, one file each; `data.source` chooses one, or names a directory."""

from spikejoule.core.errors import DataError
from spikejoule.core.parameters import Kinds
from spikejoule.data.dataset import Dataset
from spikejoule.data.idx import load_directory
from spikejoule.data.source import Places, Source

SOURCES: Kinds[Source] = Kinds("source", Source, __name__)


def data_sentence(source: str) -> str:
    """Name the data behind a table of runs, with what its readers should know."""
    note = SOURCES[source].note if source in SOURCES else ""
    return f"Data: {source}. {note}".rstrip()


def load_dataset(
    source: Source | str, places: Places, asked_by: str = "data.source"
) -> Dataset:
    """Load the data set of a source.

    Args:
        source: one of `SOURCES` or its name, or a directory of four IDX files (each
            plain or .gz; a relative one is in `places.project_root`).
        places: where sources look for files.
        asked_by: the parameter or option that names the source, for messages.

    Raises:
        DataError: it cannot be obtained, or is damaged.
    """
    if isinstance(source, Source):
        return source.load(places)
    if source in SOURCES:
        return SOURCES[source]().load(places)
    directory = places.resolved(source)
    if not directory.is_dir():
        raise DataError(
            f"{asked_by}: {directory} is not a directory; allowed: "
            f"{', '.join(SOURCES)}, or a directory of four IDX files."
        )
    return load_directory(directory)
