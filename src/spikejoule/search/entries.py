"""Entries of search.yaml: fixed values, and the lists and ranges that trials draw from.

A value must be allowed by its own field in `spikejoule.params`.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import Value
from spikejoule.params import parse_params

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SECTIONS: Final = ("encode", "model", "train", "baseline")
FAMILY: Final = tuple(
    f"baseline.family_{name}" for name in ("hidden", "pruned", "bits", "bias")
)
"""Keys of a run's conventional networks. A trial makes them a family of one."""

NEVER: Final = (
    *("train.engine", "train.device", "train.threads", "train.resume"),
    *("baseline.weight_bits", *FAMILY),
)
"""Keys that no trial may set: they change no result, or need other networks."""

# Significant digits of a drawn number: few, since a trial's command must state them.
_DIGITS = 4
_DIGITS_OF_STEPS = 10
_ENTRY = (
    "a list of values, or a range {from: A, to: B} of numbers with A below B, and with "
    "a step up to B - A, or log: true if A is above 0"
)


def drawn(trial: "BaseTrial", key: str, content: Any) -> Value:
    """Draw a value of an entry; Python's own errors if it is neither list nor range."""
    if isinstance(content, list):
        # Optuna's choices are scalars: a list, such as several hidden layers, is chosen
        # by its JSON text.
        names = [
            json.dumps(value) if isinstance(value, list) else value for value in content
        ]
        chosen: Value = content[names.index(trial.suggest_categorical(key, names))]
        return chosen
    options = {**content}
    low = options.pop("from")
    high = options.pop("to")
    step = content.get("step")
    if step is not None:
        # The last step within the range; 1e-9 allows for 0.3 / 0.1 below 3.
        high = low + step * math.floor((high - low) / step + 1e-9)
    if _is_integer(key):
        number: int = trial.suggest_int(key, low, high, **options)
        return number
    drawn = trial.suggest_float(key, low, high, **options)
    digits = _DIGITS if step is None else _DIGITS_OF_STEPS
    return min(max(float(f"{drawn:.{digits}g}"), float(low)), float(high))


def problem_of(key: str, content: Any, part: str) -> str:
    """Say in one line what is wrong with an entry; empty if nothing is.

    Args:
        key: full key of the parameter.
        content: the fixed value, or the list or range to search.
        part: ``fixed`` or ``space``.
    """
    import optuna

    if key.partition(".")[0] not in SECTIONS or key in NEVER:
        return (
            f"{key} is not a parameter of a trial; allowed: those of "
            f"{', '.join(SECTIONS)} in params.yaml, but {', '.join(NEVER)}"
        )
    try:
        values = [content] if part == "fixed" else content
        if isinstance(values, Mapping):
            low = content["from"]
            values = [low, content["to"], low + content.get("step", 0)]
        problem = next(filter(None, (_misfit(key, value) for value in values)), "")
        if not problem and part == "space":
            drawn(optuna.create_study().ask(), key, content)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return f"{key}: {shown(content)} is not allowed; allowed: {_ENTRY}"
    return problem


def _misfit(key: str, value: object) -> str:
    """Say in one line what is wrong with a single value; empty if nothing is."""
    section, _, name = key.partition(".")
    lines: list[str] = []
    try:
        parse_params({section: {name: value}})
    except ParameterError as error:  # always: all other parameters are missing
        lines = str(error).splitlines()
    return next((line for line in lines if line.startswith(f"{key}:")), "")


@cache
def _is_integer(key: str) -> bool:
    """Whether a parameter is a whole number: its field refuses halves."""
    return all(_misfit(key, half) for half in (0.5, 1.5))
