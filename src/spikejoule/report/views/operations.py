"""The operations of an inference, one by one."""

import math
from dataclasses import dataclass, replace

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.ledger import EnergyRow
from spikejoule.energy.terms import TERMS
from spikejoule.report.units import count_in_words, interval_words, joules
from spikejoule.report.views.shares import is_deep, middle_or_high_pj
from spikejoule.report.words import energy_of_row


@dataclass(frozen=True)
class OperationRow:
    """An operation in one layer, or all, with an energy per price list shown."""

    term: str
    layer: str
    meaning: str
    count: str
    standard_deviation: str
    energies: tuple[str, ...]


def operations(analysis: EnergyAnalysis) -> list[OperationRow]:
    """Return the operations of each layer; those of a deep network in all layers."""
    step_ms = analysis.inputs.step_ms
    step = "a step" if step_ms is None else f"a step of {step_ms:g} ms"
    by_profile = [analysis.records(profile=profile.id) for profile in analysis.shown]
    # Every price list has the same operations, in the same order.
    by_layer = [
        OperationRow(
            term=rows[0].term,
            layer=rows[0].layer,
            meaning=TERMS[rows[0].term].sentence.replace("a step of 1 ms", step),
            count=f"{rows[0].count:,.1f}",
            standard_deviation=_deviation(rows[0]),
            energies=tuple(_energy_with_interval(row) for row in rows),
        )
        for rows in zip(*by_profile, strict=True)
    ]
    if not analysis.inputs.counted_in or not is_deep(analysis):
        return by_layer
    by_term: dict[str, list[OperationRow]] = {}
    for row in by_layer:
        by_term.setdefault(row.term, []).append(row)
    return [_of_all_layers(rows, by_profile) for rows in by_term.values()]


def _of_all_layers(
    rows: list[OperationRow], by_profile: list[list[EnergyRow]]
) -> OperationRow:
    """Sum up one operation over all layers; sums have no interval."""
    first = rows[0]
    if len(rows) == 1:
        return first
    energies = []
    for records in by_profile:
        of_term = [record for record in records if record.term == first.term]
        total_pj = sum(middle_or_high_pj(record) for record in of_term)
        is_priced = any(record.energy is not None for record in of_term)
        energies.append(joules(total_pj) if is_priced else energy_of_row(of_term[0]))
    count = sum(record.count for record in by_profile[0] if record.term == first.term)
    return replace(
        first,
        layer=f"{len(rows)} layers",
        count=count_in_words(count),
        standard_deviation="",
        energies=tuple(energies),
    )


def _deviation(row: EnergyRow) -> str:
    deviation = row.count_standard_deviation
    return "" if math.isnan(deviation) else f"{deviation:,.1f}"


def _energy_with_interval(row: EnergyRow) -> str:
    """Return the energy of a row with its interval, if it has one."""
    words = energy_of_row(row)
    if row.energy is None:
        return words
    interval = interval_words(row.energy)
    return words if interval == words else f"{words} ({interval})"
