"""An event file of the user; `docs/reference/event-files.md` states the format."""

import hashlib
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.parameters import Line
from spikejoule.data.dataset import Dataset
from spikejoule.data.events import LabelledEvents, open_event_file
from spikejoule.data.source import Places, Source


class Events(Source):
    """The file that `data.files` names; its `n_train` says which samples are for tests.

    Attributes:
        files: its path.
    """

    reference: ClassVar = "the user's own"
    gives = "events"

    files: Line | None = Field(
        default=None, description="null, or the path of an event file"
    )

    def load(self, places: Places) -> Dataset:
        """See :meth:`spikejoule.data.source.Source.load`."""
        if self.files is None:
            raise DataError(
                "data.files: null is not allowed with data.source events; allowed: "
                "the path of an event file."
            )
        path = places.resolved(self.files)
        try:
            file = open_event_file(path)
        except ArtifactError as error:
            raise DataError(f"data.files: {error}") from error
        if file.n_train is None:
            raise DataError(
                f"data.files: {path} must say how many of its samples are for training "
                "(n_train), but does not: write it again."
            )
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        train = file.select(slice(file.n_train))
        test = file.select(slice(file.n_train, None))
        return Dataset(
            self.name,
            f"{file.setting.title} ({len(train):,} training and {len(test):,} test "
            "samples)",
            f"An event file of the user's own, {path.name}.",
            {"event-file": digest},
            train,
            test,
        )


def samples_of_file(path: Path) -> tuple[str, LabelledEvents]:
    """Return title and test samples of an event file; all samples if not stated.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    file = open_event_file(path)
    return file.setting.title, file.select(slice(file.n_train, None))
