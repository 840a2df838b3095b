"""Recorded runs that differ in their seed alone, as one row each: what a setting is worth.

A seed decides the split, the initial weights, every draw, so that one run is one draw. Runs of
other seeds validate on other images and are no points of one front (tracking/front.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import ClassVar, Final

from spikejoule.core.errors import StoreError
from spikejoule.core.schema import Flag, MaybeNotNegative, NotNegative, Percent, Row, Table, Text
from spikejoule.core.store import read_csv
from spikejoule.core.text import text_table
from spikejoule.energy.terms import UPDATES
from spikejoule.evaluation.front_rows import EARLY_EXIT, WHOLE_WINDOW
from spikejoule.tracking.front import deciding_parameters, unfit_to_compare
from spikejoule.tracking.reading import RecordedRun, opened_to_read
from spikejoule.tracking.store import Store

FLOATING: Final = "45nm-fp32"
INTEGERS: Final = "45nm-int8"
_LAYERS = ("input", "hidden", "output")
_SOURCE = "data.source"
# They decide no result of the whole window, but when and what a network answers early.
_OF_EARLY_EXIT = ("evaluate.early_exit_rule", "evaluate.early_exit_tolerance_percent")


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


@dataclass(frozen=True)
class PricedRun:
    """A recorded run with what the store keeps of its energy.

    Attributes:
        run: the run.
        nanojoules: per inference, by profile.
        neuron_updates: per inference, one a neuron and step.
    """

    run: RecordedRun
    nanojoules: Mapping[str, float]
    neuron_updates: float


def priced_runs(
    store: Store, runs: Iterable[RecordedRun], energy_table: Path
) -> tuple[PricedRun, ...]:
    """Runs with the energies that the store keeps of them.

    Args:
        store: where they are recorded.
        runs: which.
        energy_table: the artifact that holds a run's energies.

    Raises:
        StoreError: the store cannot be read.
    """
    with opened_to_read(store) as (client, _):
        return tuple(
            _priced(run, Path(client.download_artifacts(run.run_id, energy_table.as_posix())))
            for run in runs
        )


def _priced(run: RecordedRun, path: Path) -> PricedRun:
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
        raise StoreError(f"run {run.run_id} ({run.name}) holds no energy under {FLOATING}.")
    updates = sum(
        float(row["count"]) for row in rows if row["profile"] == FLOATING and row["term"] in UPDATES
    )
    return PricedRun(run, nanojoules, updates)


def comparable_runs(
    runs: Sequence[RecordedRun], data_source: str | None = None
) -> tuple[RecordedRun, ...]:
    """The runs to average: of the same files of images, and such as the front compares.

    Args:
        runs: the latest first.
        data_source: of their images; None for that of the latest run.

    Raises:
        StoreError: there is none.
    """
    fit = [
        run
        for run in runs
        if unfit_to_compare(run) is None and data_source in (None, run.tags.get(_SOURCE))
    ]
    if not fit:
        of = "" if data_source is None else f" of the data {data_source!r}"
        raise StoreError(f"the store holds no finished run{of} that could be averaged.")
    return tuple(run for run in fit if _images_of(run) == _images_of(fit[0]))


def _images_of(run: RecordedRun) -> tuple[object, ...]:
    digests = sorted(item for item in run.tags.items() if item[0].startswith("data.sha256."))
    return (run.tags.get(_SOURCE), *digests)


def seed_rows(runs: Iterable[PricedRun]) -> SeedsTable:
    """A row for each setting and way to answer, by synaptic events.

    Args:
        runs: the latest first; of the same setting and seed, the latest counts.
    """
    groups: dict[frozenset[tuple[str, str]], dict[int, PricedRun]] = {}
    for one in runs:
        early = {name: one.run.parameters.get(name, "") for name in _OF_EARLY_EXIT}
        setting = deciding_parameters(one.run) | early
        seed = int(setting.pop("seed"))
        groups.setdefault(frozenset(setting.items()), {}).setdefault(seed, one)
    rows = []
    for by_seed in groups.values():
        ordered = [by_seed[seed] for seed in sorted(by_seed)]
        for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
            if all(name in one.run.metrics for one in ordered for name in names):
                rows.append(_row(ordered, sorted(by_seed), early_exit, names))
    rows.sort(key=lambda row: (row.synaptic_events_per_inference, row.name))
    return SeedsTable(rows=tuple(rows))


def _row(
    runs: Sequence[PricedRun], seeds: Sequence[int], early_exit: bool, names: Sequence[str]
) -> SeedsRow:
    first = runs[0].run
    validation, test, events = ([one.run.metrics[name] for one in runs] for name in names)
    spikes = [
        fmean(one.run.metrics[f"{name}_spikes_per_inference"] for one in runs) for name in _LAYERS
    ]
    return SeedsRow(
        name=first.name,
        early_exit=early_exit,
        seeds=" ".join(map(str, seeds)),
        validation_accuracy_percent=fmean(validation),
        test_accuracy_percent=fmean(test),
        test_lowest_percent=min(test),
        test_highest_percent=max(test),
        synaptic_events_per_inference=fmean(events),
        time_window=int(first.parameters["encode.time_window"]),
        spikes_per_layer=" ".join(f"{count:.1f}" for count in spikes),
        neuron_updates_clocked=round(fmean(one.neuron_updates for one in runs)),
        neuron_updates_lazy=round(fmean(_lazy_updates(one) for one in runs), 1),
        nj_45nm_fp32=fmean(one.nanojoules[FLOATING] for one in runs),
        nj_45nm_int8=(
            fmean(one.nanojoules[INTEGERS] for one in runs)
            if int(first.parameters["model.weight_bits"]) <= 8
            and all(INTEGERS in one.nanojoules for one in runs)
            else None
        ),
    )


def _lazy_updates(one: PricedRun) -> float:
    """As recorded; a run that says nothing of them makes as many as by the clock."""
    return one.run.metrics.get("neuron_updates_lazy_per_inference", one.neuron_updates)


def seeds_text(table: SeedsTable, data_title: str) -> str:
    """The table in words."""
    return "\n".join(
        (
            f"Means over the seeds of each setting, on {data_title}; events per inference; spikes, "
            "updates and energy of an inference over its whole window:",
            "",
            text_table(
                ("run", "seeds", "answer", "events", "validation %", "test %", "lowest", "highest",
                 "steps", "spikes by layer", "updates", "lazy", "nJ fp32", "nJ int8"),
                [_cells(row) for row in table.rows],
            ),
            "",
        )
    )  # fmt: skip


def _cells(row: SeedsRow) -> tuple[str, ...]:
    accuracies = (
        row.validation_accuracy_percent,
        row.test_accuracy_percent,
        row.test_lowest_percent,
        row.test_highest_percent,
    )
    return (
        row.name,
        row.seeds,
        "early" if row.early_exit else "at the end",
        f"{row.synaptic_events_per_inference:,.0f}",
        *(f"{accuracy:.2f}" for accuracy in accuracies),
        str(row.time_window),
        row.spikes_per_layer,
        f"{row.neuron_updates_clocked:,}",
        f"{row.neuron_updates_lazy:,.0f}",
        f"{row.nj_45nm_fp32:.1f}",
        "" if row.nj_45nm_int8 is None else f"{row.nj_45nm_int8:.2f}",
    )
