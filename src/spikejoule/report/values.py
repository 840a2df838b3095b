"""An energy analysis as JSON values, for `spikejoule energy --json`."""

from collections.abc import Sequence
from typing import Any, Final

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.break_even import spikes_at_break_even
from spikejoule.compare.comparison import Comparison
from spikejoule.compare.front import Side
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.notes import Note
from spikejoule.compare.outputs import cells_of, headline, millijoules
from spikejoule.counts.proxies import proxy_metrics
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    EnergyRow,
    SideName,
    Variant,
)
from spikejoule.report.names import analysed_name, named, named_in, way
from spikejoule.report.notes import label, remarks
from spikejoule.report.statements import answer, assumptions
from spikejoule.report.words import dataflow

_DIGITS: Final = 8


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """Return the analysis as JSON values.

    `energies` are the rows of its table, with null for NaN; `trainings` all ways of
    training, under the headline's price list; unknown inputs are left out.
    """
    inputs = analysis.inputs
    known = {
        "data": inputs.title,
        "accuracy": _accuracy_values(inputs.variant),
        "n_images": inputs.n_images,
        "proxies": proxy_metrics(inputs.activity),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "facts": _facts(remarks(inputs)) or None,
    }
    return {
        "headline": headline(analysis),
        "answer": answer(analysis),
        "inputs": {name: value for name, value in known.items() if value is not None},
        "profiles": [profile.model_dump() for profile in analysis.ledger.profiles],
        "energies": [
            {
                name: None if cell != cell else cell
                for name, cell in row_cells(row).items()
            }
            for row in analysis.table
        ],
        "trainings": _training_values(analysis),
        "equal_size": _verdict_values(analysis, analysis.comparisons),
        "verdicts": _verdict_values(analysis, analysis.verdicts),
        "early_verdicts": _verdict_values(analysis, analysis.early_verdicts),
        "assumptions": assumptions(analysis),
    }


def _accuracy_values(variant: Variant) -> dict[str, float | None] | None:
    """Return the accuracies of a network; None if they are unknown."""
    if variant.test_percent is None:
        return None
    return {
        "validation_percent": variant.validation_percent,
        "test_percent": variant.test_percent,
        "low_percent": variant.test_low_percent,
        "high_percent": variant.test_high_percent,
    }


def row_cells(row: EnergyRow) -> dict[str, str | float]:
    """Return a row with the way of running the network, if it is not the first."""
    cells = cells_of(row)
    if not row.network and not row.is_of_first:
        cells["network"] = f"{cells['network']}, {way(row)}"
    return cells


def _training_values(analysis: EnergyAnalysis) -> list[dict[str, Any]]:
    """Return the energy of each way of training each network."""
    training = analysis.training
    if training is None:
        return []
    return [
        {
            "network": variant.network or analysed_name(analysis.inputs),
            "way": dataflow(variant.dataflow),
            **millijoules("training", energy),
        }
        for variant, energy in training.under_headline
    ]


def _facts(notes: Sequence[Note]) -> dict[str, str]:
    """Join the words of notes with the same label."""
    facts: dict[str, str] = {}
    for note in notes:
        name = label(note)
        earlier = facts.get(name)
        facts[name] = note.words if earlier is None else f"{earlier}; {note.words}"
    return facts


def _verdict_values(
    analysis: EnergyAnalysis, verdicts: Sequence[Comparison]
) -> list[dict[str, Any]]:
    """Return comparisons, with ratios and energies as machines agree on them."""
    return [
        {
            "profile": verdict.profile,
            "level_percent": verdict.level_percent,
            "outcome": verdict.outcome,
            "ratio": rounded(verdict.ratio, _DIGITS),
            "ratio_low": rounded(verdict.ratio_low, _DIGITS),
            "ratio_high": rounded(verdict.ratio_high, _DIGITS),
            "ratio_bound": verdict.ratio_bound,
            **_side_values(analysis.inputs, SPIKING, verdict.spiking),
            **_side_values(analysis.inputs, CONVENTIONAL, verdict.conventional),
            "conventional_below": _named_below(verdict.conventional),
            "conventional_n_seeds": verdict.conventional.n_seeds,
            "break_even_spikes_per_input": rounded(
                spikes_at_break_even(analysis, verdict)
            ),
        }
        for verdict in verdicts
    ]


def _named_below(side: Side) -> str:
    return "" if side.below is None else named(side.below)


def _side_values(inputs: AnalysisInputs, name: SideName, side: Side) -> dict[str, Any]:
    return {
        name: named_in(inputs, side),
        f"{name}_validation_percent": side.validation_percent,
        f"{name}_test_percent": side.test_percent,
        f"{name}_pj_low": rounded(side.energy.low_pj, _DIGITS),
        f"{name}_pj": rounded(side.energy.value_pj, _DIGITS),
        f"{name}_pj_high": rounded(side.energy.high_pj, _DIGITS),
    }
