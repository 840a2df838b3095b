"""search.yaml: what is searched, how long, by which measure of energy, and what trials draw.

The space has the keys and the ranges of params.yaml: what a parameter may hold is what its field in
`spikejoule.params` allows, by itself; whether values go together is decided by the whole of
params.yaml, for each trial.
"""

import json
import math
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pydantic import Field, ValidationError

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import (
    Kinds,
    Line,
    Real,
    Section,
    parsed,
    problem_lines,
    read_sections,
)
from spikejoule.energy.prices import HardwareProfile
from spikejoule.engine.choice import choose_engine
from spikejoule.params import RENAMED, Params, Value, Values, parse_params
from spikejoule.training import TrainingRegime

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SECTIONS: Final = ("encode", "model", "train", "baseline")
FAMILY: Final = tuple(f"baseline.family_{name}" for name in ("hidden", "pruned", "bits", "bias"))
"""Which conventional networks a run has; a trial has one, of the spiking one's parameters."""

OF_BOTH_SIDES: Final = frozenset(
    (
        "model.hidden",
        "model.bias",
        "model.weight_bits",
        "model.state_bits",
        "train.pruned_fraction",
        "train.prune_start",
        "train.prune_end",
        *(f"train.{name}" for name in TrainingRegime.model_fields if name != "lr"),
    )
)
"""What changes a conventional trial as it does a spiking one."""

CONVENTIONAL: Final = OF_BOTH_SIDES | {
    f"baseline.{name}" for name in ("lr", "weight_decay", "label_smoothing")
}
"""All that changes a conventional trial."""

NEVER: Final = (
    "train.engine",
    "train.device",
    "train.threads",
    "train.resume",
    "train.distillation",
    "baseline.weight_bits",
    *FAMILY,
)
"""Keys of them that no trial may set: they change no result, or ask for other networks."""

TRIED: Final = 200
"""Combinations that are drawn before a space is refused in which none is allowed."""

_DIGITS = 4
_RANGE_KEYS: Final = {"from", "to", "step", "log"}
_ENTRY = (
    "a list of values, or a range {from: A, to: B} of numbers with A below B, and with "
    "a step up to B - A, or log: true if A is above 0"
)


class SearchSettings(Section):
    """The whole of search.yaml, but for what `space` says of its entries.

    Attributes:
        study: name; a study that exists is continued.
        trials: number of trainings.
        side: of the networks that are trained. A conventional one has the hidden layer, widths and
            pruning that the same parameters give a spiking one, so that one space serves both.
        processor_minutes: of all trials together, after which none begins; None for any.
        energy: id of the hardware profile whose prices make the second objective.
        fixed: parameters that differ from params.yaml in all trials, by full key; `space` has
            precedence.
        space: parameters that are searched, by full key: a list of values, or a range.
    """

    study: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="a name of 1 to 100 letters, digits, dots, dashes and underscores",
    )
    trials: int = Field(ge=1, le=100_000)
    side: Literal["spiking", "conventional"] = "spiking"
    processor_minutes: Real | None = Field(default=None, gt=0)
    energy: Line = Field(description="the id of a hardware profile")
    fixed: dict[str, Any] = Field(description="parameters by full key, or {}")
    space: dict[str, Any] = Field(
        min_length=1,
        description="parameters by full key, each a list of values or a range {from: A, to: B}",
    )


@dataclass(frozen=True)
class SearchSpace:
    """What trials draw, and what all of them share.

    Attributes:
        base: parameters of every trial, by section, `fixed` included.
        entries: by full key, the values that search.yaml allows: a list of them, or a range.
        side: of the networks that are trained.
    """

    base: Mapping[str, Any]
    entries: Mapping[str, Any]
    side: str = "spiking"

    def draw(self, trial: "BaseTrial") -> Values:
        """Values by full key; parameters of kinds that were not chosen are left alone."""
        drawn: Values = {}
        choices = _choices()
        for key in sorted(self.entries, key=lambda key: key not in choices):
            section, _, own = key.partition(".")
            made = with_values(self.base, drawn)[section]
            if not any(
                own in kinds.parameters() and own not in kinds[made[kinds.key]].model_fields
                for choice, kinds in choices.items()
                if choice.startswith(f"{section}.")
            ):
                drawn[key] = _drawn(trial, key, self.entries[key])
        return drawn

    def params(self, drawn: Mapping[str, Value]) -> Params:
        """All parameters of a trial; ParameterError if the combination is not allowed.

        Those of a conventional network have it as the one member of the family.
        """
        values = with_values(self.base, drawn)
        params = parse_params(values)
        if self.side == "spiking":
            return params
        hidden, bits = params.model.hidden, params.model.weight_bits
        if len(hidden) > 1 or params.samples_are == "events":
            raise ParameterError(
                f"model.hidden: {shown([*hidden])} is not allowed in a search of conventional "
                "networks; allowed: one hidden layer, on images"
            )
        has_bias = params.model.chosen_neuron.has_bias
        members = [*hidden], [params.train.pruned_fraction], [bits], [has_bias]
        return parse_params(with_values(values, dict(zip(FAMILY, members, strict=True))))

    @property
    def keys(self) -> set[str]:
        """Keys that a command which repeats a trial sets, beside those of `fixed`."""
        return {*self.entries, *(FAMILY if self.side == "conventional" else ())}


