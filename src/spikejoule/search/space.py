"""search.yaml: what is searched, how long, by which measure of energy, and what trials draw.

The space has the keys and the ranges of params.yaml: what a parameter may hold is what its field in
`spikejoule.params` allows, by itself; whether values go together is decided by the whole of
params.yaml, for each trial.
"""

import difflib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import (
    Line,
    Real,
    Section,
    allowed_words,
    parsed,
    read_sections,
    refused,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.engine.choice import choose_engine
from spikejoule.params import RENAMED, Params, Value, Values, parse_params

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SYNAPTIC_EVENTS: Final = "synaptic_events"
"""The measure of energy that needs no prices."""

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
_RANGE = "a range {from: A, to: B}, with step or log"


class StopSettings(Section):
    """When a trial that is hopeless ends early.

    Attributes:
        after_fraction: of its epochs, after which a trial may be stopped; None never does.
        margin_percent: by how many percentage points another trial must have been more accurate at
            the same point of its training, for no more synaptic events and no wider weights.
    """

    after_fraction: Real | None = Field(gt=0, le=1)
    margin_percent: Real = Field(gt=0, le=100)


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
    fixed: dict[str, Any] = Field(description="parameters by full key, or {}")
    space: dict[str, Any] = Field(
        min_length=1,
        description="parameters by full key, each a list of values or a range {from: A, to: B}",
    )
    stop: StopSettings

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        both = sorted(self.fixed.keys() & self.space.keys())
        if both:
            raise refused(f"fixed.{both[0]}: is in space, too; allowed: one of the two")
        return self


@dataclass(frozen=True)
class SearchSpace:
    """What trials draw, and what all of them share.

    Attributes:
        base: parameters of every trial, by section, `fixed` included.
        entries: by full key, the values that search.yaml allows: a list of them, or a range.
    """

    base: Mapping[str, Any]
    entries: Mapping[str, Any]

    def draw(self, trial: "BaseTrial") -> Values:
        """Values by full key; parameters of kinds that were not chosen are left alone."""
        drawn: Values = {}
        for key in sorted(self.entries, key=lambda key: not _chooses_a_kind(key)):
            if not self._is_idle(key, drawn):
                drawn[key] = _drawn(trial, key, self.entries[key])
        return drawn

    def params(self, drawn: Mapping[str, Value]) -> Params:
        """All parameters of a trial; ParameterError if the combination is not allowed."""
        return parse_params(with_values(self.base, drawn))

    def _is_idle(self, key: str, drawn: Mapping[str, Value]) -> bool:
        name, _, own = key.partition(".")
        for kinds in _section_of(name).choices():
            chosen = drawn.get(f"{name}.{kinds.key}", self.base[name][kinds.key])
            if own in kinds.parameters() and own not in kinds[str(chosen)].model_fields:
                return True
        return False


def load_search(path: str | os.PathLike[str]) -> SearchSettings:
    """Read a search.yaml; ParameterError with one line, naming the file, for each problem.

    What is under `fixed` and `space` is for `search_space`.
    """
    content = read_sections(path, SearchSettings)
    try:
        return parsed(content, SearchSettings, {}, {})
    except ParameterError as error:
        lines = str(error).splitlines()
        raise ParameterError("\n".join(f"{path}: {line}" for line in lines)) from error


def search_space(settings: SearchSettings, params: Params, file: str) -> SearchSpace:
    """The space that a search.yaml states, on the basis of params.yaml.

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
        for problem in _problems_of(key, content, part)
    ]
    if params.train.distillation > 0:
        problems.append(
            f"{file}: train.distillation is {params.train.distillation}, and a search has no "
            "teacher; allowed in params.yaml: 0"
        )
    if problems:
        raise ParameterError("\n".join(problems))
    return SearchSpace(
        with_values(params.model_dump(mode="json"), settings.fixed), dict(settings.space)
    )


def check_trial(params: Params, profile: HardwareProfile | None) -> None:
    """Raise ParameterError unless an engine runs the parameters, and a measure of energy covers it.

    Args:
        params: of a trial.
        profile: the prices; None for synaptic events, which are no measure of constant currents.
    """
    choose_engine(params.train.engine, params.train.device, params.model.neuron)
    if profile is None:
        if params.encode.encoder.input_products is not None:
            raise ParameterError(
                f"encode.encoding: '{params.encode.encoding}' multiplies beside its synaptic "
                f"events, which energy: {SYNAPTIC_EVENTS} does not count; name a hardware profile"
            )
    elif not profile.runs(params.model.weight_bits, params.model.quantisation is not None):
        raise ParameterError(
            f"model.weight_bits: {params.model.weight_bits} is not what energy: {profile.id} "
            f"prices, whose numbers are {profile.numbers}"
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


def _drawn(trial: "BaseTrial", key: str, content: Any) -> Value:
    """One of the values of an entry that is allowed."""
    if isinstance(content, list):
        # Optuna's choices are scalars: a list, such as several hidden layers, goes by its text.
        names = [json.dumps(value) if isinstance(value, list) else value for value in content]
        chosen: Value = content[names.index(trial.suggest_categorical(key, names))]
        return chosen
    low, high, step = content["from"], content["to"], content.get("step")
    log = content.get("log", False)
    if _is_integer(key):
        step = step or 1
        return trial.suggest_int(key, low, high - (high - low) % step, step=step, log=log)
    if step is None:
        # So many digits that count, as the command that repeats the trial has to hold them.
        drawn = float(f"{trial.suggest_float(key, low, high, log=log):.{_DIGITS}g}")
        return min(max(drawn, float(low)), float(high))
    last = low + step * math.floor((high - low) / step + 1e-9)
    return float(f"{trial.suggest_float(key, low, last, step=step):.10g}")


def _problems_of(key: str, content: object, part: str) -> Iterator[str]:
    """What is wrong with an entry: the rest of a line that begins with its key."""
    if key in RENAMED:
        yield f": is called {RENAMED[key]} now; rename the key"
        return
    known = {f"{name}.{own}" for name in SECTIONS for own in _section_of(name).model_fields}
    if key not in known - {*NEVER}:
        near = difflib.get_close_matches(key.lower(), sorted(known - {*NEVER}), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        yield (
            f": is no parameter of a trial{hint}; allowed: those of {', '.join(SECTIONS)} in "
            f"params.yaml, but {', '.join(NEVER)}"
        )
        return
    values = content if isinstance(content, list) and part == "space" else [content]
    if part == "space" and isinstance(content, Mapping):
        yield from _range_problems(key, content)
    elif part == "space" and not isinstance(content, list):
        yield f": {shown(content)} is not allowed; allowed: a list of values, or {_RANGE}"
    elif not values:
        yield f": {shown(content)} is not allowed; allowed: a list of at least one value"
    elif len({json.dumps(value, default=str) for value in values}) < len(values):
        yield f": {shown(content)} is not allowed; allowed: each value once"
    else:
        words = allowed_words(_field_of(key))
        for value in values:
            if not _fits(key, value):
                yield f": {shown(value)} is not allowed; allowed: {words}"


def _range_problems(key: str, content: Mapping[str, Any]) -> Iterator[str]:
    if not {"from", "to"} <= content.keys() <= {"from", "to", "step", "log"}:
        yield f": {shown(content)} is not allowed; allowed: {_RANGE}"
        return
    for end in ("from", "to"):
        number = isinstance(content[end], int | float) and not isinstance(content[end], bool)
        if not number or not _fits(key, content[end]):
            words = allowed_words(_field_of(key))
            yield f".{end}: {shown(content[end])} is not allowed; allowed: {words}"
            return
    low, high = content["from"], content["to"]
    step, log = content.get("step"), content.get("log", False)
    kinds = (int,) if _is_integer(key) else (int, float)
    fits = isinstance(step, kinds) and step is not True and 0 < step <= high - low
    if low >= high:
        yield f".to: {shown(high)} is not allowed; allowed: above from, which is {shown(low)}"
    elif not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        yield f".log: {shown(log)} is not allowed; allowed: true with from above 0 and no step"
    elif step is not None and not fits:
        whole = "whole " if kinds == (int,) else ""
        yield f".step: {shown(step)} is not allowed; allowed: a {whole}number up to to - from"


def _section_of(name: str) -> type[Section]:
    section: Any = Params.model_fields[name].annotation
    made: type[Section] = section
    return made


def _field_of(key: str) -> FieldInfo:
    name, _, own = key.partition(".")
    return _section_of(name).model_fields[own]


def _chooses_a_kind(key: str) -> bool:
    """Whether a parameter chooses one of several kinds, such as an encoder."""
    name, _, own = key.partition(".")
    return own in {kinds.key for kinds in _section_of(name).choices()}


def _is_integer(key: str) -> bool:
    """Whether a parameter takes whole numbers alone: what its field says to a half."""
    return not any(_fits(key, half) for half in (0.5, 1.5))


def _fits(key: str, value: object) -> bool:
    """Whether the field of params.yaml admits a value, by itself."""
    field = _field_of(key)
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[(kind, *field.metadata)]
    strict = ConfigDict(strict=True, allow_inf_nan=False)
    try:
        TypeAdapter(kind, config=strict).validate_python(value)
    except ValidationError:
        return False
    return True
