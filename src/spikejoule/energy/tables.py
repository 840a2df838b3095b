"""What is written of the analysis: metrics/energy.json, energy.csv, verdict.csv and fronts.csv.

`energy_rows` prints the ledger, and training's counts under the same prices:

    network            ``snn``, or a baseline and its method
    phase              ``inference``, or ``forward``, ``backward``, ``optimizer`` of training
    term               an operation (`terms.TERMS`), or ``total``
    layer, class       empty: all of them
    count              operations per inference (a mean); of training, all of them (an integer)
    pj_low, pj, pj_high                    energy at the lower end, the value, the upper end of the
                       prices; `pj` is empty where there are brackets alone
    pj_standard_deviation                  over images
    pj_interval_low, pj_interval_high      bootstrap interval of the mean, from the lower end of the
                       prices to the upper
    status             ``priced``, ``unpriced`` (not in the total) or ``covered`` (within another
                       price)

A network is on the Pareto front of its side if no other is at least as accurate on validation
images for at most its energy. What it reaches on test images stands beside that, and decides
nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, replace
from typing import Any, ClassVar, Final, Self

from pydantic import Field

from spikejoule.core.schema import (
    MaybeNotNegative,
    MaybePercent,
    NotNegative,
    Percent,
    Record,
    Row,
    Table,
    Text,
)
from spikejoule.energy.analysis import COLUMNS, EnergyAnalysis
from spikejoule.energy.comparison import Choice, Outcome, Ratio, Verdict
from spikejoule.energy.counting import INFERENCE
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Accuracies, Side, Variant, judges
from spikejoule.energy.prices import HardwareProfile, price
from spikejoule.energy.training import TRAINING
from spikejoule.evaluation.front_rows import pareto_front

PJ_PER_MJ: Final = 1e9

# Beyond these digits, sums differ with the order in which a processor adds.
_DIGITS, _DIGITS_OF_RUNS = 10, 8
# Of two energies that differ by less, one was rounded when it was recorded.
_ROUNDING = 1e-6


class EnergyMetrics(Record):
    """Headline figures: metrics/energy.json; what is not known is left out. See `headline`."""

    profile: Text
    energy_per_inference_pj: NotNegative | None = None
    energy_per_inference_low_pj: NotNegative
    energy_per_inference_high_pj: NotNegative
    ratio_to_dense_ann: NotNegative | None = None
    ratio_to_dense_ann_low: NotNegative | None = None
    ratio_to_dense_ann_high: NotNegative | None = None
    ratio_to_zero_skipping_ann: NotNegative | None = None
    ratio_to_zero_skipping_ann_low: NotNegative | None = None
    ratio_to_zero_skipping_ann_high: NotNegative | None = None
    verdict_profile: Text | None = None
    equal_accuracy_baseline: Text | None = None
    equal_accuracy_energy_pj: NotNegative | None = None
    equal_accuracy_baseline_energy_pj: NotNegative | None = None
    equal_accuracy_ratio: NotNegative | None = None
    equal_accuracy_ratio_low: NotNegative | None = None
    equal_accuracy_ratio_high: NotNegative | None = None
    profiles_won: int | None = Field(default=None, ge=0)
    profiles_compared: int | None = Field(default=None, ge=0)
    training_energy_mj: NotNegative | None = None
    training_energy_per_percentage_point_mj: NotNegative | None = None
    training_energy_in_inferences: NotNegative | None = None
    neuron_updates_per_inference: int | None = Field(default=None, ge=1)
    neuron_updates_lazy_per_inference: NotNegative | None = None
    dense_operations_per_inference: int = Field(ge=1)
    synaptic_events_per_inference: NotNegative
    sparsity_ratio: float = Field(ge=0, le=1)
    input_macs_per_inference: NotNegative | None = None


def headline(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The headline numbers under the chosen profile; those that are not known are left out.

    `energy_per_inference_low_pj` and `_high_pj` are the ends of the interval of the mean, at the
    lower and at the upper end of the prices. Ratios are to the first baseline. Neuron updates are
    one a neuron and step, and those of event-driven hardware (`Measurement.lazy_updates`).
    """
    total, verdict, inputs = analysis.total(), analysis.verdict, analysis.inputs
    clocked, lazy = inputs.neuron_updates
    numbers: dict[str, Any] = {
        "profile": analysis.chosen.id,
        "energy_per_inference_pj": total.value_pj,
        "energy_per_inference_low_pj": total.lowest_pj,
        "energy_per_inference_high_pj": total.highest_pj,
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
        "training_energy_mj": _millijoules(analysis.training),
        "training_energy_per_percentage_point_mj": _millijoules(analysis.training_per_point),
        "training_energy_in_inferences": analysis.inferences_of_training,
    }
    for one, method in zip(analysis.of_chosen, ("dense", "zero_skipping"), strict=False):
        numbers |= _ratio(f"ratio_to_{method}_ann", one.ratio)
    if analysis.verdicts:
        numbers["profiles_won"] = sum(one.outcome == "snn" for one in analysis.verdicts)
        numbers["profiles_compared"] = len(analysis.verdicts)
    if verdict is not None:
        numbers["verdict_profile"] = verdict.profile.id
        numbers |= _ratio("equal_accuracy_ratio", verdict.ratio)
        for name, sent in (("", verdict.spiking), ("baseline_", verdict.conventional)):
            numbers[f"equal_accuracy_{name}energy_pj"] = sent and sent.energy.value_pj
        numbers["equal_accuracy_baseline"] = verdict.conventional and verdict.conventional.name
    found = {name: _rounded(number) for name, number in numbers.items()} | {
        name: getattr(inputs.proxies, name)
        for name in (
            "dense_operations_per_inference",
            "synaptic_events_per_inference",
            "sparsity_ratio",
            "input_macs_per_inference",
        )
    }
    return {name: number for name, number in found.items() if number is not None}


