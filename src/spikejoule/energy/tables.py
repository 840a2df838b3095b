"""The analysis as metrics and as one long table.

`headline` is the content of metrics/energy.json, a handful of numbers. `energy_rows` has a row for
every profile, network, phase, term, layer and class:

    network            ``snn``, or a baseline and its method
    phase              ``inference``, or ``forward``, ``backward``, ``optimizer`` of training
    term               an operation (`terms.DESCRIPTIONS`), or ``total``
    layer, class       empty: all of them
    count              operations per inference (a mean); of training, all of them (an integer)
    pj_low, pj, pj_high                    energy at the lower end, the value, the upper end of the
                       prices; `pj` is empty where there are brackets alone
    pj_standard_deviation                  over images
    pj_interval_low, pj_interval_high      bootstrap interval of the mean, from the lower end of the
                       prices to the upper
    status             ``priced``, ``unpriced`` (not in the total) or ``covered`` (within another
                       price)
"""

import math
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from spikejoule.core.schema import NotNegative, Record, Text
from spikejoule.energy.analysis import EnergyAnalysis, ProfileInference
from spikejoule.energy.estimates import Amount, Energy
from spikejoule.energy.pricing import price_vector
from spikejoule.energy.training_energy import ProfileTraining, TrainingEnergy
from spikejoule.energy.verdict import won

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


Cells = tuple[Any, ...]

_SNN = "snn"
_TOTAL = "total"
_NOTHING = ("",) * 6
# Beyond these digits, sums differ with the order in which a processor adds.
_DIGITS = 10


