"""The analysis in words: sentences that page, card and terminal share, and plain values for JSON.

The first sentence of the verdict says who wins, and a loss as plainly as a win.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from spikejoule.core.text import NOT_RECORDED, Rows, number
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis
from spikejoule.energy.comparison import Choice, Ratio, Verdict
from spikejoule.energy.estimates import Energy, energy_words, joules
from spikejoule.energy.ledger import Accuracies
from spikejoule.energy.prices import AnyPrice, Price, PriceByWidth
from spikejoule.energy.tables import FrontsRow, VerdictRow, headline
from spikejoule.evaluation.measurement import EnergyProxies

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
# Of two energies that differ by less, one was rounded when it was recorded.
_ROUNDING: Final = 1e-6


def among_recorded(verdict: Verdict, recorded: Sequence[FrontsRow]) -> Verdict:
    """A verdict among conventional networks of recorded runs, too: the cheapest of all."""
    own, level = verdict.conventional, verdict.level_percent or 0.0
    reaching = [
        row
        for row in recorded
        if row.profile == verdict.profile.id and row.validation_percent >= level
    ]
    best = min(reaching, key=lambda row: row.middle_pj, default=None)
    if best is None or (own and own.energy.middle_pj <= best.middle_pj * (1 + _ROUNDING)):
        return verdict
    energy = Energy(best.pj_low, best.pj, best.pj_high)
    accuracies = Accuracies(best.validation_percent, best.test_percent)
    ratio = None if verdict.spiking is None else _ratio_to(energy, verdict.spiking.energy)
    other = Choice(best.network, accuracies, energy, is_recorded=True)
    return replace(verdict, conventional=other, ratio=ratio)


def _ratio_to(recorded: Energy, energy: Energy) -> Ratio:
    """An energy over a recorded one, from the least to the most by both their ranges."""
    value = None
    if energy.value_pj is not None and recorded.value_pj:
        value = energy.value_pj / recorded.value_pj
    low, high = (
        over / under if under else float("inf")
        for over, under in (
            (energy.lowest_pj, recorded.high_pj),
            (energy.highest_pj, recorded.low_pj),
        )
    )
    return Ratio(value, low, high)


def choice_words(choice: Choice | None) -> str:
    """A network that is compared with, with its accuracies and where it is from."""
    if choice is None:
        return "nobody reaches it"
    recorded = ", recorded" if choice.is_recorded else ""
    return f"{choice.name} ({accuracy_words(choice.accuracies)}{recorded})"


def compared_words(
    analysis: EnergyAnalysis, recorded: Sequence[FrontsRow] = (), aside: str = ""
) -> str:
    """Which conventional networks the verdict's profile compares with: how many, and whose.

    Args:
        analysis: with this run's own.
        recorded: conventional networks of recorded runs.
        aside: what else there is to say where none of these was compared.
    """
    own = len({one.network for one in analysis.baselines})
    names = {
        row.network.rpartition(", ")[0] for row in recorded if row.profile == analysis.judging.id
    }
    if names:
        return (
            f"{own + len(names)} conventional networks ({own} of this run, and the "
            f"{len(names)} of recorded runs that no other recorded one beats)"
        )
    return f"{own} conventional network{'' if own == 1 else 's'} (of this run alone{aside})"


def verdict_sentences(
    analysis: EnergyAnalysis, recorded: Sequence[FrontsRow] = (), aside: str = ""
) -> tuple[str, ...]:
    """Who needs less energy at equal accuracy, among networks of recorded runs, too, if they are
    given (see `compared_words`); why it cannot be said, if it cannot."""
    verdict, early = analysis.verdict, analysis.early_verdict
    if not analysis.inputs.baselines:
        return ("No conventional network was counted: what follows is the spiking network alone.",)
    if analysis.inputs.variant.accuracies is None:
        return (
            "The file does not record the network's validation accuracy, so that no conventional "
            "network can be chosen for it.",
        )
    if verdict is None or verdict.spiking is None:
        sentences = [
            f"The profile {analysis.judging.id} does not compare this network with conventional "
            "ones."
        ]
    else:
        among = compared_words(analysis, recorded, aside)
        samples = analysis.inputs.subject.samples
        first = _first(among_recorded(verdict, recorded), verdict.spiking, samples, among)
        sentences = [first]
    if early is not None and early.spiking is not None:
        ratio = among_recorded(early, recorded).ratio
        if ratio is not None:
            sentences.append(
                f"With early exit it needs {energy_words(early.spiking.energy)}, "
                f"{ratio_words(ratio)} times what the cheapest of equal accuracy does."
            )
    standings = [among_recorded(one, recorded) for one in analysis.verdicts]
    if standings:
        ratios = [one.ratio.value for one in standings if one.ratio and one.ratio.value]
        spread = ""
        if ratios:
            spread = "; where prices have a value, the ratio is "
            spread += f"{min(ratios):.3g} to {max(ratios):.3g}"
        wins = sum(one.outcome == "snn" for one in standings)
        sentences.append(
            f"It wins under {wins} of the {len(standings)} profiles that compare{spread}."
        )
    return tuple(sentences)


def _first(verdict: Verdict, snn: Choice, samples: str, among: str) -> str:
    level = f"{verdict.level_percent:.2f} % on validation {samples}"
    under, needs = f"under {verdict.profile.id}", f"{energy_words(snn.energy)} per inference"
    if verdict.ratio is None or verdict.conventional is None:
        return (
            f"At its accuracy ({level}) it stands alone {under}: none of {among} reaches it. It "
            f"needs {needs}."
        )
    outcome = {
        "ann": "The spiking network loses at equal accuracy ({}) {}",
        "snn": "The spiking network wins at equal accuracy ({}) {}",
        "undecided": "Undecided at equal accuracy ({}) {}, since the range of the ratio holds 1",
    }[verdict.outcome].format(level, under)
    other = verdict.conventional
    return (
        f"{outcome}: {needs}, {ratio_words(verdict.ratio)} times the {energy_words(other.energy)} "
        f"of {choice_words(other)}, the cheapest of at least that accuracy among {among}."
    )


def break_even_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """Where the network would stop losing, or winning, against the baseline of equal accuracy."""
    verdict = analysis.verdict
    if verdict is None or verdict.conventional is None or verdict.break_even is None:
        return ()
    name, limit = verdict.conventional.name, verdict.break_even
    if limit.spikes_per_input is None:
        return (f"Against {name} it would lose even without a single spike.",)
    return (
        f"Break-even against {name}: {limit.spikes_per_input:.3g} spikes an input (it has "
        f"{limit.measured_spikes_per_input:.3g}), all spikes in proportion, all else as it is.",
    )


def static_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """The static power of the profiles that state one, if a step's duration was declared."""
    inputs, sentences = analysis.inputs, []
    for profile in analysis.ledger.profiles:
        ends = profile.static_energy_pj(inputs.time_window, inputs.step_us)
        if ends is not None:
            sentences.append(
                f"Static power of {profile.id}, assumed and in no total: {joules(ends[0])} to "
                f"{joules(ends[1])} per inference at {inputs.step_us:g} µs a step."
            )
    return tuple(sentences)