def _millijoules(energy: Energy | None) -> float | None:
    return None if energy is None or energy.value_pj is None else energy.value_pj / PJ_PER_MJ


def _ratio(name: str, ratio: Ratio | None) -> dict[str, Any]:
    ends = (None, None, None) if ratio is None else (ratio.value, ratio.low, ratio.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _rounded(number: Any, digits: int = _DIGITS) -> Any:
    return float(f"{number:.{digits}g}") if isinstance(number, float) else number


def energy_rows(analysis: EnergyAnalysis) -> Iterator[list[Any]]:
    """The rows of metrics/energy.csv, with a cell for each of `COLUMNS`."""
    table = analysis.table
    for row in table.loc[table["phase"] != TRAINING, [*COLUMNS]].to_dict("records"):
        whole = ("class",) if row["phase"] == INFERENCE else ("class", "count")
        yield [
            "" if cell != cell else int(cell) if name in whole else _rounded(cell)
            for name, cell in row.items()
        ]


class VerdictRow(Row):
    """One accuracy under one profile.

    Accuracies are in percent, energies pJ per inference, both means over test images; a side that
    does not reach the accuracy has an empty name and no figures. An energy is empty where the
    profile has brackets alone.

    Attributes:
        profile: its id.
        level_percent: validation accuracy that both sides must reach.
        outcome: ``snn``, ``ann``, ``undecided``, or ``neither`` reaches it.
        ratio: the spiking side's energy over the other's; `ratio_low` and `ratio_high` are the ends
            of its interval.
    """

    profile: Text
    level_percent: Percent
    outcome: Outcome
    ratio: MaybeNotNegative
    ratio_low: MaybeNotNegative
    ratio_high: MaybeNotNegative
    spiking: str
    spiking_validation_percent: MaybePercent
    spiking_test_percent: MaybePercent
    spiking_pj_low: MaybeNotNegative
    spiking_pj: MaybeNotNegative
    spiking_pj_high: MaybeNotNegative
    conventional: str
    conventional_validation_percent: MaybePercent
    conventional_test_percent: MaybePercent
    conventional_pj_low: MaybeNotNegative
    conventional_pj: MaybeNotNegative
    conventional_pj_high: MaybeNotNegative

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """The row of a verdict at an accuracy; an end of its ratio that rounds to 1 decides
        nothing."""
        if verdict.ratio is not None:
            ends = (_rounded(end, _DIGITS_OF_RUNS) for end in astuple(verdict.ratio))
            verdict = replace(verdict, ratio=Ratio(*ends))
        return cls(
            profile=verdict.profile.id,
            level_percent=verdict.level_percent,
            outcome=verdict.outcome,
            **_ratio("ratio", verdict.ratio),
            **_of_side("spiking", verdict.spiking),
            **_of_side("conventional", verdict.conventional),
        )


def _of_side(name: str, choice: Choice | None) -> dict[str, Any]:
    numbers: list[float | None] = [None] * len(_CELLS)
    if choice is not None:
        known, energy = choice.accuracies, choice.energy
        percents = (None, None) if known is None else (known.validation_percent, known.test_percent)
        ends = (energy.lowest_pj, energy.value_pj, energy.highest_pj)
        numbers = [*percents, *(_rounded(pj, _DIGITS_OF_RUNS) for pj in ends)]
    cells = zip(_CELLS, numbers, strict=True)
    return {name: choice.name if choice else ""} | {f"{name}_{of}": cell for of, cell in cells}


_CELLS = ("validation_percent", "test_percent", "pj_low", "pj", "pj_high")


class VerdictTable(Table):
    """The file: metrics/verdict.csv."""

    row: ClassVar[type[Row]] = VerdictRow
    rows: tuple[VerdictRow, ...]

    @classmethod
    def of(cls, found: Sequence[Verdict]) -> Self:
        """The table of some verdicts, in their order."""
        return cls(rows=tuple(VerdictRow.of(one) for one in found))


class FrontsRow(Row):
    """A network on the Pareto front of its side under a profile.

    Energies are pJ per inference, means over test images; `pj` is empty where the profile has
    brackets alone.
    """

    profile: Text
    side: Side
    network: Text
    validation_percent: Percent
    test_percent: Percent
    pj_low: NotNegative
    pj: MaybeNotNegative
    pj_high: NotNegative

    @property
    def middle_pj(self) -> float:
        """The energy, or half-way between the ends of its bracket."""
        return (self.pj_low + self.pj_high) / 2 if self.pj is None else self.pj


class FrontsTable(Table):
    """The file: metrics/fronts.csv."""

    row: ClassVar[type[Row]] = FrontsRow
    rows: tuple[FrontsRow, ...]


def among_recorded(verdict: Verdict, recorded: Sequence[FrontsRow]) -> Verdict:
    """A verdict among conventional networks of recorded runs, too: the cheapest of all.

    The ratio to a recorded one is from the least to the most by both their ranges, since counts of
    different runs are not paired.
    """
    own, energy = verdict.conventional, None if verdict.spiking is None else verdict.spiking.energy
    reaching = [
        row
        for row in recorded
        if row.profile == verdict.profile.id and row.validation_percent >= verdict.level_percent
    ]
    best = min(reaching, key=lambda row: row.middle_pj, default=None)
    if best is None or (own and own.energy.middle_pj <= best.middle_pj * (1 + _ROUNDING)):
        return verdict
    accuracies = Accuracies(best.validation_percent, best.test_percent)
    other = Choice(best.network, accuracies, Energy(best.pj_low, best.pj, best.pj_high), True)
    ratio = None
    if energy is not None:
        value = energy.value_pj / best.pj if energy.value_pj is not None and best.pj else None
        low = energy.lowest_pj / best.pj_high if best.pj_high else math.inf
        ratio = Ratio(value, low, energy.highest_pj / best.pj_low if best.pj_low else math.inf)
    return replace(verdict, conventional=other, ratio=ratio)


def fronts_table(
    variants: Sequence[Variant], profiles: Mapping[str, HardwareProfile]
) -> FrontsTable:
    """Both fronts under every profile that compares and in whose numbers both sides ran."""
    rows: list[FrontsRow] = []
    for profile in profiles.values():
        sides: dict[str, list[FrontsRow]] = {SPIKING: [], CONVENTIONAL: []}
        for one in variants:
            if one.accuracies is not None and judges(profile, one):
                ends = price(one.operations, profile).mean(axis=1)
                low, value, high = (_rounded(float(end), _DIGITS_OF_RUNS) for end in ends)
                sides[one.side].append(
                    FrontsRow(
                        profile=profile.id,
                        side=one.side,
                        network=one.name,
                        **asdict(one.accuracies),
                        pj_low=low,
                        pj=None if math.isnan(value) else value,
                        pj_high=high,
                    )
                )
        for side in sides.values() if all(sides.values()) else ():
            side.sort(key=lambda row: (row.middle_pj, -row.validation_percent, row.network))
            accuracies = [row.validation_percent for row in side]
            on_front = pareto_front([row.middle_pj for row in side], accuracies)
            rows += [row for row, is_on_front in zip(side, on_front, strict=True) if is_on_front]
    return FrontsTable(rows=tuple(rows))


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it: `energies` are the rows of its table, null for NaN, and
    what is not known of the inputs is left out."""
    inputs, table = analysis.inputs, analysis.table.astype(object)
    known = {
        "data": inputs.title,
        "accuracy": inputs.accuracy and asdict(inputs.accuracy),
        "n_images": inputs.n_images,
        "spikes_per_inference": inputs.spikes_per_inference,
        "proxies": inputs.proxies.as_metrics(),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "graph": dict(inputs.facts) or None,
    }
    judged = {
        name: [
            VerdictRow.of(one).model_dump()
            | {"break_even": (limits := analysis.break_even(one)) and asdict(limits)}
            for one in getattr(analysis, of)
        ]
        for name, of in (
            ("equal_size", "comparisons"),
            ("verdicts", "verdicts"),
            ("early_verdicts", "early_verdicts"),
        )
    }
    return {
        "headline": headline(analysis),
        "answer": analysis.answer,
        "inputs": {name: value for name, value in known.items() if value is not None},
        "profiles": [profile.model_dump() for profile in analysis.ledger.profiles],
        "energies": table.where(table.notna(), None).to_dict("records"),
        **judged,
        "assumptions": analysis.assumptions,
    }
