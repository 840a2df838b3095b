"""An energy analysis as JSON values, for `spikejoule energy --json`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.comparison import Comparison, Side
from spikejoule.compare.notes import Note
from spikejoule.compare.outputs import headline, millijoules
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
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
        "accuracy": inputs.accuracy and asdict(inputs.accuracy),
        "n_images": inputs.n_images,
        "proxies": inputs.proxies.as_metrics(),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "facts": _facts(inputs.remarks) or None,
    }
    return {
        "headline": headline(analysis),
        "answer": answer(analysis),
        "inputs": {name: value for name, value in known.items() if value is not None},
        "profiles": [profile.model_dump() for profile in analysis.ledger.profiles],
        "energies": [
            {name: None if cell != cell else cell for name, cell in row.cells.items()}
            for row in analysis.table
        ],
        "trainings": _training_values(analysis),
        "equal_size": _verdict_values(analysis, analysis.comparisons),
        "verdicts": _verdict_values(analysis, analysis.verdicts),
        "early_verdicts": _verdict_values(analysis, analysis.early_verdicts),
        "assumptions": assumptions(analysis),
    }


def _training_values(analysis: EnergyAnalysis) -> list[dict[str, Any]]:
    """Return the energy of each way of training each network."""
    training = analysis.training
    if training is None:
        return []
    return [
        {
            "network": variant.network,
            "way": dataflow(variant.dataflow),
            **millijoules("training", energy),
        }
        for variant, energy in training.under_headline
    ]


def _facts(notes: Sequence[Note]) -> dict[str, str]:
    """Join the words of notes with the same label."""
    facts: dict[str, str] = {}
    for note in notes:
        earlier = facts.get(note.label)
        facts[note.label] = (
            note.words if earlier is None else f"{earlier}; {note.words}"
        )
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
            **_side_values(SPIKING, verdict.spiking),
            **_side_values(CONVENTIONAL, verdict.conventional),
            "conventional_below": "" if verdict.below is None else verdict.below.name,
            "conventional_n_seeds": verdict.conventional.n_seeds,
            "break_even_spikes_per_input": rounded(analysis.break_even(verdict)),
        }
        for verdict in verdicts
    ]


def _side_values(name: SideName, side: Side) -> dict[str, Any]:
    return {
        name: side.name,
        f"{name}_validation_percent": side.validation_percent,
        f"{name}_test_percent": side.test_percent,
        f"{name}_pj_low": rounded(side.energy.low_pj, _DIGITS),
        f"{name}_pj": rounded(side.energy.value_pj, _DIGITS),
        f"{name}_pj_high": rounded(side.energy.high_pj, _DIGITS),
    }
