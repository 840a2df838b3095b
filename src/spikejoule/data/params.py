"""The section `data` of params.yaml."""

from typing import Literal, Self

from pydantic import Field, model_validator

from spikejoule.core.parameters import (
    Line,
    ParameterSection,
    Problem,
    Real,
    chooses,
    not_allowed,
    refused,
)
from spikejoule.data.source import Source
from spikejoule.data.sources import SOURCES


@chooses(SOURCES)
class DataParams(ParameterSection):
    """Which samples, and how they are split."""

    source: Line = Field(description=f"{', '.join(SOURCES)} or a directory")
    validation_size: Real = Field(ge=0, le=0.5)

    @property
    def chosen_source(self) -> Source | str:
        """The source with its parameters, or the path to a directory."""
        return SOURCES.chosen_in(self) if self.source in SOURCES else self.source

    @property
    def samples_are(self) -> Literal["images", "events"]:
        """Kind of the samples; a directory holds images."""
        source = self.chosen_source
        return source.gives if isinstance(source, Source) else "images"

    @model_validator(mode="after")
    def _files_are_read(self) -> Self:
        if "files" in SOURCES.idle_in(self) and self.model_dump()["files"] is not None:
            allowed = f"null with data.source {self.source}, or data.source events"
            raise refused(not_allowed("data", Problem("files", allowed), self))
        return self
