"""Entries of search.yaml: a parameter, and the values that it may take.

What a parameter may hold is what its field in `spikejoule.params` says, by itself; whether values
go together is for the whole of params.yaml to say.
"""

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from pydantic import ConfigDict, TypeAdapter, ValidationError

from spikejoule.core.errors import shown
from spikejoule.core.parameters import Section, allowed_words
from spikejoule.params import RENAMED, Params, Value

SECTIONS: Final = ("encode", "model", "train")
NEVER: Final = (
    "train.engine",
    "train.device",
    "train.threads",
    "train.resume",
    "train.distillation",
)
"""Keys of them that no trial may set: they change no result, or ask for a teacher."""

_DIGITS = 4
_RANGE_KEYS = ("from", "to", "step", "log")
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class Suggests(Protocol):
    """What draws values; a trial of Optuna's is one."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number, the ends included."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """A number, the ends included."""


@dataclass(frozen=True)
class Choice:
    """A parameter that takes one of several values."""

    key: str
    values: tuple[Value, ...]

    def draw(self, trial: Suggests) -> Value:
        """One of the values."""
        # Optuna's choices are scalars: a list, such as several hidden layers, goes by its text.
        names = [json.dumps(value) if isinstance(value, list) else value for value in self.values]
        return self.values[names.index(trial.suggest_categorical(self.key, names))]


@dataclass(frozen=True)
class Range:
    """A parameter between two numbers, both included.

    Attributes:
        key: the parameter.
        low, high: the ends.
        step: the distance between values; None for any number.
        log: whether the logarithm is drawn evenly.
        integer: whether it is a whole number.
    """

    key: str
    low: float
    high: float
    step: float | None
    log: bool
    integer: bool

    def draw(self, trial: Suggests) -> Value:
        """A number, which has at most four digits that count where it has no step."""
        if self.integer:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(
                self.key, low, high - (high - low) % step, step=step, log=self.log
            )
        if self.step is None:
            drawn = trial.suggest_float(self.key, self.low, self.high, step=None, log=self.log)
            return min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high)
        last = self.low + self.step * math.floor((self.high - self.low) / self.step + 1e-9)
        drawn = trial.suggest_float(self.key, self.low, last, step=self.step, log=False)
        return float(f"{drawn:.10g}")


def section_of(name: str) -> type[Section]:
    """The class of a section of params.yaml."""
    section: Any = Params.model_fields[name].annotation
    made: type[Section] = section
    return made


def chooses_a_kind(key: str) -> bool:
    """Whether a parameter chooses one of several kinds, such as an encoder."""
    name, _, own = key.partition(".")
    return own in {kinds.key for kinds in section_of(name).choices()}


def problems_of(key: str, content: object, part: str) -> Iterator[str]:
    """What is wrong with an entry: the rest of a line that begins with its key."""
    name, _, own = key.partition(".")
    known = [
        full
        for section in SECTIONS
        for other in section_of(section).model_fields
        if (full := f"{section}.{other}") not in NEVER
    ]
    if key in RENAMED:
        yield f": is called {RENAMED[key]} now; rename the key"
        return
    if key not in known:
        near = difflib.get_close_matches(key.lower(), known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        yield (
            f": is no parameter of a trial{hint}; allowed: those of {', '.join(SECTIONS)} in "
            f"params.yaml, but {', '.join(NEVER)}"
        )
        return
    field = section_of(name).model_fields[own]
    words = allowed_words(field)
    if part == "fixed":
        if not _fits(key, content):
            yield f": {shown(content)} is not allowed; allowed: {words}"
    elif isinstance(content, list):
        if not content:
            yield f": {shown(content)} is not allowed; allowed: a list of at least one value"
        elif len({json.dumps(value, default=str) for value in content}) < len(content):
            yield f": {shown(content)} is not allowed; allowed: each value once"
        for value in content:
            if not _fits(key, value):
                yield f": {shown(value)} is not allowed; allowed: {words}"
    elif isinstance(content, dict):
        yield from _range_problems(key, content, words)
    else:
        yield (
            f": {shown(content)} is not allowed; allowed: a list of values, or a range "
            "{from: A, to: B}"
        )


def _range_problems(key: str, content: Mapping[str, Any], words: str) -> Iterator[str]:
    unknown = [name for name in content if name not in _RANGE_KEYS]
    missing = [name for name in ("from", "to") if name not in content]
    if unknown or missing:
        what = f"{unknown[0]} is unknown" if unknown else f"{missing[0]} is missing"
        yield f": {what}; allowed: a range of from and to, and step or log"
        return
    for end in ("from", "to"):
        if not _is_number(content[end]) or not _fits(key, content[end]):
            yield f".{end}: {shown(content[end])} is not allowed; allowed: {words}"
            return
    low, high = content["from"], content["to"]
    step, log = content.get("step"), content.get("log", False)
    whole = " whole" if _is_integer(key) else ""
    if low >= high:
        yield f".to: {shown(high)} is not allowed; allowed: above from, which is {shown(low)}"
    if not isinstance(log, bool):
        yield f".log: {shown(log)} is not allowed; allowed: true or false"
    elif log and low <= 0:
        yield f".from: {shown(low)} is not allowed with log; allowed: above 0"
    elif log and step is not None:
        yield f".step: {shown(step)} is not allowed with log; allowed: one of the two"
    if step is not None and not (
        _is_number(step) and 0 < step <= high - low and (not whole or isinstance(step, int))
    ):
        yield f".step: {shown(step)} is not allowed; allowed: a{whole} number up to to - from"


def entry_of(key: str, content: Any) -> Choice | Range:
    """An entry in which nothing is wrong."""
    if isinstance(content, list):
        return Choice(key, tuple(content))
    step, integer = content.get("step"), _is_integer(key)
    return Range(
        key, content["from"], content["to"], step, bool(content.get("log", False)), integer
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(key: str) -> bool:
    """Whether a parameter takes whole numbers alone: what its field says to a half."""
    return not any(_fits(key, half) for half in (0.5, 1.5))


def _fits(key: str, value: object) -> bool:
    """Whether the field of params.yaml admits a value, by itself."""
    name, _, own = key.partition(".")
    field = section_of(name).model_fields[own]
    annotated: Any = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else (field.annotation)
    )
    try:
        TypeAdapter(annotated, config=_STRICT).validate_python(value)
    except ValidationError:
        return False
    return True
