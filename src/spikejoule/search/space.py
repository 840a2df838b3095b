"""search.yaml: what is searched, how long, by which measure of energy, and what trials
draw.

The space has the keys and the ranges of params.yaml: what a parameter may hold is what
its field in `spikejoule.params` allows, by itself; whether values go together is
decided by the whole of params.yaml, for each trial.
"""

import json
import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import Line, ParameterSection, Real, flat
from spikejoule.energy.prices import HardwareProfile
from spikejoule.params import Params, Value, Values, parse_params
from spikejoule.training import TrainingRegime

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SECTIONS: Final = ("encode", "model", "train", "baseline")
FAMILY: Final = tuple(
    f"baseline.family_{name}" for name in ("hidden", "pruned", "bits", "bias")
)
"""Which conventional networks a run has; a trial has one, of the spiking one's
parameters.
"""

CONVENTIONAL: Final = {
    *("model.hidden", "model.bias", "model.weight_bits", "model.state_bits"),
    *("train.pruned_fraction", "train.prune_start", "train.prune_end"),
    *(f"train.{name}" for name in TrainingRegime.model_fields if name != "lr"),
    *("baseline.lr", "baseline.weight_decay", "baseline.label_smoothing"),
}
"""What changes a conventional trial: the same as of a spiking one, and its own
constants.
"""

NEVER: Final = (
    *("train.engine", "train.device", "train.threads", "train.resume"),
    *("train.distillation", "baseline.weight_bits", *FAMILY),
)
"""Keys of them that no trial may set: they change no result, or ask for other
networks.
"""

_DIGITS, _DIGITS_OF_STEPS = 4, 10
_ENTRY = (
    "a list of values, or a range {from: A, to: B} of numbers with A below B, and with "
    "a step up to B - A, or log: true if A is above 0"
)


class SearchSettings(ParameterSection):
    """The whole of search.yaml, but for what `space` says of its entries.

    Attributes:
        study: name; a study that exists is continued.
        trials: number of trainings.
        side: of the networks that are trained. A conventional one has the hidden layer,
            widths and pruning that the same parameters give a spiking one, so that one
            space serves both.
        processor_minutes: of all trials together, after which none begins; None for
            any.
        energy: id of the hardware profile whose prices make the second objective.
        fixed: parameters that differ from params.yaml in all trials, by full key;
            `space` has precedence.
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
        description="parameters by full key, each a list of values or a range "
        "{from: A, to: B}",
    )


@dataclass(frozen=True)
class SearchSpace:
    """What trials draw, and what all of them share.

    Attributes:
        base: parameters of every trial, by section, `fixed` included.
        entries: by full key, the values that search.yaml allows: a list of them, or a
            range.
        profile: the prices of the second objective.
        side: of the networks that are trained.
    """

    base: Mapping[str, Any]
    entries: Mapping[str, Any]
    profile: HardwareProfile
    side: str = "spiking"

    def draw(self, trial: "BaseTrial") -> Values:
        """Values by full key; those of kinds that are not chosen change nothing."""
        return {
            key: _drawn(trial, key, content) for key, content in self.entries.items()
        }

    def params(self, drawn: Mapping[str, Value]) -> Params:
        """All parameters of a trial; ParameterError if the combination is not allowed,
        no engine runs it, or the prices do not cover it.

        Those of a conventional network have it as the one member of the family.
        """
        values = with_values(self.base, drawn)
        params = parse_params(values)
        hidden = params.model.hidden
        bits = params.model.weight_bits
        if not self.profile.runs(bits):
            raise ParameterError(
                f"model.weight_bits: {bits} is not what energy: {self.profile.id} "
                "prices, whose "
                f"numbers are {self.profile.numbers}"
            )
        if self.side == "spiking":
            return params
        if len(hidden) > 1 or params.samples_are == "events":
            raise ParameterError(
                f"model.hidden: {shown([*hidden])} is not allowed in a search of "
                "conventional "
                "networks; allowed: one hidden layer, on images"
            )
        has_bias = params.model.chosen_neuron.has_bias
        members = [*hidden], [params.train.pruned_fraction], [bits], [has_bias]
        return parse_params(
            with_values(values, dict(zip(FAMILY, members, strict=True)))
        )


def search_space(
    settings: SearchSettings, params: Params, profile: HardwareProfile
) -> SearchSpace:
    """The space that a search.yaml states, on the basis of params.yaml.

    What changes nothing on the side that is searched is left out.

    Args:
        settings: the content of the file.
        params: what holds where the file says nothing else.
        profile: of the settings' `energy`.

    Raises:
        ParameterError: one line for each entry that is not allowed.
    """
    problems = [
        f"{part}.{problem}"
        for part, contents in (("fixed", settings.fixed), ("space", settings.space))
        for key, content in contents.items()
        if (problem := _problem_of(key, content, part))
    ]
    entries = {
        key: content
        for key, content in settings.space.items()
        if (
            not key.startswith("baseline.")
            if settings.side == "spiking"
            else key in CONVENTIONAL
        )
    }
    if not entries:
        problems.append(
            f"space has nothing that changes a network of side {settings.side}"
        )
    if problems:
        raise ParameterError("\n".join(problems))
    # A search has no teacher.
    fixed = {"train.distillation": 0.0, **settings.fixed}
    base = with_values(params.model_dump(mode="json"), fixed)
    return SearchSpace(base, entries, profile, settings.side)


@dataclass(frozen=True)
class Search:
    """What is searched, where, and with what: all that a worker is given.

    Attributes:
        storage: URL of the study's database: ``sqlite:///FILE`` or
            ``postgresql://...``.
        settings: the content of search.yaml.
        space: what trials draw.
        data: SHA-256 of the artifacts, by name.
        paths: of the artifacts, by name, absolute.
        folder: of the search's own files.
        heartbeat: seconds from one sign of life of a worker to the next; one that
            misses four is dead.
        retries: how often a trial is run again whose worker was killed.
        cluster: ``local`` or ``slurm``.
        workers: how many at once.
        threads: CPU threads of each.
        minutes: time limit of a Slurm job; the job is requeued when it expires.
        slurm: further options of sbatch, by name without the dashes.
    """

    storage: str
    settings: SearchSettings
    space: SearchSpace
    data: Mapping[str, str]
    paths: Mapping[str, Path]
    folder: Path
    heartbeat: int = 10
    retries: int = 5
    cluster: str = "local"
    workers: int = 1
    threads: int = 1
    minutes: int = 60
    slurm: Mapping[str, str] = field(default_factory=dict)

    @property
    def specification(self) -> dict[str, Any]:
        """What all trials share, as plain values by their full names."""
        content = {
            "": self.space.base,
            "space": self.space.entries,
            "side": self.settings.side,
            "energy": self.settings.energy,
            "prices": {
                term: str(price) for term, price in self.space.profile.prices.items()
            },
            "data": self.data,
        }
        plain: dict[str, Any] = json.loads(json.dumps(flat(content)))
        return plain


def with_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by section with some values, by full key, in place of those that are
    there.
    """
    made = deepcopy(dict(base))
    for key, value in values.items():
        name, _, own = key.partition(".")
        made[name][own] = value
    return made


