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
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.comparison import Comparison
from spikejoule.energy.estimates import Energy, rounded
from spikejoule.energy.operations import INFERENCE
from spikejoule.energy.training.record import TRAINING

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
"""Columns of metrics/energy.csv."""

PJ_PER_NJ: Final = 1e3
PJ_PER_MJ: Final = 1e9


def energy_rows(analysis: EnergyAnalysis) -> Iterator[list[Any]]:
    """Yield the rows of metrics/energy.csv, with a cell per column."""
    for row in analysis.table:
        if row.phase == TRAINING or row.way:
            continue
        whole_numbers = ("class",) if row.phase == INFERENCE else ("class", "count")
        cells = row.cells
        yield [_cell(cells[name], is_whole=name in whole_numbers) for name in COLUMNS]


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
    it is a bound. `arithmetic_nj` and `training_arithmetic_mj` are under
    `arithmetic_profile`; training is otherwise under `profile`. `_low` and `_high` are
    the ends of the interval of the mean, at the low and high end of the prices. Neuron
    updates are counted clocked and lazy (`Measurement.lazy_updates`).
    """
    clocked, lazy = analysis.inputs.neuron_updates
    numbers: dict[str, Any] = {
        "profile": analysis.chosen.id,
        **_nanojoules("energy", analysis.total()),
        "neuron_updates_per_inference": clocked,
        "neuron_updates_lazy_per_inference": lazy,
    }
    if analysis.arithmetic is not None:
        numbers["arithmetic_profile"] = analysis.arithmetic.id
        total = analysis.total(profile=analysis.arithmetic.id)
        numbers |= _nanojoules("arithmetic", total)
    numbers |= _training(analysis)
    # The first network of equal size comes first, dense and then zero-skipping.
    names = ("equal_size_dense_ratio", "equal_size_zero_skipping_ratio")
    for comparison, name in zip(analysis.of_chosen, names, strict=False):
        numbers |= _ratio(name, comparison)
    verdict = analysis.verdict
    if verdict is not None:
        numbers |= _ratio("ratio", verdict)
        numbers |= {
            "ratio_bound": verdict.ratio_bound or None,
            "conventional": verdict.conventional.name,
            "conventional_below": None if verdict.below is None else verdict.below.name,
            "conventional_nj": _nj(verdict.conventional.energy.value_pj),
            "price_lists_won": analysis.n_won,
            "price_lists_compared": len(analysis.verdicts),
        }
    metrics = {name: rounded(number) for name, number in numbers.items()}
    metrics |= analysis.inputs.proxies.as_metrics()
    del metrics["per_layer"]
    return {name: number for name, number in metrics.items() if number is not None}


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
        "training_in_inferences": training.in_inferences,
    }
    conventional = training.conventional
    if conventional is not None:
        numbers["training_conventional"] = conventional.variant.network
        numbers |= millijoules("training_conventional", conventional.energy)
        numbers["training_ratio_low"] = conventional.ratio_low
        numbers["training_ratio_high"] = conventional.ratio_high
    if analysis.arithmetic is not None:
        arithmetic = training.total_of(analysis.arithmetic.id)
        numbers |= millijoules("training_arithmetic", arithmetic)
    return numbers


def millijoules(name: str, energy: Energy | None) -> dict[str, float | None]:
    """Return an energy and its ends as entries of files; none without an energy."""
    if energy is None:
        return {}
    return {
        f"{name}_mj": energy.middle_pj / PJ_PER_MJ,
        f"{name}_low_mj": energy.low_pj / PJ_PER_MJ,
        f"{name}_high_mj": energy.high_pj / PJ_PER_MJ,
    }
