"""Published sets of events: read once in their own format, and kept as event files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.parameters import Line
from spikejoule.data.event_file import EventBlock, EventSetting, write_event_file
from spikejoule.data.events import LabelledEvents
from spikejoule.data.images import Dataset
from spikejoule.data.source import Places, Source

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")


class FileSource(Source):
    """A source of events that may be in files of the user's own.

    Attributes:
        files: where they are; None for a download.
    """

    gives = "events"

    files: Line | None = Field(
        default=None,
        description="null, or the path of a directory (n_mnist, shd) or of an event file (events)",
    )


def kept_or_written(
    folder: Path, parts: Mapping[Part, Iterable[EventBlock]], setting: EventSetting, anew: bool
) -> dict[Part, LabelledEvents]:
    """The event files `train.npz` and `test.npz` of a folder; written if they are not there.

    Args:
        folder: made if it is needed.
        parts: the samples, read only if they are written.
        setting: what all of them share.
        anew: whether to write them in any case.
    """
    paths = {part: folder / f"{part}.npz" for part in PARTS}
    if not anew:
        try:
            return {part: LabelledEvents.load(path) for part, path in paths.items()}
        except ArtifactError:
            pass  # missing or damaged: written now
    for part, path in paths.items():
        try:
            write_event_file(path, setting, parts[part])
        except ArtifactError as error:
            raise DataError(f"data.source: {error}") from error
    return {part: LabelledEvents.load(path) for part, path in paths.items()}


def as_dataset(source: str, title: str, note: str, parts: Mapping[Part, LabelledEvents]) -> Dataset:
    """The data set of training and test events; its title says how many there are."""
    train, test = parts["train"], parts["test"]
    return Dataset(
        source,
        f"{title} ({len(train):,} training and {len(test):,} test samples)",
        note,
        {f"{part}-events": events.sha256 for part, events in parts.items()},
        train,
        test,
    )


def of_files(title: str, directory: Path) -> tuple[str, str, str]:
    """Source, title and note of files of the user's own, whose checksums nobody published."""
    return (
        "directory",
        f"{title} files of {directory.name}",
        f"Files in the format of {title}, not known to be the published ones: figures cannot be "
        "compared with those of others.",
    )


def given_directory(places: Places, files: str, source: str) -> Path:
    """The directory that a user named; DataError if it is none."""
    directory = places.resolved(files)
    if not directory.is_dir():
        raise DataError(
            f"data.files: {files} is not a directory; with data.source {source} it must be one of "
            "the official files, or null for the download."
        )
    return directory