def headline(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The headline numbers under the chosen profile; those that are not known are left out.

    `energy_per_inference_low_pj` and `_high_pj` are the ends of the interval of the mean, at the
    lower and at the upper end of the prices. Ratios are to the first baseline. Neuron updates are
    one a neuron and step, and those of event-driven hardware (`measure.lazy_updates`).
    """
    chosen, training, proxies = (
        analysis.chosen_inference,
        analysis.chosen_training,
        analysis.inputs.proxies,
    )
    clocked, lazy = analysis.inputs.neuron_updates
    ratios = {one.baseline.method: one.ratio for one in chosen.comparisons[:2]}
    value = chosen.total.value
    numbers: dict[str, float | int | str | None] = {
        "profile": analysis.chosen,
        "energy_per_inference_pj": None if value is None else value.mean,
        "energy_per_inference_low_pj": chosen.total.lowest_pj,
        "energy_per_inference_high_pj": chosen.total.highest_pj,
    }
    for method, ratio in ratios.items():
        name = f"ratio_to_{method.replace('-', '_')}_ann"
        numbers |= {name: ratio.value, f"{name}_low": ratio.low, f"{name}_high": ratio.high}
    numbers |= _equal_accuracy(analysis)
    if training is not None:
        per_point = training.per_percentage_point
        numbers |= {
            "training_energy_mj": _millijoules(training.total),
            "training_energy_per_percentage_point_mj": (
                None if per_point is None else _millijoules(per_point)
            ),
            "training_energy_in_inferences": training.inferences_of_the_same_energy,
        }
    numbers |= {
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
    }
    macs = proxies.input_macs_per_inference
    return {
        **{name: _rounded(number) for name, number in numbers.items() if number is not None},
        "dense_operations_per_inference": proxies.dense_operations_per_inference,
        "synaptic_events_per_inference": proxies.synaptic_events_per_inference,
        "sparsity_ratio": proxies.sparsity_ratio,
        **({} if macs is None else {"input_macs_per_inference": macs}),
    }


def _equal_accuracy(analysis: EnergyAnalysis) -> dict[str, float | int | str | None]:
    """The verdict; nothing where no conventional network was counted."""
    verdict, (wins, n_profiles) = analysis.verdict, won(analysis.verdicts)
    if not analysis.verdicts:
        return {}
    numbers: dict[str, float | int | str | None] = {
        "profiles_won": wins,
        "profiles_compared": n_profiles,
    }
    if verdict is None:
        return numbers
    numbers |= {"verdict_profile": verdict.profile.id}
    if verdict.spiking is not None:
        numbers |= {"equal_accuracy_energy_pj": _value(verdict.spiking.energy)}
    if verdict.conventional is not None:
        numbers |= {
            "equal_accuracy_baseline": verdict.conventional.contender.name,
            "equal_accuracy_baseline_energy_pj": _value(verdict.conventional.energy),
        }
    if verdict.ratio is not None:
        ratio = verdict.ratio
        numbers |= {
            "equal_accuracy_ratio": ratio.value,
            "equal_accuracy_ratio_low": ratio.low,
            "equal_accuracy_ratio_high": ratio.high,
        }
    return numbers


def _value(energy: Energy) -> float | None:
    return None if energy.value is None else energy.value.mean


def energy_rows(analysis: EnergyAnalysis) -> Iterator[Cells]:
    """The rows of the long table, with a cell for each of `COLUMNS`."""
    for entry in analysis.inference:
        yield from _inference_rows(analysis, entry)
        yield from _baseline_rows(entry)
    if analysis.training is not None:
        for priced in analysis.training.profiles:
            yield from _training_rows(analysis.training, priced)


def _inference_rows(analysis: EnergyAnalysis, entry: ProfileInference) -> Iterator[Cells]:
    head = (entry.profile.id, _SNN, "inference")
    energies = {(item.term, item.place): item.energy for item in entry.by_term}
    for item in analysis.counts:
        cells = _energy_cells(energies.get((item.term, item.place)))
        count = _rounded(item.count.mean)
        yield (*head, item.term, item.place, "", count, *cells, _status(item.term, entry))
    yield (*head, _TOTAL, "", "", "", *_energy_cells(entry.total), "priced")
    for of_class in entry.by_class:
        yield (*head, _TOTAL, "", of_class.label, "", *_energy_cells(of_class.energy), "priced")


def _baseline_rows(entry: ProfileInference) -> Iterator[Cells]:
    """The conventional networks of equal size: every term, and the total."""
    for item in entry.comparisons:
        head = (entry.profile.id, item.name, "inference")
        columns, means = item.baseline.operations.columns, item.baseline.operations.means.tolist()
        prices = price_vector(columns, entry.profile)
        for place, (column, mean) in enumerate(zip(columns, means, strict=True)):
            cells, status = _NOTHING, "unpriced"
            if prices.priced[place]:
                value = None if prices.value_pj is None else mean * prices.value_pj[place]
                low, high = mean * prices.low_pj[place], mean * prices.high_pj[place]
                cells, status = _amount_cells(Amount(low, value, high)), "priced"
            yield (*head, column.term, column.place, "", _rounded(mean), *cells, status)
        yield (*head, _TOTAL, "", "", "", *_energy_cells(item.ann), "priced")


def _training_rows(training: TrainingEnergy, priced: ProfileTraining) -> Iterator[Cells]:
    amounts = {(item.phase, item.term, item.place): amount for item, amount in priced.by_term}
    profile = priced.profile.id
    for item in training.terms:
        amount = amounts.get((item.phase, item.term, item.place))
        status = _status(item.term, priced)
        head = (profile, _SNN, item.phase, item.term, item.place, "", item.count)
        yield (*head, *_amount_cells(amount), status)
    with_price = {item.phase for item, _ in priced.by_term}
    for phase, amount in priced.by_phase.items():
        if phase in with_price:
            yield (profile, _SNN, phase, _TOTAL, "", "", "", *_amount_cells(amount), "priced")
        else:
            yield (profile, _SNN, phase, _TOTAL, "", "", "", *_NOTHING, "unpriced")


def _status(term: str, entry: ProfileInference | ProfileTraining) -> str:
    if term in entry.unpriced:
        return "unpriced"
    return "covered" if term in entry.covered else "priced"


def _energy_cells(energy: Energy | None) -> Cells:
    if energy is None:
        return _NOTHING
    value, spread = energy.value, (energy.value or energy.high).standard_deviation
    return (
        _rounded(energy.low.mean),
        "" if value is None else _rounded(value.mean),
        _rounded(energy.high.mean),
        "" if spread is None else _rounded(spread),
        "" if energy.low.low is None else _rounded(energy.low.low),
        "" if energy.high.high is None else _rounded(energy.high.high),
    )


def _amount_cells(amount: Amount | None) -> Cells:
    if amount is None:
        return _NOTHING
    value = "" if amount.value_pj is None else _rounded(amount.value_pj)
    return (_rounded(amount.low_pj), value, _rounded(amount.high_pj), "", "", "")


def _millijoules(amount: Amount) -> float | None:
    return None if amount.value_pj is None else amount.value_pj / PJ_PER_MJ


def _rounded(number: Any) -> Any:
    return float(f"{number:.{_DIGITS}g}") if isinstance(number, float) else number
