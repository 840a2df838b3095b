"""Recorded runs that differ in their seed alone, as one row each: what a setting is worth.

A seed decides the split, the initial weights, every draw, so that one run is one draw. Runs of
other seeds validate on other images and are no points of one Pareto front (tracking/pareto.py).
"""

import math
from pathlib import Path
from statistics import fmean
from typing import Final

import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.store import read_csv, write_csv
from spikejoule.core.text import text_table
from spikejoule.energy.terms import UPDATES
from spikejoule.tracking.pareto import answers_of, images_of, unfit_to_compare
from spikejoule.tracking.queries import (
    METRIC,
    PARAMETER,
    TAG,
    column,
    deciding_parameters,
    opened_to_read,
    read_stored,
)
from spikejoule.tracking.store import Store

FLOATING: Final = "45nm-fp32"
INTEGERS: Final = "45nm-int8"
_LAYERS = ("input", "hidden", "output")
# They decide no result of the whole window, but when and what a network answers early.
_OF_EARLY_EXIT = ("evaluate.early_exit_rule", "evaluate.early_exit_tolerance_percent")
_CLOCKED, _NJ_FLOATING, _NJ_INTEGERS = _PRICED = (
    "neuron_updates_clocked",
    "nj_45nm_fp32",
    "nj_45nm_int8",
)
# The columns of the file, with the heading and the format of each for a terminal.
_COLUMNS = {
    "name": ("run", ""),
    "early_exit": ("early", "d"),
    "seeds": ("seeds", ""),
    "validation_accuracy_percent": ("validation %", ".2f"),
    "test_accuracy_percent": ("test %", ".2f"),
    "test_lowest_percent": ("lowest", ".2f"),
    "test_highest_percent": ("highest", ".2f"),
    "synaptic_events_per_inference": ("events", ",.0f"),
    "time_window": ("steps", ""),
    "spikes_per_layer": ("spikes by layer", ""),
    "neuron_updates_clocked": ("updates", ",d"),
    "neuron_updates_lazy": ("lazy", ",.0f"),
    "nj_45nm_fp32": ("nJ fp32", ".1f"),
    "nj_45nm_int8": ("nJ int8", ".2f"),
}


def comparable_runs(runs: pd.DataFrame, data_source: str | None = None) -> pd.DataFrame:
    """The runs to average: of the same files of images, and such as a Pareto front compares.

    Args:
        runs: the latest first.
        data_source: of their images; None for that of the latest run.

    Raises:
        StoreError: there is none.
    """
    fit = runs[unfit_to_compare(runs) == ""]
    if data_source is not None:
        fit = fit[column(fit, TAG + "data.source") == data_source]
    if fit.empty:
        of = "" if data_source is None else f" of the data {data_source!r}"
        raise StoreError(f"the store holds no finished run{of} that could be averaged.")
    return fit[images_of(fit) == 0]


def priced_runs(store: Store, runs: pd.DataFrame, energy_table: Path) -> pd.DataFrame:
    """Runs with further columns, from what the store keeps of their energy.

    They are `nj_45nm_fp32` and `nj_45nm_int8`, nJ per inference, and `neuron_updates_clocked`.

    Args:
        store: where they are recorded.
        runs: which.
        energy_table: the artifact that holds a run's energies.

    Raises:
        StoreError: the store cannot be read.
        ArtifactError: a run's energies are missing or damaged.
    """
    with opened_to_read(store) as (client, _):
        energies = [read_stored(client, one, energy_table, _energies) for one in runs["run_id"]]
    return runs.assign(**pd.DataFrame(energies, runs.index, _PRICED))


def _energies(path: Path) -> tuple[float, float, float]:
    rows = [
        row
        for row in read_csv(path, ("profile", "network", "phase", "term", "class", "count", "pj"))
        if (row["network"], row["phase"], row["class"]) == ("snn", "inference", "")
    ]
    nanojoules = {
        row["profile"]: float(row["pj"]) / 1000
        for row in rows
        if row["term"] == "total" and row["pj"]
    }
    if FLOATING not in nanojoules:
        raise ArtifactError(f"{path.name} holds no energy under {FLOATING}.")
    updates = sum(
        float(row["count"]) for row in rows if row["profile"] == FLOATING and row["term"] in UPDATES
    )
    return updates, nanojoules[FLOATING], nanojoules.get(INTEGERS, math.nan)


