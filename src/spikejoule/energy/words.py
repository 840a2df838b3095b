"""The analysis in words: sentences that page, card and terminal share, and plain values for JSON.

The first sentence of the verdict says who wins, and a loss as plainly as a win.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spikejoule.core.text import NOT_RECORDED, Rows, number, render, text_table
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis
from spikejoule.energy.comparison import Choice, Comparison, Outcome, Ratio, Verdict
from spikejoule.energy.estimates import Amount, Energy, energy_words, joules, range_words
from spikejoule.energy.ledger import Variant
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


@dataclasses.dataclass(frozen=True)
class Standing:
    """A spiking network against the cheapest conventional one of at least its accuracy, by a
    profile.

    Attributes:
        verdict: against the networks of its own run.
        network: the cheapest of all that are known, and how it is run; "" if none reaches the
            accuracy.
        accuracies: that one's, in words.
        energy: that one's, in words.
        ratio: the spiking network's energy over it; None unless both reach the accuracy.
        is_recorded: whether it is of a recorded run, and not of this one.
    """

    verdict: Verdict
    network: str
    accuracies: str
    energy: str
    ratio: Ratio | None
    is_recorded: bool

    @classmethod
    def of(cls, verdict: Verdict, recorded: Sequence[FrontsRow] = ()) -> "Standing":
        """A verdict among conventional networks of recorded runs, too."""
        own, snn = verdict.conventional, verdict.spiking
        reaching = [
            row
            for row in recorded
            if row.profile == verdict.profile.id and row.validation_percent >= verdict.level_percent
        ]
        best = min(reaching, key=lambda row: row.middle_pj, default=None)
        if own is not None and (
            best is None or own.energy.middle_pj <= best.middle_pj * (1 + _ROUNDING)
        ):
            words = accuracy_words(own.variant)
            energy = energy_words(own.energy)
            return cls(verdict, own.variant.name, words, energy, verdict.ratio, False)
        if best is None:
            return cls(verdict, "", "", "", None, False)
        return cls(
            verdict,
            best.network,
            f"{best.validation_percent:.2f} % validation, {best.test_percent:.2f} % test",
            range_words(best.pj_low, best.pj, best.pj_high, 4),
            None if snn is None else _ratio_to(best, snn.energy),
            True,
        )

    @property
    def outcome(self) -> Outcome:
        """Who wins."""
        return self.verdict.outcome if self.ratio is None else self.ratio.verdict

    @property
    def network_words(self) -> str:
        """The network that is compared with, with its accuracies and where it is from."""
        if not self.network:
            return "nobody reaches it"
        recorded = ", recorded" if self.is_recorded else ""
        return f"{self.network} ({self.accuracies}{recorded})"


def _ratio_to(row: FrontsRow, energy: Energy) -> Ratio:
    """An energy over a recorded one, from the least to the most by both their ranges."""
    value = energy.value_pj / row.pj if energy.value_pj is not None and row.pj else None
    low = energy.lowest_pj / row.pj_high if row.pj_high else float("inf")
    return Ratio(value, low, energy.highest_pj / row.pj_low if row.pj_low else float("inf"))


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
    under = analysis.verdict_profile
    names = {row.network.rpartition(", ")[0] for row in recorded if row.profile == under}
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
            f"The profile {analysis.verdict_profile} does not compare this network with "
            "conventional ones."
        ]
    else:
        among = compared_words(analysis, recorded, aside)
        samples = analysis.inputs.subject.samples
        sentences = [_first(Standing.of(verdict, recorded), verdict.spiking, samples, among)]
    if early is not None and early.spiking is not None:
        ratio = Standing.of(early, recorded).ratio
        if ratio is not None:
            sentences.append(
                f"With early exit it needs {energy_words(early.spiking.energy)}, "
                f"{ratio_words(ratio)} times what the cheapest of equal accuracy does."
            )
    standings = [Standing.of(one, recorded) for one in analysis.verdicts]
    if standings:
        ratios = [one.ratio.value for one in standings if one.ratio is not None and one.ratio.value]
        spread = ""
        if ratios:
            spread = "; where prices have a value, the ratio is "
            spread += f"{min(ratios):.3g} to {max(ratios):.3g}"
        wins = sum(one.outcome == "snn" for one in standings)
        sentences.append(
            f"It wins under {wins} of the {len(standings)} profiles that compare{spread}."
        )
    return tuple(sentences)


def _first(standing: Standing, snn: Choice, samples: str, among: str) -> str:
    level = f"{standing.verdict.level_percent:.2f} % on validation {samples}"
    under, needs = (
        f"under {standing.verdict.profile.id}",
        f"{energy_words(snn.energy)} per inference",
    )
    if standing.ratio is None:
        return (
            f"At its accuracy ({level}) it stands alone {under}: none of {among} reaches it. It "
            f"needs {needs}."
        )
    outcome = {
        "ann": "The spiking network loses at equal accuracy ({}) {}",
        "snn": "The spiking network wins at equal accuracy ({}) {}",
        "undecided": "Undecided at equal accuracy ({}) {}, since the range of the ratio holds 1",
    }[standing.ratio.verdict].format(level, under)
    return (
        f"{outcome}: {needs}, {ratio_words(standing.ratio)} times the {standing.energy} of "
        f"{standing.network_words}, the cheapest of at least that accuracy among {among}."
    )


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
    profiles = [entry.profile for entry in analysis.inference]
    drawn = [one.static_energy_pj(inputs.time_window, inputs.step_us) for one in profiles]
    return tuple(
        f"Static power of {profile.id}, assumed and in no total: {joules(ends[0])} to "
        f"{joules(ends[1])} per inference at {inputs.step_us:g} µs a step."
        for profile, ends in zip(profiles, drawn, strict=True)
        if ends is not None
    )


def ratio_words(ratio: Ratio) -> str:
    """A ratio of energies with its interval."""
    span = f"{ratio.low:.3g} to {ratio.high:.3g}"
    return span if ratio.value is None else f"{ratio.value:.3g} ({span})"


def accuracy_words(variant: Variant) -> str:
    """The accuracies of a network: ``98.57 % validation, 98.72 % test``."""
    known = variant.accuracies
    if known is None:
        return "accuracy not recorded"
    return f"{known.validation_percent:.2f} % validation, {known.test_percent:.2f} % test"


def verdict_lines(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """The verdict at equal accuracy, the network's own energy, the comparison of equal sizes."""
    chosen, n_images = analysis.chosen_inference, analysis.inputs.n_images
    samples, total = analysis.inputs.subject.samples, chosen.total
    counted = f"{samples} not recorded" if n_images is None else f"{n_images:,} {samples}"
    bracket = f"{joules(total.lowest_pj)} to {joules(total.highest_pj)}"
    mean = bracket if total.value_pj is None else joules(total.value_pj)
    if not analysis.has_intervals:
        extent = f"a mean, {counted}: no interval"
    elif total.value is None:
        extent = f"prices in brackets, {counted}"
    else:
        extent = f"{100 * analysis.bootstrap.confidence:g} % interval {bracket}, {counted}"
    sizes = [
        f"Equal size, not accuracy: {ratio_words(item.ratio)} times the energy of {item.name} "
        f"({accuracy_words(item.baseline)}): {EQUAL_SIZE[item.verdict]}."
        for item in chosen.comparisons
    ]
    return (
        *verdict_sentences(analysis),
        *break_even_sentences(analysis),
        f"{mean} per inference under {chosen.profile.id} ({extent}).",
        *sizes,
        *static_sentences(analysis),
        chosen.contains,
    )


