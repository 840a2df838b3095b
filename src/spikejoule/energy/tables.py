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
from spikejoule.energy.analysis import EnergyAnalysis, ProfileInference
from spikejoule.energy.comparison import Choice, Outcome, Ratio, Verdict, won
from spikejoule.energy.estimates import Amount, Energy
from spikejoule.energy.ledger import Side, Variant, runs
from spikejoule.energy.prices import HardwareProfile, price_vector
from spikejoule.energy.training import ProfileTraining, TrainingEnergy
from spikejoule.evaluation.front_rows import pareto_front

COLUMNS: Final = (
    "profile",
    "network",
    "phase",
    "term",
    "layer",
    "class",
    "count",
    "pj_low",
    "pj",
    "pj_high",
    "pj_standard_deviation",
    "pj_interval_low",
    "pj_interval_high",
    "status",
)

PJ_PER_MJ: Final = 1e9

Cells = tuple[Any, ...]

_NOTHING: Final = ("",) * 6
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
    chosen, training = analysis.chosen_inference, analysis.chosen_training
    proxies, verdict = analysis.inputs.proxies, analysis.verdict
    clocked, lazy = analysis.inputs.neuron_updates
    numbers: dict[str, float | int | str | None] = {
        "profile": analysis.chosen,
        "energy_per_inference_pj": chosen.total.value_pj,
        "energy_per_inference_low_pj": chosen.total.lowest_pj,
        "energy_per_inference_high_pj": chosen.total.highest_pj,
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
    }
    for one in chosen.comparisons[:2]:
        method = one.baseline.method.replace("-", "_")
        numbers |= _ratio(f"ratio_to_{method}_ann", one.ratio)
    if analysis.verdicts:
        numbers["profiles_won"], numbers["profiles_compared"] = won(analysis.verdicts)
    if verdict is not None:
        numbers |= {
            "verdict_profile": verdict.profile.id,
            "equal_accuracy_energy_pj": _energy_of(verdict.spiking),
            **_ratio("equal_accuracy_ratio", verdict.ratio),
        }
    if verdict is not None and verdict.conventional is not None:
        numbers |= {
            "equal_accuracy_baseline": verdict.conventional.variant.name,
            "equal_accuracy_baseline_energy_pj": _energy_of(verdict.conventional),
        }
    if training is not None:
        numbers |= {
            "training_energy_mj": _millijoules(training.total),
            "training_energy_per_percentage_point_mj": _millijoules(training.per_percentage_point),
            "training_energy_in_inferences": training.inferences_of_the_same_energy,
        }
    exact = {
        "dense_operations_per_inference": proxies.dense_operations_per_inference,
        "synaptic_events_per_inference": proxies.synaptic_events_per_inference,
        "sparsity_ratio": proxies.sparsity_ratio,
        "input_macs_per_inference": proxies.input_macs_per_inference,
    }
    found = {name: _rounded(number) for name, number in numbers.items()} | exact
    return {name: number for name, number in found.items() if number is not None}


def _energy_of(choice: Choice | None) -> float | None:
    return None if choice is None else choice.energy.value_pj


def _millijoules(amount: Amount | None) -> float | None:
    return None if amount is None or amount.value_pj is None else amount.value_pj / PJ_PER_MJ


def _ratio(name: str, ratio: Ratio | None) -> dict[str, float | None]:
    ends = (None, None, None) if ratio is None else (ratio.value, ratio.low, ratio.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _rounded(number: Any, digits: int = _DIGITS) -> Any:
    return float(f"{number:.{digits}g}") if isinstance(number, float) else number


def energy_rows(analysis: EnergyAnalysis) -> Iterator[Cells]:
    """The rows of metrics/energy.csv, with a cell for each of `COLUMNS`."""
    ledger = analysis.ledger
    for place, entry in enumerate(analysis.inference):
        own = (entry.profile.id, "snn", "inference")
        energies = {(item.term, item.place): item.energy for item in entry.by_term}
        for item in analysis.counts:
            cells = _cells(energies.get((item.term, item.place)))
            count, status = _rounded(item.count.mean), _status(item.term, entry)
            yield (*own, item.term, item.place, "", count, *cells, status)
        yield (*own, "total", "", "", "", *_cells(entry.total), "priced")
        for one in entry.by_class:
            yield (*own, "total", "", one.label, "", *_cells(one.energy), "priced")
        for compared in entry.comparisons:
            variant = ledger.variants.index(compared.baseline)
            head = (entry.profile.id, compared.name, "inference")
            rows = zip(
                ledger.columns_of(variant),
                ledger.counts(variant),
                ledger.rows(variant, place),
                strict=True,
            )
            for column, estimate, amount in rows:
                status = "unpriced" if amount is None else "priced"
                count = _rounded(estimate.mean)
                yield (*head, column.term, column.place, "", count, *_cells(amount), status)
            yield (*head, "total", "", "", "", *_cells(compared.ann), "priced")
    if analysis.training is not None:
        for priced in analysis.training.profiles:
            yield from _training_rows(analysis.training, priced)


def _training_rows(training: TrainingEnergy, priced: ProfileTraining) -> Iterator[Cells]:
    amounts = dict(priced.by_term)
    for item in training.terms:
        head = (priced.profile.id, "snn", item.phase, item.term, item.place, "", item.count)
        yield (*head, *_cells(amounts.get(item)), _status(item.term, priced))
    with_price = {item.phase for item in amounts}
    for phase, amount in priced.by_phase.items():
        has_price = phase in with_price
        cells = (*_cells(amount if has_price else None), "priced" if has_price else "unpriced")
        yield (priced.profile.id, "snn", phase, "total", "", "", "", *cells)


def _status(term: str, entry: ProfileInference | ProfileTraining) -> str:
    if term in entry.unpriced:
        return "unpriced"
    return "covered" if term in entry.covered else "priced"


def _cells(energy: Energy | Amount | None) -> Cells:
    if energy is None:
        return _NOTHING
    spread: tuple[float | None, ...] = (None, None, None)
    if isinstance(energy, Energy):
        deviation = (energy.value or energy.high).standard_deviation
        spread = (deviation, energy.low.low, energy.high.high)
    numbers = (energy.low_pj, energy.value_pj, energy.high_pj, *spread)
    return tuple("" if number is None else _rounded(number) for number in numbers)


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
        """The row of a verdict."""
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
        return Ratio(None, low, math.inf if high is None else high).verdict


def _of_side(name: str, choice: Choice | None) -> dict[str, Any]:
    figures: Cells = (None,) * 5
    if choice is not None:
        known, energy = choice.variant.accuracies, choice.energy
        accuracies = (None, None) if known is None else (
            known.validation_percent, known.test_percent
        )  # fmt: skip
        energies = (energy.lowest_pj, energy.value_pj, energy.highest_pj)
        figures = (*accuracies, *(_rounded(end, _DIGITS_OF_RUNS) for end in energies))
    keys = ("validation_percent", "test_percent", "pj_low", "pj", "pj_high")
    named = {f"{name}_{key}": figure for key, figure in zip(keys, figures, strict=True)}
    return {name: "" if choice is None else choice.variant.name, **named}


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
    ends = price_vector(variant.operations.columns, profile).weights @ variant.operations.means
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