def _drawn(trial: "BaseTrial", key: str, content: Any) -> Value:
    """One of the values of an entry; an error of Python's where that is no list and no
    range.
    """
    if isinstance(content, list):
        # Optuna's choices are scalars: a list, such as several hidden layers, goes by
        # its text.
        names = [
            json.dumps(value) if isinstance(value, list) else value for value in content
        ]
        chosen: Value = content[names.index(trial.suggest_categorical(key, names))]
        return chosen
    further = {**content}
    low = further.pop("from")
    high = further.pop("to")
    step = content.get("step")
    if step is not None:
        high = low + step * math.floor((high - low) / step + 1e-9)
    if _is_integer(key):
        number: int = trial.suggest_int(key, low, high, **further)
        return number
    drawn = trial.suggest_float(key, low, high, **further)
    # So many digits that count, as the command that repeats the trial has to hold them.
    digits = _DIGITS if step is None else _DIGITS_OF_STEPS
    return min(max(float(f"{drawn:.{digits}g}"), float(low)), float(high))


def _problem_of(key: str, content: Any, part: str) -> str:
    """The line that says what is wrong with an entry; nothing if it fits.

    Args:
        key: of the parameter.
        content: the value that is fixed, or the list or range that is searched.
        part: ``fixed`` or ``space``.
    """
    import optuna

    if key.partition(".")[0] not in SECTIONS or key in NEVER:
        return (
            f"{key}: is no parameter of a trial; allowed: those of "
            f"{', '.join(SECTIONS)} in "
            f"params.yaml, but {', '.join(NEVER)}"
        )
    try:
        values = [content] if part == "fixed" else content
        if isinstance(values, Mapping):
            low = content["from"]
            values = [low, content["to"], low + content.get("step", 0)]
        problem = next(filter(None, (_misfit(key, value) for value in values)), "")
        if not problem and part == "space":
            _drawn(optuna.create_study().ask(), key, content)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return f"{key}: {shown(content)} is not allowed; allowed: {_ENTRY}"
    return problem


def _misfit(key: str, value: object) -> str:
    """The line that says what is wrong with a value by itself; nothing if it fits."""
    section, _, own = key.partition(".")
    lines: list[str] = []
    try:
        parse_params({section: {own: value}})
    except ParameterError as error:  # at least, all others are missing
        lines = str(error).splitlines()
    return next((line for line in lines if line.startswith(f"{key}:")), "")


@cache
def _is_integer(key: str) -> bool:
    """Whether a parameter takes whole numbers alone: what its field says to a half."""
    return all(_misfit(key, half) for half in (0.5, 1.5))
