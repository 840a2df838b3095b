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
from typing import Any, ClassVar, Final, Self, get_args

from pydantic import Field, model_validator

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
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import INFERENCE, Side, Variant, runs
from spikejoule.energy.prices import HardwareProfile, mean_pj
from spikejoule.energy.training import TRAINING
from spikejoule.evaluation.front_rows import pareto_front

PJ_PER_MJ: Final = 1e9

# Beyond these digits, sums differ with the order in which a processor adds.
_DIGITS, _DIGITS_OF_RUNS = 10, 8


class EnergyMetrics(Record):
    """Headline figures: metrics/energy.json; what is not known is left out. See `headline`."""

    # A narrow bootstrap interval (a low confidence) need not hold the mean itself.
    intervals: ClassVar = (
        ("energy_per_inference_low_pj", "energy_per_inference_high_pj"),
        ("ratio_to_dense_ann_low", "ratio_to_dense_ann_high"),
        ("ratio_to_zero_skipping_ann_low", "ratio_to_zero_skipping_ann_high"),
        ("neuron_updates_lazy_per_inference", "neuron_updates_per_inference"),
        ("equal_accuracy_ratio_low", "equal_accuracy_ratio_high"),
        ("profiles_won", "profiles_compared"),
    )

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

    @model_validator(mode="after")
    def _ratio_is_that_of_the_counts(self) -> Self:
        ratio = self.synaptic_events_per_inference / self.dense_operations_per_inference
        if not math.isclose(self.sparsity_ratio, ratio, rel_tol=1e-9):
            raise ValueError(f"sparsity_ratio is {self.sparsity_ratio}, but by the counts {ratio}")
        return self


