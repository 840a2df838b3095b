"""The space of parameters that a search draws from, with the ranges that params.yaml has."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spikejoule.core.errors import ParameterError
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.engine.choice import choose_engine
from spikejoule.params import Params, Value, Values, parse_params
from spikejoule.search.entries import (
    Choice,
    Range,
    Suggests,
    chooses_a_kind,
    entry_of,
    problems_of,
    section_of,
)
from spikejoule.search.settings import SYNAPTIC_EVENTS, SearchSettings

TRIED: Final = 200
"""Combinations that are drawn before a space is refused in which none is allowed."""


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
        for kinds in section_of(name).choices():
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
        for problem in problems_of(key, content, part)
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
    made = [entry_of(key, content) for key, content in entries.items()]
    made.sort(key=lambda entry: not chooses_a_kind(entry.key))
    return SearchSpace(base, tuple(made))


def check_possible(space: SearchSpace, profile: HardwareProfile | None, file: str) -> None:
    """Raise ParameterError if no combination of the space seems to be allowed.

    That is, none of so many random ones (:data:`TRIED`); the message has the last one's problem.
    """
    draws, problem = _RandomDraws(), ""
    for _ in range(TRIED):
        try:
            check_trial(space.params(space.draw(draws)), profile)
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(f"{file}: none of {TRIED} combinations of the space is allowed: {problem}")


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
