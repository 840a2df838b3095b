"""Shares of an inference's energy, and the two energies of the verdict as bars."""

from collections.abc import Callable
from dataclasses import dataclass

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, EnergyRow, SideName
from spikejoule.energy.terms import TERMS
from spikejoule.report.names import PARTS, terms_in_words
from spikejoule.report.units import count_in_words, joules

_MOST_LAYERS = 12
_SMALL_PERCENT = 0.5


@dataclass(frozen=True)
class Bar:
    """An energy as a bar: solid up to its lower end, pale up to its upper end.

    Attributes:
        side: ``spiking`` or ``conventional``.
        name: label of the bar.
        energy: the energy in words.
        solid_percent, pale_percent: widths of the two parts.
    """

    side: SideName
    name: str
    energy: str
    solid_percent: float
    pale_percent: float


@dataclass(frozen=True)
class PartRow:
    """One part of an inference's energy in both networks, in pJ."""

    name: str
    spiking_pj: float
    conventional_pj: float

    @property
    def difference_pj(self) -> float:
        """The extra energy of the spiking network."""
        return self.spiking_pj - self.conventional_pj


@dataclass(frozen=True)
class ShareRow:
    """What a layer, or a kind of operation, has of an inference's energy.

    Attributes:
        name: of one, or of several together.
        count: mean synaptic events and multiply-accumulates.
        energy_pj: mean.
        percent: of the whole energy.
    """

    name: str
    count: float
    energy_pj: float
    percent: float

    @property
    def counted(self) -> str:
        """The count in words; empty for none."""
        return count_in_words(self.count) if self.count else ""

    @property
    def energy(self) -> str:
        """The energy in words."""
        return joules(self.energy_pj, 3)

    @property
    def share(self) -> str:
        """The share in words."""
        return f"{self.percent:.1f} %"


def bars(analysis: EnergyAnalysis) -> list[Bar]:
    """Return the energies of the headline's verdict; none without a verdict."""
    verdict = analysis.verdict
    if verdict is None:
        return []
    own = analysis.inputs.variant
    kind = "Spiking network"
    if not own.pruned:
        kind = f"Spiking network, unpruned, {own.weight_bits} bits"
    samples = analysis.inputs.subject.samples
    if not analysis.inputs.counted_in:
        samples = f"test {samples}"
    spiking = verdict.spiking.energy
    conventional = verdict.conventional.energy
    unit_pj = min(spiking.middle_pj, conventional.middle_pj)
    longest_pj = max(spiking.highest_pj, conventional.highest_pj)
    name = f"{kind}, {verdict.spiking.test_percent:.2f} % of {samples} correct"
    equal = "Conventional networks of equal accuracy"
    return [
        _bar(SPIKING, name, spiking, unit_pj, longest_pj),
        _bar(CONVENTIONAL, equal, conventional, unit_pj, longest_pj),
    ]


def _bar(
    side: SideName, name: str, energy: Energy, unit_pj: float, longest_pj: float
) -> Bar:
    """Return the bar of an energy, in the unit that suits `unit_pj`."""
    if energy.value_pj is None:
        low_pj = energy.lowest_pj
        high_pj = energy.highest_pj
    else:
        low_pj = high_pj = energy.value_pj
    # A single value if both ends are the same.
    ends_pj = dict.fromkeys((low_pj, high_pj))
    return Bar(
        side=side,
        name=name,
        energy=" to ".join(joules(end_pj, 4, unit_pj) for end_pj in ends_pj),
        solid_percent=100 * low_pj / longest_pj,
        pale_percent=100 * (high_pj - low_pj) / longest_pj,
    )


def parts(analysis: EnergyAnalysis) -> list[PartRow]:
    """Return the energy by part of both networks, the total last.

    Empty without a conventional network to compare with.
    """
    closest = analysis.closest_baseline
    if analysis.verdict is None or closest is None:
        return []
    spiking_pj = analysis.ledger.by_part(0, analysis.chosen.id)
    conventional_pj = analysis.ledger.by_part(closest, analysis.chosen.id)
    rows = [
        PartRow(PARTS[part], energy_pj, conventional_pj[part])
        for part, energy_pj in spiking_pj.items()
    ]
    total = PartRow("total", sum(spiking_pj.values()), sum(conventional_pj.values()))
    return [*rows, total]


def by_kind(analysis: EnergyAnalysis) -> list[ShareRow]:
    """Return the energy by kind of operation, without kinds that take none."""
    return [row for row in _shares(analysis, _kind_of) if row.energy_pj]


def _kind_of(row: EnergyRow) -> str:
    """Name the part of a term; a chip's own unit of work belongs to none."""
    part = TERMS[row.term].part
    return PARTS[part] if part else terms_in_words(row.term)


def by_layer(analysis: EnergyAnalysis) -> list[ShareRow]:
    """Return the energy by layer; of a deep network, small shares are one row."""
    rows = _shares(analysis, lambda row: row.layer)
    order = {name: number for number, name in enumerate(analysis.inputs.network.nodes)}
    rows.sort(key=lambda row: order.get(row.name, len(order)))
    small = [row for row in rows if row.percent < _SMALL_PERCENT]
    if not is_deep(analysis) or len(small) < 2:
        return rows
    together = ShareRow(
        name=f"{len(small)} others, below {_SMALL_PERCENT:g} % each",
        count=sum(row.count for row in small),
        energy_pj=sum(row.energy_pj for row in small),
        percent=sum(row.percent for row in small),
    )
    return [*(row for row in rows if row not in small), together]


def is_deep(analysis: EnergyAnalysis) -> bool:
    """Whether a network has too many layers for a row of each."""
    return len(analysis.inputs.network.nodes) > _MOST_LAYERS


def _shares(
    analysis: EnergyAnalysis, name_of: Callable[[EnergyRow], str]
) -> list[ShareRow]:
    """Sum up the energies and events of an inference by a name of their rows."""
    energies_pj: dict[str, float] = {}
    counts: dict[str, float] = {}
    for row in analysis.records():
        name = name_of(row)
        energies_pj.setdefault(name, 0.0)
        counts.setdefault(name, 0.0)
        if row.term in ("synaptic_event", "mac"):
            counts[name] += row.count
        energies_pj[name] += middle_or_high_pj(row)
    total_pj = sum(energies_pj.values()) or 1.0
    return [
        ShareRow(name, counts[name], energy_pj, 100 * energy_pj / total_pj)
        for name, energy_pj in energies_pj.items()
    ]


def middle_or_high_pj(row: EnergyRow) -> float:
    """Return an energy; that at the highest price where the price is only a range."""
    if row.energy is None:
        return 0.0
    value_pj = row.energy.value_pj
    return row.energy.high_pj if value_pj is None else value_pj