def headline(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The headline numbers under the chosen profile; those that are not known are left out.

    `energy_per_inference_low_pj` and `_high_pj` are the ends of the interval of the mean, at the
    lower and at the upper end of the prices. Ratios are to the first baseline. Neuron updates are
    one a neuron and step, and those of event-driven hardware (`Measurement.lazy_updates`).
    """
    total, verdict, inputs = analysis.total(), analysis.verdict, analysis.inputs
    clocked, lazy = inputs.neuron_updates
    numbers: dict[str, float | int | str | None] = {
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
    for one in analysis.of_chosen[:2]:
        assert one.conventional is not None
        method = one.conventional.name.rpartition(", ")[2].replace("-", "_")
        numbers |= _ratio(f"ratio_to_{method}_ann", one.ratio)
    if analysis.verdicts:
        numbers["profiles_won"] = sum(one.outcome == "snn" for one in analysis.verdicts)
        numbers["profiles_compared"] = len(analysis.verdicts)
    if verdict is not None:
        numbers["verdict_profile"] = verdict.profile.id
        numbers |= _ratio("equal_accuracy_ratio", verdict.ratio)
        if verdict.spiking is not None:
            numbers["equal_accuracy_energy_pj"] = verdict.spiking.energy.value_pj
        if verdict.conventional is not None:
            numbers["equal_accuracy_baseline"] = verdict.conventional.name
            energy = verdict.conventional.energy
            numbers["equal_accuracy_baseline_energy_pj"] = energy.value_pj
    exact = {
        name: getattr(inputs.proxies, name)
        for name in (
            "dense_operations_per_inference",
            "synaptic_events_per_inference",
            "sparsity_ratio",
            "input_macs_per_inference",
        )
    }
    found = {name: _rounded(number) for name, number in numbers.items()} | exact
    return {name: number for name, number in found.items() if number is not None}


def _millijoules(energy: Energy | None) -> float | None:
    return None if energy is None or energy.value_pj is None else energy.value_pj / PJ_PER_MJ


def _ratio(name: str, ratio: Ratio | None) -> dict[str, float | None]:
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
        """The row of a verdict at an accuracy."""
        assert verdict.level_percent is not None
        ratio = _ratio("ratio", verdict.ratio)
        row = cls(
            profile=verdict.profile.id,
            level_percent=verdict.level_percent,
            outcome=verdict.outcome,
            **{name: _rounded(number, _DIGITS_OF_RUNS) for name, number in ratio.items()},
            **_of_side("spiking", verdict.spiking),
            **_of_side("conventional", verdict.conventional),
        )
        # An end that rounds to 1 decides nothing.
        return row.model_copy(update={"outcome": row.outcome_by_figures})

    @property
    def outcome_by_figures(self) -> Outcome:
        """What the names and the ratio say."""
        if not self.spiking:
            return "ann" if self.conventional else "neither"
        if not self.conventional:
            return "snn"
        low, high = self.ratio_low or 0.0, self.ratio_high
        return Ratio(None, low, math.inf if high is None else high).outcome


def _of_side(name: str, choice: Choice | None) -> dict[str, Any]:
    found: dict[str, Any] = {name: "" if choice is None else choice.name}
    known = None if choice is None else choice.accuracies
    found[f"{name}_validation_percent"] = known and known.validation_percent
    found[f"{name}_test_percent"] = known and known.test_percent
    for end, key in (("pj_low", "lowest_pj"), ("pj", "value_pj"), ("pj_high", "highest_pj")):
        energy = None if choice is None else getattr(choice.energy, key)
        found[f"{name}_{end}"] = _rounded(energy, _DIGITS_OF_RUNS)
    return found


class VerdictTable(Table):
    """The file: metrics/verdict.csv."""

    row: ClassVar[type[Row]] = VerdictRow
    rows: tuple[VerdictRow, ...]

    @classmethod
    def of(cls, found: Sequence[Verdict]) -> Self:
        """The table of some verdicts, in their order."""
        return cls(rows=tuple(VerdictRow.of(one) for one in found))

    @model_validator(mode="after")
    def _outcomes_follow(self) -> Self:
        if len({(row.profile, row.level_percent) for row in self.rows}) < len(self.rows):
            raise ValueError("a profile has two rows for one accuracy")
        for number, row in enumerate(self.rows, start=2):
            if row.outcome != row.outcome_by_figures:
                raise ValueError(
                    f"row {number}: the outcome is {row.outcome}, but by its figures "
                    f"{row.outcome_by_figures}"
                )
        return self


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

    @model_validator(mode="after")
    def _each_front_ascends(self) -> Self:
        fronts: dict[tuple[str, str], list[FrontsRow]] = {}
        for row in self.rows:
            fronts.setdefault((row.profile, row.side), []).append(row)
        for (profile, side), members in fronts.items():
            energies = [row.middle_pj for row in members]
            accuracies = [row.validation_percent for row in members]
            if sorted(energies) != energies or sorted(accuracies) != accuracies:
                raise ValueError(
                    f"the {side} front under {profile} must ascend in energy and accuracy"
                )
        return self


def fronts_table(
    variants: Sequence[Variant], profiles: Mapping[str, HardwareProfile]
) -> FrontsTable:
    """Both fronts under every profile that compares and in whose numbers both sides ran."""
    rows: list[FrontsRow] = []
    for profile in profiles.values():
        able = [_fronts_row(one, profile) for one in variants if profile.compares]
        of_side = {
            side: [row for row in able if row and row.side == side] for side in get_args(Side)
        }
        for side in of_side.values() if all(of_side.values()) else ():
            side.sort(key=lambda row: (row.middle_pj, -row.validation_percent, row.network))
            accuracies = [row.validation_percent for row in side]
            on_front = pareto_front([row.middle_pj for row in side], accuracies)
            rows += [row for row, is_on_front in zip(side, on_front, strict=True) if is_on_front]
    return FrontsTable(rows=tuple(rows))


def _fronts_row(variant: Variant, profile: HardwareProfile) -> FrontsRow | None:
    """The row of a variant; None if its accuracy is not known, or its numbers are not priced."""
    accuracies = variant.accuracies
    if accuracies is None or not runs(variant, profile):
        return None
    ends = mean_pj(variant.operations, profile)
    low, value, high = (_rounded(float(end), _DIGITS_OF_RUNS) for end in ends)
    return FrontsRow(
        profile=profile.id,
        side=variant.side,
        network=variant.name,
        validation_percent=accuracies.validation_percent,
        test_percent=accuracies.test_percent,
        pj_low=low,
        pj=None if math.isnan(value) else value,
        pj_high=high,
    )
