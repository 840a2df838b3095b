"""Counts, places and energies in words."""

import re
from collections.abc import Sequence

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.estimates import Amount, Energy
from spikejoule.energy.summary import joules, narrow_rival

VERDICTS = {
    "snn": "spiking network needs less",
    "ann": "baseline needs less",
    "undecided": "undecided",
}


def energy_words(energy: Energy, digits: int = 4) -> str:
    """A mean, or the bracket where there is nothing else."""
    if energy.value is not None:
        return joules(energy.value.mean, digits)
    return f"{joules(energy.low.mean, digits)} to {joules(energy.high.mean, digits)}"


def amount_words(amount: Amount, digits: int = 4) -> str:
    """The value, or the bracket where there is nothing else."""
    if amount.value_pj is not None:
        return joules(amount.value_pj, digits)
    return f"{joules(amount.low_pj, digits)} to {joules(amount.high_pj, digits)}"


def middle_pj(amount: Amount) -> float:
    """The value; of a bracket alone, its upper end."""
    return amount.high_pj if amount.value_pj is None else amount.value_pj


def interval_words(energy: Energy) -> str:
    """The mean's lowest and highest value, by the interval and the prices' bracket."""
    low, high = joules(energy.lowest_pj), joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"


def term_words(term: str) -> str:
    """A term as people write it."""
    return re.sub(r"\bmac\b", "MAC", term.replace("_", " "))


def place_words(place: str) -> str:
    """A layer's name, or a connection as an arrow."""
    return place.replace("_to_", " → ")


def ratio_words(item: Comparison) -> str:
    """The ratio of energies with its interval."""
    span = f"{item.ratio.low:.3g} to {item.ratio.high:.3g}"
    return span if item.ratio.value is None else f"{item.ratio.value:.3g} ({span})"


def verdict_words(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Whether the spiking network wins under the chosen profile, and under which it loses."""
    chosen = analysis.chosen_inference
    name = chosen.profile.title
    sentences = []
    if chosen.wins == "ann":
        losing = [item.name for item in chosen.comparisons if item.verdict == "ann"]
        sentences.append(
            f"The spiking network loses: under {name} it needs more energy than {_and(losing)}."
        )
    elif chosen.wins == "snn":
        sentences.append(f"Under {name} the spiking network needs less energy than every baseline.")
    elif chosen.wins == "undecided":
        sentences.append(
            f"Under {name} it is undecided whether the spiking network needs less energy than the "
            "baselines: the interval of a ratio holds 1."
        )
    elif not analysis.inputs.baselines:
        sentences.append("No baseline was counted: what follows is the spiking network alone.")
    else:
        sentences.append(
            f"{name} has no price of a multiply-accumulate: under it no baseline can be compared."
        )
    lost = [
        entry.profile.title
        for entry in analysis.inference
        if entry.wins == "ann" and entry is not chosen
    ]
    if lost:
        sentences.append(f"It loses to some baseline under {_and(lost)}.")
    note = narrow_rival(analysis)
    if note is not None:
        sentences.append(note)
    return tuple(sentences)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"
