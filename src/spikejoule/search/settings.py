"""The content of search.yaml: what is searched, how long, and by which measure of energy."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import WHOLE_LINE, Line, Real, Section, parsed, read_sections

SYNAPTIC_EVENTS: Final = "synaptic_events"
"""The measure of energy that needs no prices."""


class StopSettings(Section):
    """When a trial that is hopeless ends early.

    Attributes:
        after_fraction: of its epochs, after which a trial may be stopped; None never does.
        margin_percent: by how many percentage points another trial must have been more accurate at
            the same point of its training, for no more synaptic events and no wider weights.
    """

    after_fraction: Real | None = Field(gt=0, le=1)
    margin_percent: Real = Field(gt=0, le=100)


def _mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise PydanticCustomError("mapping", "no mapping")


Entries = Annotated[dict[str, Any], BeforeValidator(_mapping)]


class SearchSettings(Section):
    """The whole of search.yaml, but for what `space` says of its entries.

    Attributes:
        study: name; a study that exists is continued.
        trials: number of trainings.
        energy: id of the hardware profile whose prices make the second objective, or
            ``synaptic_events``.
        fixed: parameters that differ from params.yaml in all trials, by full key.
        space: parameters that are searched, by full key: a list of values, or a range.
        stop: when a hopeless trial ends early.
    """

    study: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="a name of 1 to 100 letters, digits, dots, dashes and underscores",
    )
    trials: int = Field(ge=1, le=100_000)
    energy: Line = Field(description=f"the id of a hardware profile, or {SYNAPTIC_EVENTS}")
    fixed: Entries = Field(description="parameters by full key, or {}")
    space: Entries = Field(
        min_length=1,
        description="parameters by full key, each a list of values or a range {from: A, to: B}",
    )
    stop: StopSettings

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        both = sorted(self.fixed.keys() & self.space.keys())
        if both:
            raise PydanticCustomError(
                WHOLE_LINE,
                "fixed.{key}: is in space, too; allowed: one of the two",
                {"key": both[0]},
            )
        return self


def load_search(path: str | os.PathLike[str]) -> SearchSettings:
    """Read a search.yaml; ParameterError with one line, naming the file, for each problem.

    What is under `fixed` and `space` is for :func:`spikejoule.search.space.search_space`.
    """
    content = read_sections(path, SearchSettings)
    try:
        return parsed(content, SearchSettings, {}, {})
    except ParameterError as error:
        lines = str(error).splitlines()
        raise ParameterError("\n".join(f"{path}: {line}" for line in lines)) from error
