"""The space of parameters that a search draws from, with the ranges that params.yaml has."""

import difflib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from pydantic import ConfigDict, TypeAdapter, ValidationError

from spikejoule.energy.profiles import HardwareProfile
from spikejoule.foundation.errors import ParameterError
from spikejoule.foundation.parameter_problems import allowed_words, shown
from spikejoule.foundation.sections import Section
from spikejoule.params import Params, Value, Values, parse_params
from spikejoule.search.settings import SYNAPTIC_EVENTS, SearchSettings

SECTIONS: Final = ("encode", "model", "train")
NEVER: Final = ("train.engine", "train.device", "train.threads", "train.distillation")
"""Keys of them that no trial may set: they change no result, or ask for a teacher."""

TRIED: Final = 200
"""Combinations that are drawn before a space is refused in which none is allowed."""

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


@dataclass(frozen=True)
class SearchSpace:
    """What trials draw, and what all of them share.

    Attributes:
        base: parameters of every trial, by section, `fixed` included.
        entries: what is drawn; keys that choose a kind first.
    """

    base: Mapping[str, Any]
    entries: tuple[Choice | Range, ...]

    def draw(self, trial: Suggests) -> Values:
        """Values by full key; parameters of kinds that were not chosen are left alone."""
        drawn: Values = {}
        for entry in self.entries:
            if not self._is_idle(entry.key, drawn):
                drawn[entry.key] = entry.draw(trial)
        return drawn

    def params(self, drawn: Mapping[str, Value]) -> Params:
        """All parameters of a trial; ParameterError if the combination is not allowed."""
        return parse_params(with_values(self.base, drawn))

    def _is_idle(self, key: str, drawn: Mapping[str, Value]) -> bool:
        name, _, own = key.partition(".")
        for kinds in _section(name).choices():
            chosen = drawn.get(f"{name}.{kinds.key}", self.base[name][kinds.key])
            if own in kinds.parameters() and own not in kinds[str(chosen)].model_fields:
                return True
        return False


def search_space(settings: SearchSettings, params: Params, file: str) -> SearchSpace:
    """The space that a search.yaml states, on the ground of params.yaml.

    Args:
        settings: the content of the file.
        params: what holds where the file says nothing else.
        file: its name, for messages.

    Raises:
        ParameterError: one line for each entry that is not allowed.
    """
    problems = [
        f"{file}: {part}.{key}{problem}"
        for part, contents in (("fixed", settings.fixed), ("space", settings.space))
        for key, content in contents.items()
        for problem in _problems(key, content, part)
    ]
    if params.train.distillation > 0:
        problems.append(
            f"{file}: train.distillation is {params.train.distillation}, and a search has no "
            "teacher; allowed in params.yaml: 0"
        )
    if problems:
        raise ParameterError("\n".join(problems))
    base = with_values(params.model_dump(mode="json"), settings.fixed)
    return space_of_entries(base, settings.space)


def space_of_entries(base: Mapping[str, Any], entries: Mapping[str, Any]) -> SearchSpace:
    """The space of entries that `search_space` has allowed.

    Args:
        base: parameters by section, what is fixed included.
        entries: as in search.yaml.
    """
    made = [_entry(key, content) for key, content in entries.items()]
    made.sort(key=lambda entry: not _chooses_a_kind(entry.key))
    return SearchSpace(base, tuple(made))


def check_possible(space: SearchSpace, profile: HardwareProfile | None, file: str) -> None:
    """Raise ParameterError if no combination of the space seems to be allowed.

    That is, none of so many random ones (:data:`TRIED`); the message has the last one's problem.
    """
    draws, problem = _RandomDraws(), ""
    for _ in range(TRIED):
        try:
            check_energy(space.params(space.draw(draws)), profile)
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(f"{file}: none of {TRIED} combinations of the space is allowed: {problem}")


def check_energy(params: Params, profile: HardwareProfile | None) -> None:
    """Raise ParameterError unless a measure of energy covers what the parameters compute.

    Args:
        params: of a trial.
        profile: the prices; None for synaptic events, which are no measure of constant currents.
    """
    if profile is None:
        if params.encode.encoder.input_products is not None:
            raise ParameterError(
                f"encode.code: '{params.encode.code}' multiplies beside its synaptic events, which "
                f"energy: {SYNAPTIC_EVENTS} does not count; name a hardware profile"
            )
        return
    widths = params.model.quantisation
    bits = params.model.weight_bits
    if not profile.runs(bits, widths is not None):
        raise ParameterError(
            f"model.weight_bits: {bits} is not what energy: {profile.id} prices, whose numbers are "
            f"{profile.numbers}"
        )


def with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by section with some values, by full key, in place of those that are there."""
    made: dict[str, Any] = {
        name: dict(content) if isinstance(content, Mapping) else content
        for name, content in base.items()
    }
    for key, value in values.items():
        name, _, own = key.partition(".")
        made[name][own] = value
    return made


class _RandomDraws:
    """Draws evenly, the same in every process."""

    def __init__(self) -> None:
        self._random = random.Random(0)  # noqa: S311

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return self._random.randrange(low, high + 1, step)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return self._random.uniform(low, high)


def _section(name: str) -> type[Section]:
    section: Any = Params.model_fields[name].annotation
    made: type[Section] = section
    return made


def _chooses_a_kind(key: str) -> bool:
    name, _, own = key.partition(".")
    return own in {kinds.key for kinds in _section(name).choices()}


def _problems(key: str, content: object, part: str) -> Iterator[str]:
    """What is wrong with an entry: the rest of a line that begins with its key."""
    name, _, own = key.partition(".")
    known = [
        full
        for section in SECTIONS
        for other in _section(section).model_fields
        if (full := f"{section}.{other}") not in NEVER
    ]
    if key not in known:
        near = difflib.get_close_matches(key.lower(), known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        yield (
            f": is no parameter of a trial{hint}; allowed: those of {', '.join(SECTIONS)} in "
            f"params.yaml, but {', '.join(NEVER)}"
        )
        return
    field = _section(name).model_fields[own]
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


def _entry(key: str, content: Any) -> Choice | Range:
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
    field = _section(name).model_fields[own]
    annotated: Any = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else (field.annotation)
    )
    try:
        TypeAdapter(annotated, config=_STRICT).validate_python(value)
    except ValidationError:
        return False
    return True