def seeds_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each setting and way to answer, by synaptic events.

    Args:
        runs: with their energies, the latest first; of the same setting and seed, the latest
            counts.

    Returns:
        the columns of metrics/seeds.csv: the name of the run of the least seed; whether the network
        answers before the end of the window; the seeds in ascending order; means over them of
        accuracies (and the lowest and highest test accuracy), and of means per inference: synaptic
        events over all test images, the rest over the measured ones and the whole window, however
        the network answers. `time_window` is T, steps of 1 ms; `spikes_per_layer` of the input, of
        all hidden layers together, and of the output; `neuron_updates_clocked` one a neuron and
        step, `neuron_updates_lazy` where an event arrives or a bias is added; energies are in nJ
        under either profile, of integers for networks that ran in at most 8 bits (else NaN).
    """
    further = [column(runs, PARAMETER + name) for name in _OF_EARLY_EXIT]
    settings = deciding_parameters(runs).drop(columns=PARAMETER + "seed")
    settings = pd.concat([settings, *further], axis=1)
    lazy = column(runs, METRIC + "neuron_updates_lazy_per_inference")
    in_integers = runs[PARAMETER + "model.weight_bits"].astype(int) <= 8
    ordered = runs.assign(
        setting=settings.groupby([*settings], dropna=False, sort=False).ngroup(),
        seed=runs[PARAMETER + "seed"].astype(int),
        # As recorded; a run that says nothing of them makes as many as by the clock.
        neuron_updates_lazy=lazy.fillna(runs[_CLOCKED]),
        nj_45nm_int8=runs[_NJ_INTEGERS].where(in_integers),
    ).drop_duplicates(["setting", "seed"])
    answers = answers_of(ordered, ordered).sort_values("seed")
    means = answers.groupby(["setting", "early_exit"], as_index=False).agg(
        name=("name", "first"),
        seeds=("seed", lambda seeds: " ".join(map(str, seeds))),
        validation_accuracy_percent=("validation_accuracy_percent", fmean),
        test_accuracy_percent=("test_accuracy_percent", fmean),
        test_lowest_percent=("test_accuracy_percent", "min"),
        test_highest_percent=("test_accuracy_percent", "max"),
        synaptic_events_per_inference=("synaptic_events_per_inference", fmean),
        time_window=(PARAMETER + "encode.time_window", "first"),
        **{layer: (f"{METRIC}{layer}_spikes_per_inference", fmean) for layer in _LAYERS},
        neuron_updates_clocked=(_CLOCKED, lambda updates: round(fmean(updates))),
        neuron_updates_lazy=("neuron_updates_lazy", lambda updates: round(fmean(updates), 1)),
        nj_45nm_fp32=(_NJ_FLOATING, fmean),
        nj_45nm_int8=(_NJ_INTEGERS, fmean),
    )
    spikes = [means[layer].map("{:.1f}".format) for layer in _LAYERS]
    means = means.assign(spikes_per_layer=spikes[0].str.cat(spikes[1:], sep=" "))
    order = ["synaptic_events_per_inference", "name"]
    return means.sort_values(order, ignore_index=True)[[*_COLUMNS]]


def write_seeds(path: Path, table: pd.DataFrame) -> None:
    """Write metrics/seeds.csv."""
    cells = table.astype({"early_exit": int}).astype(object).where(table.notna(), "")
    write_csv(path, tuple(_COLUMNS), cells.to_numpy().tolist())


def seeds_text(table: pd.DataFrame, data_title: str) -> str:
    """The table in words."""
    rows = [
        [
            "" if pd.isna(row[name]) else format(row[name], style)
            for name, (_, style) in _COLUMNS.items()
        ]
        for row in table.to_dict("records")
    ]
    header = [heading for heading, _ in _COLUMNS.values()]
    return (
        f"Means over the seeds of each setting, on {data_title}; events per inference; spikes, "
        f"updates and energy of an inference over its whole window:\n\n{text_table(header, rows)}\n"
    )
