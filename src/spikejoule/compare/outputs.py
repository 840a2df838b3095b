"""Files of an analysis: metrics/energy.csv and energy.json, and JSON for the CLI.

Rows of metrics/energy.csv:

    network                            ``snn``, or a conventional network and its method
    phase                              ``inference``; or ``data``, ``forward``,
                                       ``backward`` or ``optimizer`` of training
    term                               an operation (`terms.TERMS`), or ``total``
    layer, class                       empty: all of them
    count                              mean operations per inference; for training, all
                                       operations (an integer)
    pj_low, pj, pj_high                energy at the low end, value and high end of the
                                       prices; `pj` is empty if a price is a range
    pj_standard_deviation              over images
    pj_interval_low, pj_interval_high  bootstrap interval of the mean, from the low to
                                       the high end of the prices
    status                             ``priced``; ``covered`` by another price; or
                                       ``unpriced``, not in the total
    latency_us, static_pj, total_pj,   of a total of inference, if the price list knows
    energy_delay_pj_s                  time: mean latency, static energy, static and
                                       dynamic energy, and their product; empty if the
                                       energy is dynamic only. With ``_low`` and
                                       ``_high``, the ends of its ranges
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.comparison import Comparison
from spikejoule.compare.front import Side
from spikejoule.energy.estimates import Energy, rounded
from spikejoule.energy.ledger import EnergyRow
from spikejoule.energy.operations import INFERENCE, TRAINING
from spikejoule.energy.timing import Timed

_ENDS: Final = ("_low", "", "_high")

TIME_COLUMNS: Final = tuple(
    f"{quantity}{end}"
    for quantity in ("latency_us", "static_pj", "total_pj", "energy_delay_pj_s")
    for end in _ENDS
)
"""Columns of totals under price lists that know time."""

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
    *TIME_COLUMNS,
)
"""Columns of metrics/energy.csv."""

PJ_PER_NJ: Final = 1e3
PJ_PER_MJ: Final = 1e9
US_PER_MS: Final = 1e3


SNN: Final = "snn"
"""Name of the analysed network in the table."""

_NO_ENERGY = Energy.of([math.nan] * 6)


def energy_rows(analysis: EnergyAnalysis) -> Iterator[list[Any]]:
    """Yield the rows of metrics/energy.csv, with a cell per column."""
    for row in analysis.table:
        if row.phase == TRAINING or not (row.network or row.is_of_first):
            continue
        whole_numbers = ("class",) if row.phase == INFERENCE else ("class", "count")
        cells = cells_of(row)
        yield [_cell(cells[name], is_whole=name in whole_numbers) for name in COLUMNS]


def cells_of(row: EnergyRow) -> dict[str, str | float]:
    """Return a row as numbers and strings; NaN where unknown."""
    energy = row.energy or _NO_ENERGY
    low, value, high, deviation, interval_low, interval_high = energy.numbers
    return {
        "profile": row.profile,
        "network": f"{row.network}, {row.method}" if row.network else SNN,
        "phase": row.phase,
        "term": row.term,
        "layer": row.layer,
        "class": math.nan if row.label is None else float(row.label),
        "count": row.count,
        "pj_low": low,
        "pj": value,
        "pj_high": high,
        "pj_standard_deviation": deviation,
        "pj_interval_low": interval_low,
        "pj_interval_high": interval_high,
        "status": row.status,
        "count_standard_deviation": row.count_standard_deviation,
        "count_interval_low": row.count_interval_low,
        "count_interval_high": row.count_interval_high,
        "bits": row.bits,
        "memory_bits": row.memory_bits,
        **_time_cells(row.timed),
    }


def _time_cells(timed: Timed | None) -> dict[str, float]:
    """Return the cells of `TIME_COLUMNS`; NaN where unknown."""
    if timed is None:
        return dict.fromkeys(TIME_COLUMNS, math.nan)
    quantities = (
        timed.latency_us,
        timed.static_pj,
        timed.total_pj,
        timed.energy_delay_pj_s,
    )
    numbers = [number for quantity in quantities for number in quantity]
    return dict(zip(TIME_COLUMNS, numbers, strict=True))


def network_in_files(side: Side) -> str:
    """Return the name of a conventional network in files, with its method."""
    return f"{side.network}, {side.method}"


def _cell(value: str | float, is_whole: bool) -> Any:
    """Format a value for the file; empty if unknown."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return int(value) if is_whole else rounded(value)


