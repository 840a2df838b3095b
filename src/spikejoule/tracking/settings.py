"""Means over the seeds of recorded runs, and their Pareto front.

A setting is a set of parameters without the seed. The seed decides the split, the
initial weights and every draw, so one run is one sample of its setting. Validation
accuracy decides which settings are on the front; test accuracy is only shown.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from spikejoule.compare.front import pareto_front
from spikejoule.core.store import FilePath, write_text
from spikejoule.data.sources import data_sentence
from spikejoule.tracking.recorded import (
    COMMIT,
    EARLY_EXIT,
    EXIT_RULE,
    EXIT_TOLERANCE,
    MEANS,
    METRIC,
    PARAMETER,
    PRICES,
    SEED,
    WHOLE_WINDOW,
    deciding_parameters,
    measured_alike,
)
from spikejoule.tracking.tables import Column, frame_text

VALIDATION: Final = "validation_accuracy_percent"
TEST: Final = "test_accuracy_percent"
EVENTS: Final = "synaptic_events_per_inference"
FIGURES: Final = (VALIDATION, TEST, EVENTS)
"""Figures of a way to answer, in the order of `WHOLE_WINDOW` and `EARLY_EXIT`."""

# They change nothing about the whole window, but early exits and mean energies.
_ALSO_SAME = (
    EXIT_RULE,
    EXIT_TOLERANCE,
    PRICES,
    f"{PARAMETER}energy_report.arithmetic_profile",
)


_COLUMNS: Final[Mapping[str, Column]] = {
    "name": ("run", ""),
    "early_exit": ("early", ""),
    "on_front": ("front", ""),
    "seeds": ("seeds", ""),
    VALIDATION: ("validation %", ".2f"),
    TEST: ("test %", ".2f"),
    "test_lowest_percent": ("lowest", ".2f"),
    "test_highest_percent": ("highest", ".2f"),
    EVENTS: ("events", ",.0f"),
}


class SettingsTable(NamedTuple):
    """Settings of runs on the same data.

    Attributes:
        rows: a row for each setting and way to answer, by synaptic events, and after it
            a row for each of its seeds, if there are several. Columns: `name` of the
            run with the lowest seed; `early_exit`, whether it answers before the end of
            the window; `on_front`, whether no other row is as accurate for as few
            events; `seeds`; mean accuracies in percent, with the lowest and highest on
            test; synaptic events and `MEANS` per inference; `run_ids` and
            `git_commits`; `setting`, a number; and the parameters in which settings
            differ.
        left_out: number of runs left out, by reason.
        data_source: the data.
    """

    rows: pd.DataFrame
    left_out: Mapping[str, int]
    data_source: str


def settings_table(runs: pd.DataFrame, data_source: str | None = None) -> SettingsTable:
    """Average the runs that differ only in their seed.

    Args:
        runs: the latest first; the latest of a setting and seed counts.
        data_source: data of the runs; None for the most frequent.

    Raises:
        StoreError: there is no run to average.
    """
    comparable = measured_alike(runs, data_source)
    alike = comparable.runs

    # Number the settings, and keep the latest run of each setting and seed.
    deciding = deciding_parameters(alike).drop(columns=SEED)
    varied = _varied(deciding)
    same = pd.concat([deciding, alike[[*_ALSO_SAME]]], axis=1)
    numbered = alike.assign(
        setting=same.groupby([*same], dropna=False, sort=False).ngroup(),
        seed=alike[SEED].astype(int),
        **deciding,
    )
    latest = numbered.drop_duplicates(["setting", "seed"])

    # The two ways to answer are settings of their own.
    answers = ways_to_answer(latest).sort_values("seed")
    answers["setting"] = 2 * answers["setting"] + answers["early_exit"]
    means = _averaged(answers, ["setting"], varied).sort_values([EVENTS, "name"])
    means["on_front"] = pareto_front(means[EVENTS].tolist(), means[VALIDATION].tolist())
    of_seeds = _averaged(answers, ["setting", "seed"], varied).assign(on_front=False)

    # Each mean is followed by its seeds; that of a single seed is its own row.
    rows = pd.concat([means, of_seeds]).drop_duplicates(["setting", "seeds"])
    rows["setting"] = pd.Categorical(rows["setting"], means["setting"]).codes
    rows = rows.sort_values("setting", kind="stable", ignore_index=True)
    columns = [*_COLUMNS, *MEANS, "run_ids", "git_commits", "setting", *varied]
    return SettingsTable(rows[columns], comparable.left_out, comparable.data_source)


def _varied(deciding: pd.DataFrame) -> list[str]:
    """The parameters in which settings differ."""
    return [
        str(name)
        for name, values in deciding.items()
        if values.nunique(dropna=False) > 1
    ]


def ways_to_answer(runs: pd.DataFrame) -> pd.DataFrame:
    """Split each run into a row per way to answer: whole window, early exit.

    The column `early_exit` tells them apart, and the columns `FIGURES` hold the figures
    of that way. A way whose figures a run lacks has no row.
    """
    rows = []
    for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
        figures = runs[[f"{METRIC}{name}" for name in names]].set_axis(FIGURES, axis=1)
        is_complete = np.isfinite(figures).all(axis=1)
        rows.append(runs.assign(early_exit=early_exit, **figures)[is_complete])
    return pd.concat(rows)


def _averaged(
    answers: pd.DataFrame, by: Sequence[str], varied: Sequence[str]
) -> pd.DataFrame:
    """Average the answers that agree in the columns `by`."""
    return answers.groupby([*by], as_index=False).agg(
        name=("name", "first"),
        early_exit=("early_exit", "first"),
        seeds=("seed", lambda seeds: " ".join(map(str, seeds))),
        run_ids=("run_id", " ".join),
        git_commits=(COMMIT, lambda commits: " ".join(dict.fromkeys(commits))),
        test_lowest_percent=(TEST, "min"),
        test_highest_percent=(TEST, "max"),
        **{name: (name, "mean") for name in FIGURES},
        **{name: (f"{METRIC}{name}", "mean") for name in MEANS},
        **{name: (name, "first") for name in varied},
    )


def write_settings(path: FilePath, table: pd.DataFrame) -> None:
    """Write the table as CSV, with 1 and 0 for true and false."""
    flags = table.astype({"early_exit": int, "on_front": int})
    write_text(path, flags.to_csv(index=False, lineterminator="\n"))


def settings_text(table: SettingsTable) -> str:
    """Format the table for a terminal, without the single seeds of a mean."""
    columns = dict(_COLUMNS)
    for name in table.rows:
        if name.startswith(PARAMETER):
            columns[name] = (name.removeprefix(PARAMETER), "")
    means = table.rows.drop_duplicates("setting")
    for name in ("early_exit", "on_front"):
        means = means.assign(**{name: means[name].map({True: "yes", False: ""})})
    shown = frame_text(means, columns)
    not_compared = [
        f"Not compared: {number} {reason}" for reason, number in table.left_out.items()
    ]
    return "\n".join(
        [
            data_sentence(table.data_source),
            "Means over the seeds of each setting. Those on the front are beaten by no "
            "other in validation accuracy and synaptic events per inference:",
            "",
            shown,
            "",
            *not_compared,
            "",
        ]
    )