def energy_text(title: str, analysis: EnergyAnalysis) -> str:
    """All of it as text: the answer, every profile, terms, training, assumptions."""
    assumptions = [*analysis.assumptions]
    if not analysis.inputs.assumed:
        none = ("The checkpoint does not record what the energy of training needs.",)
        assumptions += none if analysis.training is None else analysis.training.assumptions
    parts = [
        title,
        "",
        *(f"  {line}" for line in verdict_lines(analysis)),
        "",
        render("Network", [("Measured", _facts(analysis.inputs))]),
        "Energy per inference by hardware profile",
        _profiles(analysis),
        "",
        f"Energy per inference by term, under {analysis.chosen}",
        _terms(analysis),
        "",
        *_training(analysis),
        "What is counted and assumed",
        *(f"  - {sentence}" for sentence in assumptions),
        "",
    ]
    return "\n".join(parts)


def _facts(inputs: AnalysisInputs) -> Rows:
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


def _profiles(analysis: EnergyAnalysis) -> str:
    names = [item.name for item in analysis.chosen_inference.comparisons]
    rows = []
    for entry in analysis.inference:
        known = {item.name: item.ratio.value for item in entry.comparisons}
        ratios = [known.get(name) for name in names]
        cells = ["-" if ratio is None else f"x {ratio:.3g}" for ratio in ratios]
        profile = entry.profile
        rows.append((profile.id, profile.scope, profile.evidence, *_cells(entry.total), *cells))
    return text_table(("profile", "scope", "evidence", "low", "value", "high", *names), rows)


