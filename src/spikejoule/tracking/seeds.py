"""Recorded runs that differ in their seed alone, as one row each: what a setting is worth.

A seed decides the split, the initial weights, every draw, so that one run is one draw. Runs of
other seeds validate on other images and are no points of one Pareto front (tracking/pareto.py).
"""

import math
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Final

import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.schema import Flag, MaybeNotNegative, NotNegative, Percent, Row, Table, Text
from spikejoule.core.store import read_csv
from spikejoule.core.text import text_table
from spikejoule.energy.terms import UPDATES
from spikejoule.evaluation.front_rows import EARLY_EXIT, WHOLE_WINDOW
from spikejoule.tracking.pareto import images_of, unfit_to_compare
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
_SEED = PARAMETER + "seed"
# They decide no result of the whole window, but when and what a network answers early.
_OF_EARLY_EXIT = ("evaluate.early_exit_rule", "evaluate.early_exit_tolerance_percent")
_CLOCKED, _NJ_FLOATING, _NJ_INTEGERS = _PRICED = (
    "neuron_updates_clocked",
    "nj_45nm_fp32",
    "nj_45nm_int8",
)


class SeedsRow(Row):
    """A setting under several seeds, answering at the end of its window or early.

    What is no accuracy is a mean over runs of means per inference: events over all test images, the
    rest over the measured ones and the whole window, however the network answers.

    Attributes:
        name: of the run of the least seed.
        early_exit: whether it answers before the end of the window.
        seeds: of the runs, in ascending order.
        validation_accuracy_percent, test_accuracy_percent: means over the seeds.
        test_lowest_percent, test_highest_percent: of the single runs.
        synaptic_events_per_inference: mean over the seeds.
        time_window: T, steps of 1 ms.
        spikes_per_layer: of the input, of all hidden layers together, and of the output.
        neuron_updates_clocked: one a neuron and step.
        neuron_updates_lazy: where an event arrives or a bias is added.
        nj_45nm_fp32: energy under that profile.
        nj_45nm_int8: likewise, of networks that ran in integers of at most 8 bits.
    """

    name: Text
    early_exit: Flag
    seeds: Text
    validation_accuracy_percent: Percent
    test_accuracy_percent: Percent
    test_lowest_percent: Percent
    test_highest_percent: Percent
    synaptic_events_per_inference: NotNegative
    time_window: int
    spikes_per_layer: Text
    neuron_updates_clocked: int
    neuron_updates_lazy: NotNegative
    nj_45nm_fp32: NotNegative
    nj_45nm_int8: MaybeNotNegative


class SeedsTable(Table):
    """The file that `spikejoule seeds` writes: metrics/seeds.csv."""

    row: ClassVar[type[Row]] = SeedsRow
    rows: tuple[SeedsRow, ...]


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
    columns = ("profile", "network", "phase", "term", "class", "count", "pj")
    rows = [
        row
        for row in read_csv(path, columns)
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


def seed_rows(runs: pd.DataFrame) -> SeedsTable:
    """A row for each setting and way to answer, by synaptic events.

    Args:
        runs: with their energies, the latest first; of the same setting and seed, the latest
            counts.
    """
    further = [column(runs, PARAMETER + name) for name in _OF_EARLY_EXIT]
    settings = pd.concat([deciding_parameters(runs).drop(columns=_SEED), *further], axis=1)
    setting = settings.groupby([*settings], dropna=False, sort=False).ngroup().rename("setting")
    seed = runs[_SEED].astype(int).rename("seed")
    ordered = pd.concat([runs, setting, seed], axis=1).drop_duplicates(["setting", "seed"])
    rows = []
    for _, group in ordered.sort_values("seed").groupby("setting"):
        for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
            figures = group.reindex(columns=[METRIC + name for name in names])
            if figures.notna().all(axis=None):
                rows.append(_row(group, figures, early_exit))
    rows.sort(key=lambda row: (row.synaptic_events_per_inference, row.name))
    return SeedsTable(rows=tuple(rows))


def _row(runs: pd.DataFrame, figures: pd.DataFrame, early_exit: bool) -> SeedsRow:
    first = runs.iloc[0]
    validation, test, events = (figures[name] for name in figures)
    spikes = [fmean(runs[f"{METRIC}{name}_spikes_per_inference"]) for name in _LAYERS]
    # As recorded; a run that says nothing of them makes as many as by the clock.
    lazy = column(runs, METRIC + "neuron_updates_lazy_per_inference").fillna(runs[_CLOCKED])
    integers = int(first[PARAMETER + "model.weight_bits"]) <= 8 and runs[_NJ_INTEGERS].notna().all()
    return SeedsRow(
        name=first["name"],
        early_exit=early_exit,
        seeds=" ".join(map(str, runs["seed"])),
        validation_accuracy_percent=fmean(validation),
        test_accuracy_percent=fmean(test),
        test_lowest_percent=min(test),
        test_highest_percent=max(test),
        synaptic_events_per_inference=fmean(events),
        time_window=int(first[PARAMETER + "encode.time_window"]),
        spikes_per_layer=" ".join(f"{count:.1f}" for count in spikes),
        neuron_updates_clocked=round(fmean(runs[_CLOCKED])),
        neuron_updates_lazy=round(fmean(lazy), 1),
        nj_45nm_fp32=fmean(runs[_NJ_FLOATING]),
        nj_45nm_int8=fmean(runs[_NJ_INTEGERS]) if integers else None,
    )


def seeds_text(table: SeedsTable, data_title: str) -> str:
    """The table in words."""
    header = (
        "run", "seeds", "answer", "events", "validation %", "test %", "lowest", "highest",
        "steps", "spikes by layer", "updates", "lazy", "nJ fp32", "nJ int8",
    )  # fmt: skip
    rows = [
        (
            row.name,
            row.seeds,
            "early" if row.early_exit else "at the end",
            f"{row.synaptic_events_per_inference:,.0f}",
            f"{row.validation_accuracy_percent:.2f}",
            f"{row.test_accuracy_percent:.2f}",
            f"{row.test_lowest_percent:.2f}",
            f"{row.test_highest_percent:.2f}",
            str(row.time_window),
            row.spikes_per_layer,
            f"{row.neuron_updates_clocked:,}",
            f"{row.neuron_updates_lazy:,.0f}",
            f"{row.nj_45nm_fp32:.1f}",
            "" if row.nj_45nm_int8 is None else f"{row.nj_45nm_int8:.2f}",
        )
        for row in table.rows
    ]
    return (
        f"Means over the seeds of each setting, on {data_title}; events per inference; spikes, "
        f"updates and energy of an inference over its whole window:\n\n{text_table(header, rows)}\n"
    )
