"""Sentences: the templates of the folder `sentences`, filled in, and one thing in words
each.

Page, card, terminal and JSON share them. A template is data, not code: every line of it
that is left is a sentence. A function of this module is a filter of its name in a
template, and so it is on the page.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from spikejoule.energy.comparison import RunVerdict
from spikejoule.energy.estimates import energy_words, interval_words, joules, plain
from spikejoule.energy.ledger import Accuracies
from spikejoule.energy.notes import sentence
from spikejoule.energy.prices import (
    EVIDENCE,
    NUMBERS,
    SCOPES,
    AnyPrice,
    HardwareProfile,
    PriceByWidth,
)
from spikejoule.energy.terms import in_words

if TYPE_CHECKING:
    from jinja2 import Environment

    from spikejoule.energy.analysis import AnalysisInputs


OUTCOMES: Final = {
    "snn": "spiking network wins",
    "ann": "conventional network wins",
    "undecided": "undecided",
}


def place(name: str) -> str:
    """A layer, or a connection by its ends."""
    return name.replace("_to_", " → ")


def number(verdict: RunVerdict) -> str:
    """How many times the energy, without the interval; of a bound the end that
    bounds.
    """
    low = verdict.ratio_low
    ratio = verdict.ratio
    high = verdict.ratio_high
    bound = verdict.ratio_bound
    if not bound:
        return f"{plain(low)} to {plain(high)}" if ratio is None else plain(ratio)
    if ratio is None:
        ratio = low if bound == "at least" else high
    return f"{bound} {plain(ratio)}"


def ratio(verdict: RunVerdict) -> str:
    """The same with its interval, where it is a number."""
    if verdict.ratio is None or verdict.ratio_bound:
        return number(verdict)
    return (
        f"{number(verdict)} ({plain(verdict.ratio_low)} to {plain(verdict.ratio_high)})"
    )


def under(profile: HardwareProfile) -> str:
    """A price list by its title."""
    return f"under “{profile.title}”"


def _percents(validation: float | None, test: float | None) -> str:
    if validation == test:
        return f"{test:.2f} % correct"
    return f"{validation:.2f} % validation, {test:.2f} % test"


def accuracy(known: Accuracies | None) -> str:
    """On validation and test images; once, if they are the same."""
    if known is None:
        return "accuracy not recorded"
    return _percents(known.validation_percent, known.test_percent)


def baseline(verdict: RunVerdict) -> str:
    """The conventional network of a verdict."""
    percents = (
        verdict.conventional_validation_percent,
        verdict.conventional_test_percent,
    )
    return f"{verdict.conventional} ({_percents(*percents)})"


def price(cost: AnyPrice) -> str:
    """What an operation costs."""
    if isinstance(cost, str):
        return "by the memory's size"
    if isinstance(cost, PriceByWidth):
        parts = {
            "": cost.constant,
            " a bit": cost.per_bit,
            " a bit squared": cost.per_bit_squared,
        }
        return " and ".join(f"{joules(pj)}{unit}" for unit, pj in parts.items() if pj)
    span = f"{joules(cost.low_pj)} to {joules(cost.high_pj)}"
    if cost.value_pj is None:
        return span
    return joules(cost.value_pj) + ("" if cost.low_pj == cost.high_pj else f" ({span})")


def window_label(inputs: "AnalysisInputs") -> str:
    """What `window` says."""
    return "window" if inputs.rate_hz is None else "window, maximum rate"


def window(inputs: "AnalysisInputs") -> str:
    """How long an inference takes, and the rate of an encoding."""
    words = f"{inputs.operations.time_window * inputs.step_ms:g} ms"
    if inputs.step_ms != 1:
        words += f" in {inputs.operations.time_window} steps"
    return words if inputs.rate_hz is None else f"{words}, {inputs.rate_hz:g} Hz"


def updates(inputs: "AnalysisInputs") -> str:
    """Neuron updates per inference, and those of event-driven hardware."""
    clocked, lazy = inputs.neuron_updates
    words = "not recorded" if lazy is None else f"{lazy:,.1f}"
    if inputs.network.has_bias:
        words = "as many, since every neuron has a bias"
    return f"{clocked:,}, on event-driven hardware {words}"


@cache
def templates() -> "Environment":
    """The engine of the templates, without escaping: its sentences are plain text."""
    # Here and not above: a served model has no jinja2, and prints no sentences.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701
        loader=PackageLoader("spikejoule.energy", "sentences"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = (
        accuracy,
        baseline,
        number,
        place,
        price,
        ratio,
        sentence,
        under,
        updates,
        window,
        window_label,
    )
    environment.filters |= {function.__name__: function for function in own}
    environment.filters |= {
        "joules": joules,
        "plain": plain,
        "energy": energy_words,
        "term": in_words,
        "terms": lambda names: in_words(*names),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "interval": interval_words,
    }
    environment.globals |= {
        "EVIDENCE": EVIDENCE,
        "NUMBERS": NUMBERS,
        "OUTCOMES": OUTCOMES,
        "SCOPES": SCOPES,
    }
    return environment


def sentences(template: str, **values: Any) -> tuple[str, ...]:
    """The lines of a template that are left with these values."""
    lines = templates().get_template(f"{template}.j2").render(values).splitlines()
    return tuple(line.strip() for line in lines if line.strip())