def _terms(analysis: EnergyAnalysis) -> str:
    chosen = analysis.chosen_inference
    energies = {(item.term, item.place): item.energy for item in chosen.by_term}
    rows = []
    for item in analysis.counts:
        energy = energies.get((item.term, item.place))
        covered = "within another" if item.term in chosen.covered else "unpriced"
        cells = (covered, "", "") if energy is None else _cells(energy)
        rows.append((item.term, item.place, number(item.count.mean, 1), *cells))
    return text_table(("term", "layer", "operations", "low", "value", "high"), rows)


def _training(analysis: EnergyAnalysis) -> list[str]:
    training = analysis.chosen_training
    if training is None or analysis.training is None:
        return []
    amounts = [*training.by_phase.items(), ("total", training.total)]
    if training.per_percentage_point is not None:
        amounts.append(("per percentage point", training.per_percentage_point))
    rows = [(phase, *_cells(amount)) for phase, amount in amounts]
    lines = [
        f"Energy of training, under {analysis.chosen}: {analysis.training.n_epochs} epochs, "
        f"{analysis.training.samples:,} samples",
        text_table(("phase", "low", "value", "high"), rows),
        f"  {training.contains}",
    ]
    if training.inferences_of_the_same_energy is not None:
        lines.append(f"  As much as {training.inferences_of_the_same_energy:,.0f} inferences.")
    for name, inferences in training.inferences_to_amortise.items():
        paid = "never" if inferences is None else f"after {inferences:,.0f} inferences"
        lines.append(f"  The saving against {name} has paid for it {paid}.")
    return [*lines, ""]


def _cells(energy: Energy | Amount) -> tuple[str, str, str]:
    middle = "-" if energy.value_pj is None else joules(energy.value_pj)
    return joules(energy.low_pj), middle, joules(energy.high_pj)


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it; of arrays over images, nothing."""
    inputs, bootstrap = analysis.inputs, analysis.bootstrap
    macs = inputs.value_macs_per_inference
    return {
        "headline": headline(analysis),
        "answer": list(verdict_lines(analysis)),
        "has_intervals": analysis.has_intervals,
        "bootstrap": {
            "samples": bootstrap.resamples,
            "confidence": bootstrap.confidence,
            "seed": bootstrap.seed,
        },
        "inputs": {
            "data": inputs.title,
            "layer_sizes": list(inputs.architecture.layer_sizes),
            "time_window": inputs.time_window,
            "max_rate_hz": inputs.encoder.rate_hz,
            "accuracy": _plain(inputs.accuracy),
            "n_images": inputs.n_images,
            "spikes_per_inference": inputs.spikes_per_inference,
            "proxies": inputs.proxies.as_metrics(),
            **({} if macs is None else {"value_macs_per_inference": macs}),
            **({"graph": dict(inputs.facts)} if inputs.facts else {}),
        },
        "counts": _plain(analysis.counts),
        "inference": _plain(analysis.inference),
        "verdicts": _verdicts(analysis.verdicts),
        "early_verdicts": _verdicts(analysis.early_verdicts),
        "training": _plain(analysis.training),
        "assumptions": list(analysis.assumptions),
    }


def _verdicts(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [VerdictRow.of(verdict).model_dump() for verdict in verdicts]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        named = ("name", "verdict") if isinstance(value, Comparison) else ()
        fields = (field.name for field in dataclasses.fields(value) if field.name != "operations")
        return {name: _plain(getattr(value, name)) for name in (*named, *fields)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
