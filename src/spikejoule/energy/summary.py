"""The analysis in words for a terminal, the answer first, and as plain values for programs."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from spikejoule.core.text import NOT_RECORDED, Rows, number, render, text_table
from spikejoule.energy.analysis import EnergyAnalysis
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.estimates import Amount, Energy, joules
from spikejoule.energy.inputs import AnalysisInputs
from spikejoule.energy.statistics import BootstrapSettings
from spikejoule.energy.tables import headline
from spikejoule.energy.verdict import Verdict
from spikejoule.energy.verdict_rows import VerdictRow
from spikejoule.energy.verdict_words import (
    EQUAL_SIZE,
    accuracy_words,
    break_even_sentences,
    ratio_words,
    static_sentences,
    verdict_sentences,
)
from spikejoule.evaluation.measurement import EnergyProxies


def verdict_lines(analysis: EnergyAnalysis) -> tuple[str, ...]:
    """The verdict at equal accuracy, the network's own energy, the comparison of equal sizes."""
    chosen, n_images = analysis.chosen_inference, analysis.inputs.n_images
    samples = analysis.inputs.subject.samples
    counted = f"{samples} not recorded" if n_images is None else f"{n_images:,} {samples}"
    total = chosen.total
    bracket = f"{joules(total.lowest_pj)} to {joules(total.highest_pj)}"
    mean = bracket if total.value is None else joules(total.value.mean)
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
    parts = [
        title,
        "",
        *(f"  {line}" for line in verdict_lines(analysis)),
        "",
        render("Network", [("Measured", _facts(analysis))]),
        "Energy per inference by hardware profile",
        _profiles(analysis),
        "",
        f"Energy per inference by term, under {analysis.chosen}",
        _terms(analysis),
        "",
        *_training(analysis),
        "What is counted and assumed",
        *(f"  - {sentence}" for sentence in analysis.assumptions),
        *(f"  - {sentence}" for sentence in _training_assumptions(analysis)),
        "",
    ]
    return "\n".join(parts)


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it; of arrays over images, nothing."""
    return {
        "headline": headline(analysis),
        "answer": list(verdict_lines(analysis)),
        "has_intervals": analysis.has_intervals,
        "bootstrap": _bootstrap(analysis.bootstrap),
        "inputs": _inputs(analysis.inputs),
        "counts": _plain(analysis.counts),
        "inference": _plain(analysis.inference),
        "verdicts": _verdicts(analysis.verdicts),
        "early_verdicts": _verdicts(analysis.early_verdicts),
        "training": _plain(analysis.training),
        "assumptions": list(analysis.assumptions),
    }


def _training_assumptions(analysis: EnergyAnalysis) -> tuple[str, ...]:
    if analysis.inputs.assumed:
        return ()
    if analysis.training is None:
        return ("The checkpoint does not record what the energy of training needs.",)
    return analysis.training.assumptions


def _facts(analysis: EnergyAnalysis) -> Rows:
    inputs, accuracy = analysis.inputs, analysis.inputs.accuracy
    proxies = inputs.proxies
    return [
        ("layers", " - ".join(str(size) for size in inputs.architecture.layer_sizes)),
        ("data", inputs.title),
        inputs.window_in_words,
        (
            "recorded accuracy",
            NOT_RECORDED if accuracy is None else number(accuracy.percent, 2, " %"),
        ),
        ("synaptic events", number(proxies.synaptic_events_per_inference, 1)),
        *input_macs_row(proxies),
        *_value_macs_row(inputs),
        ("dense operations", number(proxies.dense_operations_per_inference)),
        ("sparsity ratio", f"{proxies.sparsity_ratio:.6f}"),
        ("neuron updates", inputs.updates_in_words),
        *inputs.facts,
    ]


def _value_macs_row(inputs: AnalysisInputs) -> Rows:
    macs = inputs.value_macs_per_inference
    return [] if macs is None else [("MACs of values that are no spikes", number(macs, 1))]


def input_macs_row(proxies: EnergyProxies) -> Rows:
    """The products of constant currents, if the input has them."""
    macs = proxies.input_macs_per_inference
    return [] if macs is None else [("input MACs", number(macs, 1))]


def _profiles(analysis: EnergyAnalysis) -> str:
    names = [item.name for item in analysis.chosen_inference.comparisons]
    header = ("profile", "scope", "evidence", "low", "value", "high", *names)
    rows = [
        (
            entry.profile.id,
            entry.profile.scope,
            entry.profile.evidence,
            *_cells(entry.total),
            *(_ratio(entry.comparisons, name) for name in names),
        )
        for entry in analysis.inference
    ]
    return text_table(header, rows)


def _ratio(comparisons: Sequence[Any], name: str) -> str:
    for item in comparisons:
        if item.name == name and item.ratio.value is not None:
            return f"x {item.ratio.value:.3g}"
    return "-"


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
    rows = [(phase, *_amount(amount)) for phase, amount in training.by_phase.items()]
    rows.append(("total", *_amount(training.total)))
    if training.per_percentage_point is not None:
        rows.append(("per percentage point", *_amount(training.per_percentage_point)))
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


def _cells(energy: Energy) -> tuple[str, str, str]:
    value = "-" if energy.value is None else joules(energy.value.mean)
    return joules(energy.low.mean), value, joules(energy.high.mean)


def _amount(amount: Amount) -> tuple[str, str, str]:
    value = "-" if amount.value_pj is None else joules(amount.value_pj)
    return joules(amount.low_pj), value, joules(amount.high_pj)


def _inputs(inputs: AnalysisInputs) -> dict[str, Any]:
    macs = inputs.value_macs_per_inference
    return {
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
    }


def _verdicts(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [VerdictRow.of(verdict).model_dump() for verdict in verdicts]


def _bootstrap(settings: BootstrapSettings) -> dict[str, Any]:
    return {
        "samples": settings.resamples,
        "confidence": settings.confidence,
        "seed": settings.seed,
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        said = ("name", "verdict") if isinstance(value, Comparison) else ()
        return {name: getattr(value, name) for name in said} | {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in _OF_IMAGES
        }
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


_OF_IMAGES: Final = {"operations"}
