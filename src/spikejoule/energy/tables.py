"""What is written of the analysis: metrics/energy.json and energy.csv.

`energy_rows` prints the ledger, and training's counts under the same prices:

    network            ``snn`` over its whole window, or a baseline and its method
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
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final

from pydantic import Field

from spikejoule.core.schema import NotNegative, Record, Text
from spikejoule.energy.analysis import COLUMNS, SNN, EnergyAnalysis
from spikejoule.energy.bands import RecordedNetwork
from spikejoule.energy.comparison import Verdict, outcome_of
from spikejoule.energy.counting import INFERENCE
from spikejoule.energy.estimates import Energy, rounded
from spikejoule.energy.ledger import SPIKING, Ledger
from spikejoule.energy.training import TRAINING

PJ_PER_MJ: Final = 1e9

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
    names = ("ratio_to_dense_ann", "ratio_to_zero_skipping_ann")
    compared = [*zip(analysis.of_chosen, names, strict=False)]
    if verdict is not None:
        compared.append((verdict, "equal_accuracy_ratio"))
        numbers |= {
            "verdict_profile": verdict.profile,
            "equal_accuracy_energy_pj": verdict.spiking_pj,
            "equal_accuracy_baseline": verdict.conventional or None,
            "equal_accuracy_baseline_energy_pj": verdict.conventional_pj,
        }
    for one, name in compared:
        numbers |= {name: one.ratio, f"{name}_low": one.ratio_low, f"{name}_high": one.ratio_high}
    if analysis.verdicts:
        numbers["profiles_won"] = sum(one.outcome == "snn" for one in analysis.verdicts)
        numbers["profiles_compared"] = len(analysis.verdicts)
    found = {name: rounded(number) for name, number in numbers.items()}
    found |= inputs.proxies.as_metrics()
    del found["per_layer"]
    return {name: number for name, number in found.items() if number is not None}


def _millijoules(energy: Energy | None) -> float | None:
    return None if energy is None or energy.value_pj is None else energy.value_pj / PJ_PER_MJ


def energy_rows(analysis: EnergyAnalysis) -> Iterator[list[Any]]:
    """The rows of metrics/energy.csv, with a cell for each of `COLUMNS`."""
    table = analysis.table[~analysis.table["network"].str.startswith(f"{SNN}, ")]
    for row in table.loc[table["phase"] != TRAINING, [*COLUMNS]].to_dict("records"):
        whole = ("class",) if row["phase"] == INFERENCE else ("class", "count")
        yield [
            "" if cell != cell else int(cell) if name in whole else rounded(cell)
            for name, cell in row.items()
        ]


class RecordedVerdict(Verdict):
    """One whose conventional network is of an earlier run."""

    is_recorded: ClassVar[bool] = True


def among_recorded(
    verdict: Verdict, recorded: Sequence[RecordedNetwork], ledger: Ledger
) -> Verdict:
    """A verdict of a ledger among conventional networks of recorded runs, too: the cheapest of all.

    The ratio to a recorded one is from the least to the most by both their ranges, since counts of
    different runs are not paired.
    """
    reaching = [
        (energy, row)
        for row in recorded
        if row.validation_percent >= verdict.level_percent
        and (energy := row.energy(verdict.profile)) is not None
    ]
    if not reaching:
        return verdict
    best, network = min(reaching, key=lambda pair: pair[0].middle_pj)
    if verdict.conventional:
        # The middle of the prices, as of what is recorded: a verdict's ends are of an interval.
        number = [one.name for one in ledger.variants].index(verdict.conventional)
        place = [one.id for one in ledger.profiles].index(verdict.profile)
        own_pj = Energy.of(ledger.means(number, place)).middle_pj
        if own_pj <= best.middle_pj * (1 + _ROUNDING):
            return verdict
    ratio = low = high = None
    if verdict.spiking:
        ours, other_pj = verdict.energy(SPIKING), best.value_pj
        ratio = ours.value_pj / other_pj if ours.value_pj is not None and other_pj else None
        low, high = ours.low_pj / best.high_pj, ours.high_pj / best.low_pj
    cells = {
        "conventional": network.name,
        "conventional_validation_percent": network.validation_percent,
        "conventional_test_percent": network.test_percent,
        "conventional_pj_low": best.low_pj,
        "conventional_pj": best.value_pj,
        "conventional_pj_high": best.high_pj,
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "outcome": outcome_of([bool(verdict.spiking), True], low, high),
    }
    return RecordedVerdict(**{**dict(verdict), **cells})


def analysis_values(analysis: EnergyAnalysis) -> dict[str, Any]:
    """The analysis as JSON can hold it: `energies` are the rows of its table, null for NaN, and
    what is not known of the inputs is left out."""
    inputs, table = analysis.inputs, analysis.table.astype(object)
    known = {
        "data": inputs.title,
        "accuracy": inputs.accuracy and asdict(inputs.accuracy),
        "n_images": inputs.n_images,
        "proxies": inputs.proxies.as_metrics(),
        "value_macs_per_inference": inputs.value_macs_per_inference,
        "facts": dict(inputs.facts) or None,
    }
    judged = {
        name: [
            one.rounded.model_dump()
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