def load_search(path: str | os.PathLike[str]) -> SearchSettings:
    """Read a search.yaml; ParameterError with one line, naming the file, for each problem.

    What is under `fixed` and `space` is for `search_space`.
    """
    content = read_sections(path, SearchSettings)
    try:
        return parsed(content, SearchSettings)
    except ParameterError as error:
        lines = str(error).splitlines()
        raise ParameterError("\n".join(f"{path}: {line}" for line in lines)) from error


def search_space(settings: SearchSettings, params: Params, file: str) -> SearchSpace:
    """The space that a search.yaml states, on the basis of params.yaml.

    What changes nothing on the side that is searched is left out.

    Args:
        settings: the content of the file.
        params: what holds where the file says nothing else.
        file: its name, for messages.

    Raises:
        ParameterError: one line for each entry that is not allowed.
    """
    problems = [
        f"{file}: {part}.{problem}"
        for part, contents in (("fixed", settings.fixed), ("space", settings.space))
        for key, content in contents.items()
        if (problem := _problem_of(key, content, part))
    ]
    if params.train.distillation > 0:
        problems.append(
            f"{file}: train.distillation is {params.train.distillation}, and a search has no "
            "teacher; allowed in params.yaml: 0"
        )
    is_spiking = settings.side == "spiking"
    entries = {
        key: content
        for key, content in settings.space.items()
        if (not key.startswith("baseline.") if is_spiking else key in CONVENTIONAL)
    }
    if not entries:
        problems.append(f"{file}: space has nothing that changes a network of side {settings.side}")
    if problems:
        raise ParameterError("\n".join(problems))
    return SearchSpace(
        with_values(params.model_dump(mode="json"), settings.fixed),
        entries,
        settings.side,
    )


def check_possible(space: SearchSpace, profile: HardwareProfile, file: str) -> None:
    """Raise ParameterError if no combination of the space seems to be allowed.

    That is, none of so many random ones (:data:`TRIED`); the message has the last one's problem.
    """
    import optuna

    draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    problem = ""
    for _ in range(TRIED):
        try:
            check_trial(space.params(space.draw(draws.ask())), profile)
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(f"{file}: none of {TRIED} combinations of the space is allowed: {problem}")


def check_trial(params: Params, profile: HardwareProfile) -> None:
    """Raise ParameterError unless an engine runs a trial's parameters, and the prices cover it."""
    choose_engine(params.train.engine, params.train.device, params.model.neuron)
    if not profile.runs(params.model.weight_bits):
        raise ParameterError(
            f"model.weight_bits: {params.model.weight_bits} is not what energy: {profile.id} "
            f"prices, whose numbers are {profile.numbers}"
        )


def with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by section with some values, by full key, in place of those that are there."""
    made = deepcopy(dict(base))
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


def _problem_of(key: str, content: object, part: str) -> str:
    """The line that says what is wrong with an entry; nothing if it fits.

    Args:
        key: of the parameter.
        content: the value that is fixed, or the list or range that is searched.
        part: ``fixed`` or ``space``.
    """
    if key in RENAMED:
        return f"{key}: is called {RENAMED[key]} now; rename the key"
    if key.partition(".")[0] not in SECTIONS or key in NEVER:
        return (
            f"{key}: is no parameter of a trial; allowed: those of {', '.join(SECTIONS)} in "
            f"params.yaml, but {', '.join(NEVER)}"
        )
    problems = None
    if part == "fixed":
        problems = [_misfit(key, content)]
    elif isinstance(content, list) and content:
        problems = [_misfit(key, value) for value in content]
    elif isinstance(content, Mapping) and {"from", "to"} <= content.keys() <= _RANGE_KEYS:
        ends = [_misfit(key, content[end]) for end in ("from", "to")]
        if any(ends) or _is_range(key, content):
            problems = ends
    if problems is None:
        return f"{key}: {shown(content)} is not allowed; allowed: {_ENTRY}"
    return next(filter(None, problems), "")


def _misfit(key: str, value: object) -> str:
    """The line that says what is wrong with a value by itself; nothing if it fits."""
    section, _, own = key.partition(".")
    content = {section: {own: value}}
    try:
        Params.model_validate(content)
    except ValidationError as error:
        # All others are missing, which is none of its faults.
        problems = error.errors(include_url=False)
        own_problems = [one for one in problems if one["loc"][:2] == (section, own)]
        return "".join(problem_lines(own_problems, content, Params).values())
    return ""


def _is_range(key: str, content: Mapping[str, Any]) -> bool:
    """Whether the ends, which fit by themselves, make a range with its step and its log."""
    low, high, step = content["from"], content["to"], content.get("step")
    log = content.get("log", False)
    kinds = (int,) if _is_integer(key) else (int, float)
    numbers = (low, high) if step is None else (low, high, step)
    if not all(type(number) in kinds for number in numbers) or low >= high:
        return False
    if step is not None and not 0 < step <= high - low:
        return False
    return log is False or (log is True and low > 0 and step is None)


@cache
def _is_integer(key: str) -> bool:
    """Whether a parameter takes whole numbers alone: what its field says to a half."""
    return all(_misfit(key, half) for half in (0.5, 1.5))


@cache
def _choices() -> dict[str, Kinds[Any]]:
    """By full key, what a parameter chooses between, such as the encoders."""
    sections = {name: cast(Any, Params.model_fields[name].annotation) for name in SECTIONS}
    return {
        f"{name}.{kinds.key}": kinds
        for name, section in sections.items()
        for kinds in section.choices()
    }
