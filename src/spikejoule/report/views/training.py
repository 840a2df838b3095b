"""The energy of training: by kind of access, and of all networks that were trained."""

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.report.kinds import KINDS, pj_by_kind
from spikejoule.report.names import analysed_name
from spikejoule.report.units import energy_words, joules, plain
from spikejoule.report.words import accuracy, dataflow

Cells = tuple[str, ...]


def training_by_kind(analysis: EnergyAnalysis) -> list[Cells]:
    """Return a row per kind of access: its energy in each phase, the sum, its share.

    Empty without a training whose phases are all priced.
    """
    training = analysis.training
    if training is None or training.total is None:
        return []
    kinds = pj_by_kind(training.ledger, 0, analysis.chosen.id)
    total_pj = sum(sum(phases.values()) for phases in kinds.values())
    rows: list[Cells] = []
    for kind, phases in kinds.items():
        sum_pj = sum(phases.values())
        if sum_pj:
            cells = [joules(pj, 3) if pj else "" for pj in phases.values()]
            share = f"{plain(100 * sum_pj / total_pj)} %"
            rows.append((KINDS[kind], *cells, joules(sum_pj, 3), share))
    return rows


def trainings(analysis: EnergyAnalysis) -> list[Cells]:
    """Return a row per network and dataflow: its accuracies, and its energy.

    Empty without a training whose phases are all priced.
    """
    training = analysis.training
    if training is None or training.total is None:
        return []
    return [
        (
            variant.network or analysed_name(analysis.inputs),
            dataflow(variant.dataflow),
            accuracy(variant),
            energy_words(energy),
        )
        for variant, energy in training.under_headline
    ]