def training_sentences(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """What a training is worth in inferences; nothing where it is not recorded."""
    if analysis.training is None:
        return ()
    sentences = []
    if analysis.inferences_of_training is not None:
        sentences.append(f"As much as {analysis.inferences_of_training:,.0f} inferences.")
    for name, inferences in analysis.inferences_to_amortise.items():
        paid = "never" if inferences is None else f"after {inferences:,.0f} inferences"
        sentences.append(f"The saving against {name} has paid for it {paid}.")
    return tuple(sentences)


def place_words(place: str) -> str:
    """A layer's name, or a connection as an arrow."""
    return place.replace("_to_", " → ")


def price_words(price: AnyPrice) -> str:
    """The price of an operation."""
    if isinstance(price, PriceByWidth):
        powers = zip(("", " a bit", " a bit squared"), vars(price).values(), strict=True)
        return " and ".join(f"{joules(number)}{unit}" for unit, number in powers if number)
    if not isinstance(price, Price):
        return "by the memory's size"
    span = f"{joules(price.low_pj)} to {joules(price.high_pj)}"
    if price.value_pj is None:
        return span
    value = joules(price.value_pj)
    return value if price.low_pj == price.high_pj else f"{value} ({span})"


def ratio_words(ratio: Ratio) -> str:
    """A ratio of energies with its interval."""
    span = f"{ratio.low:.3g} to {ratio.high:.3g}"
    return span if ratio.value is None else f"{ratio.value:.3g} ({span})"


def interval_words(energy: Energy) -> str:
    """The mean's lowest and highest value, by the interval and the price range."""
    low, high = joules(energy.lowest_pj), joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"


def accuracy_words(known: Accuracies | None) -> str:
    """The accuracies of a network: ``98.57 % validation, 98.72 % test``."""
    if known is None:
        return "accuracy not recorded"
    return f"{known.validation_percent:.2f} % validation, {known.test_percent:.2f} % test"


def verdict_lines(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """The verdict at equal accuracy, the network's own energy, the comparison of equal sizes."""
    n_images, samples = analysis.inputs.n_images, analysis.inputs.subject.samples
    total, sizes = analysis.total(), []
    counted = f"{samples} not recorded" if n_images is None else f"{n_images:,} {samples}"
    bracket = f"{joules(total.lowest_pj)} to {joules(total.highest_pj)}"
    if not analysis.has_intervals:
        extent = f"a mean, {counted}: no interval"
    elif total.value_pj is None:
        extent = f"prices in brackets, {counted}"
    else:
        extent = f"{100 * analysis.bootstrap.confidence:g} % interval {bracket}, {counted}"
    for one in analysis.of_chosen:
        assert one.conventional is not None
        assert one.ratio is not None
        sizes.append(
            f"Equal size, not accuracy: {ratio_words(one.ratio)} times the energy of "
            f"{choice_words(one.conventional)}: {EQUAL_SIZE[one.outcome]}."
        )
    return (
        *verdict_sentences(analysis),
        *break_even_sentences(analysis),
        f"{bracket if total.value_pj is None else joules(total.value_pj)} per inference under "
        f"{analysis.chosen.id} ({extent}).",
        *sizes,
        *static_sentences(analysis),
        analysis.contains,
    )


def fact_rows(inputs: AnalysisInputs) -> Rows:
    """The network and what was measured of it, label and value."""
    proxies, accuracy, macs = inputs.proxies, inputs.accuracy, inputs.value_macs_per_inference
    known = NOT_RECORDED if accuracy is None else number(accuracy.percent, 2, " %")
    of_values = [] if macs is None else [("MACs of values that are no spikes", number(macs, 1))]
    return [
        ("layers", " - ".join(str(size) for size in inputs.architecture.layer_sizes)),
        ("data", inputs.title),
        inputs.window_in_words,
        ("recorded accuracy", known),
        ("synaptic events", number(proxies.synaptic_events_per_inference, 1)),
        *input_macs_row(proxies),
        *of_values,
        ("dense operations", number(proxies.dense_operations_per_inference)),
        ("sparsity ratio", f"{proxies.sparsity_ratio:.6f}"),
        ("neuron updates", inputs.updates_in_words),
        *inputs.facts,
    ]


def input_macs_row(proxies: EnergyProxies) -> Rows:
    """The products of constant currents, if the input has them."""
    macs = proxies.input_macs_per_inference
    return [] if macs is None else [("input MACs", number(macs, 1))]


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it: `energies` are the rows of its table, null for NaN, and
    what is not known of the inputs is left out."""
    inputs, record, table = analysis.inputs, analysis.inputs.training, analysis.table.astype(object)
    told: tuple[str, ...] = ("samples", "optimizer_steps", "n_epochs", "best_epoch")
    told += ("best_validation_accuracy_percent",)
    epochs = [
        {
            "epoch": epoch,
            "validation_accuracy_percent": percent,
            **{phase: asdict(energy) for phase, energy in energies.items()},
        }
        for epoch, percent, energies in analysis.epochs(analysis.chosen)
    ]
    known = {
        "data": inputs.title,
        "layer_sizes": inputs.architecture.layer_sizes,
        "time_window": inputs.time_window,
        "max_rate_hz": inputs.encoder.rate_hz,
        "accuracy": inputs.accuracy and asdict(inputs.accuracy),
        "n_images": inputs.n_images,
        "spikes_per_inference": inputs.spikes_per_inference,
        "proxies": inputs.proxies.as_metrics(),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "graph": dict(inputs.facts) or None,
    }
    return {
        "headline": headline(analysis),
        "answer": verdict_lines(analysis),
        "has_intervals": analysis.has_intervals,
        "bootstrap": asdict(analysis.bootstrap),
        "inputs": {name: value for name, value in known.items() if value is not None},
        "profiles": [profile.model_dump() for profile in analysis.ledger.profiles],
        "energies": table.where(table.notna(), None).to_dict("records"),
        "equal_size": _verdicts(analysis.comparisons),
        "verdicts": _verdicts(analysis.verdicts),
        "early_verdicts": _verdicts(analysis.early_verdicts),
        "training": record and {name: getattr(record, name) for name in told} | {"epochs": epochs},
        "assumptions": inputs.assumptions,
    }


def _verdicts(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """As rows of metrics/verdict.csv; of equal sizes, without what had to be reached."""
    found = []
    for one in verdicts:
        row: dict[str, Any] = {"profile": one.profile.id, "outcome": one.outcome}
        if one.level_percent is not None:
            row = VerdictRow.of(one).model_dump()
        elif one.conventional is not None and one.ratio is not None:
            row |= {"conventional": one.conventional.name, "ratio": asdict(one.ratio)}
        found.append(row | {"break_even": one.break_even and asdict(one.break_even)})
    return found
