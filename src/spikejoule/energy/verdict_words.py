"""The verdict in sentences: the first one says who wins, and a loss as plainly as a win."""

from collections.abc import Sequence

from spikejoule.energy.analysis import EnergyAnalysis
from spikejoule.energy.comparison import Ratio
from spikejoule.energy.contenders import Contender
from spikejoule.energy.estimates import Energy, joules
from spikejoule.energy.static_power import static_energy
from spikejoule.energy.verdict import Verdict, won

OUTCOMES = {
    "snn": "spiking network wins",
    "ann": "conventional network wins",
    "undecided": "undecided",
    "neither": "neither reaches it",
}
EQUAL_SIZE = {
    "snn": "the spiking network needs less",
    "ann": "the spiking network needs more",
    "undecided": "undecided",
}


def verdict_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Who needs less energy at equal accuracy; why it cannot be said, if it cannot."""
    found, verdict = analysis.verdicts, analysis.verdict
    if not analysis.inputs.baselines:
        return ("No conventional network was counted: what follows is the spiking network alone.",)
    if analysis.inputs.contender.accuracies is None:
        return (
            "The file does not record the network's validation accuracy, so that no conventional "
            "network can be chosen for it.",
        )
    sentences = []
    if verdict is None:
        sentences.append(
            f"The profile {analysis.verdict_profile} does not compare this network with "
            "conventional ones."
        )
    else:
        sentences.append(_first(verdict, analysis.inputs.subject.samples))
        early = analysis.early_verdict
        if early is not None and early.spiking is not None and early.ratio is not None:
            sentences.append(
                f"Answering early, it needs {energy_words(early.spiking.energy)}, "
                f"{ratio_words(early.ratio)} times what the cheapest of equal accuracy does."
            )
    if found:
        sentences.append(_over_all(found))
    return tuple(sentences)


def break_even_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Where the network would stop losing, or winning, against the baseline of equal accuracy."""
    item = analysis.equal_accuracy
    if item is None or item.break_even is None:
        return ()
    limit = item.break_even
    if limit.spikes_per_input is None:
        return (f"Against {item.name} it would lose even without a single spike.",)
    return (
        f"Break-even against {item.name}: {limit.spikes_per_input:.3g} spikes an input (it has "
        f"{limit.measured_spikes_per_input:.3g}), all spikes in proportion, all else as it is.",
    )


def static_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """The static power of the profiles that state one, if a step's duration was declared."""
    inputs = analysis.inputs
    found = []
    for entry in analysis.inference:
        drawn = static_energy(entry.profile, inputs.time_window, inputs.step_us)
        if drawn is not None:
            found.append(
                f"Static power of {entry.profile.id}, assumed and in no total: {joules(drawn[0])} "
                f"to {joules(drawn[1])} per inference at {inputs.step_us:g} µs a step."
            )
    return tuple(found)


def energy_words(energy: Energy, digits: int = 4) -> str:
    """A mean, or the bracket where there is nothing else."""
    if energy.value is not None:
        return joules(energy.value.mean, digits)
    return f"{joules(energy.low.mean, digits)} to {joules(energy.high.mean, digits)}"


def ratio_words(ratio: Ratio) -> str:
    """A ratio of energies with its interval."""
    span = f"{ratio.low:.3g} to {ratio.high:.3g}"
    return span if ratio.value is None else f"{ratio.value:.3g} ({span})"


def accuracy_words(contender: Contender) -> str:
    """The accuracies of a network: ``98.57 % validation, 98.72 % test``."""
    known = contender.accuracies
    if known is None:
        return "accuracy not recorded"
    return f"{known.validation_percent:.2f} % validation, {known.test_percent:.2f} % test"


def _first(verdict: Verdict, samples: str) -> str:
    snn, ann, under = verdict.spiking, verdict.conventional, f"under {verdict.profile.id}"
    level = f"{verdict.level_percent:.2f} % on validation {samples}"
    if snn is None:
        return f"No spiking network reaches {level}."
    if ann is None or verdict.ratio is None:
        return (
            f"At its accuracy ({level}) it stands alone {under}: no conventional network that was "
            f"counted reaches it. It needs {energy_words(snn.energy)} per inference."
        )
    against = (
        f"{energy_words(snn.energy)} per inference, {ratio_words(verdict.ratio)} times the "
        f"{energy_words(ann.energy)} of {ann.contender.name} ({accuracy_words(ann.contender)})"
    )
    at = f"at equal accuracy ({level})"
    return {
        "ann": f"The spiking network loses {at} {under}: {against}.",
        "snn": f"The spiking network wins {at} {under}: {against}.",
        "undecided": f"Undecided {at} {under}, since the interval of the ratio holds 1: {against}.",
    }[verdict.ratio.verdict]


def _over_all(found: Sequence[Verdict]) -> str:
    wins, n_profiles = won(found)
    ratios = [one.ratio.value for one in found if one.ratio is not None and one.ratio.value]
    spread = ""
    if ratios:
        spread = (
            f"; where prices are no brackets, the ratio is {min(ratios):.3g} to {max(ratios):.3g}"
        )
    return f"It wins under {wins} of the {n_profiles} profiles that compare{spread}."