def headline(analysis: EnergyAnalysis) -> dict[str, Any]:
    """Return the headline numbers, without unknown ones.

    `energy_nj` is the energy per inference under the price list `profile`, and `ratio`
    that energy over the conventional front's at equal accuracy, with `ratio_bound` if
    it is a bound. `arithmetic_nj` and `training_arithmetic_low_mj` are under
    `arithmetic_profile`; training is otherwise under `profile`. If `profile` knows
    time, `energy_nj` is the dynamic part of `total_nj`, and `static_nj`, `latency_ms`
    and `energy_delay_nj_s` are known, too; if not, `energy_is` says so. `_low` and
    `_high` are the ends of the interval of the mean, at the low and high end of the
    prices; with time, the ends of its ranges. Neuron
    updates are counted clocked and lazy (`Measurement.lazy_updates`).
    """
    clocked, lazy = analysis.inputs.neuron_updates
    numbers: dict[str, Any] = {
        "profile": analysis.chosen.id,
        **_nanojoules("energy", analysis.total()),
        **_with_time(analysis.timed()),
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
    }
    if analysis.arithmetic is not None:
        numbers["arithmetic_profile"] = analysis.arithmetic.id
        total = analysis.total(profile=analysis.arithmetic.id)
        numbers |= _nanojoules("arithmetic", total)
    numbers |= _training(analysis)
    for name, skips_zeros in (("dense", False), ("zero_skipping", True)):
        comparison = analysis.equal_size(skips_zeros)
        if comparison is not None:
            numbers |= _ratio(f"equal_size_{name}_ratio", comparison)
    verdict = analysis.verdict
    if verdict is not None:
        below = verdict.conventional.below
        numbers |= _ratio("ratio", verdict)
        numbers |= {
            "ratio_bound": verdict.ratio_bound or None,
            "conventional": network_in_files(verdict.conventional),
            "conventional_below": below and network_in_files(below),
            "conventional_nj": _nj(verdict.conventional.energy.value_pj),
            "price_lists_won": analysis.n_won,
            "price_lists_compared": len(analysis.verdicts),
        }
    activity = analysis.inputs.activity
    metrics = {name: rounded(number) for name, number in numbers.items()}
    metrics |= {
        "synaptic_events_per_inference": activity.synaptic_events_per_inference,
        "dense_operations_per_inference": activity.dense_operations_per_inference,
        "sparsity_ratio": activity.sparsity_ratio,
        "input_macs_per_inference": activity.input_macs_per_inference,
    }
    return {name: number for name, number in metrics.items() if number is not None}


DYNAMIC_ONLY: Final = "dynamic only, no time"
"""What an energy is under a price list that does not know time."""


def _with_time(timed: Timed | None) -> dict[str, Any]:
    """Return static energy, total, latency and their product, with their ends."""
    if timed is None:
        return {"energy_is": DYNAMIC_ONLY}
    numbers: dict[str, Any] = {"energy_is": "dynamic; total_nj adds static energy"}
    for name, quantity, scale in (
        ("static{}_nj", timed.static_pj, PJ_PER_NJ),
        ("total{}_nj", timed.total_pj, PJ_PER_NJ),
        ("latency{}_ms", timed.latency_us, US_PER_MS),
        ("energy_delay{}_nj_s", timed.energy_delay_pj_s, PJ_PER_NJ),
    ):
        for end, number in zip(_ENDS, quantity, strict=True):
            known = None if math.isnan(number) else number / scale
            numbers[name.format(end)] = known
    return numbers


def _nj(energy_pj: float | None) -> float | None:
    return None if energy_pj is None else energy_pj / PJ_PER_NJ


def _nanojoules(name: str, energy: Energy) -> dict[str, float | None]:
    return {
        f"{name}_nj": _nj(energy.value_pj),
        f"{name}_low_nj": energy.lowest_pj / PJ_PER_NJ,
        f"{name}_high_nj": energy.highest_pj / PJ_PER_NJ,
    }


def _ratio(name: str, verdict: Comparison) -> dict[str, float | None]:
    return {
        name: verdict.ratio,
        f"{name}_low": verdict.ratio_low,
        f"{name}_high": verdict.ratio_high,
    }


def _training(analysis: EnergyAnalysis) -> dict[str, Any]:
    """Return the energy of training, if its counts are recorded."""
    training = analysis.training
    if training is None:
        return {}
    numbers: dict[str, Any] = {
        **millijoules("training", training.total),
        **millijoules("training_per_percentage_point", training.per_point),
    }
    in_inferences = training.in_inferences
    if in_inferences is not None:
        numbers["training_in_inferences_low"] = in_inferences.low
        numbers["training_in_inferences_high"] = in_inferences.high
    compared = training.conventional
    if compared is not None:
        conventional = compared.conventional
        numbers["training_conventional"] = conventional.network
        numbers |= millijoules("training_conventional", conventional.energy)
        numbers["training_ratio_low"] = compared.ratio_low
        numbers["training_ratio_high"] = compared.ratio_high
    if analysis.arithmetic is not None:
        arithmetic = training.total_of(analysis.arithmetic.id)
        numbers |= millijoules("training_arithmetic", arithmetic)
    return numbers


def millijoules(name: str, energy: Energy | None) -> dict[str, float | None]:
    """Return the ends of an energy as entries of files; none without an energy."""
    if energy is None:
        return {}
    return {
        f"{name}_low_mj": energy.low_pj / PJ_PER_MJ,
        f"{name}_high_mj": energy.high_pj / PJ_PER_MJ,
    }
