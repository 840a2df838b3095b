"""Means over the seeds of recorded runs: what a setting is worth, and which are on the
front.

A setting is a set of parameters without the seed. A seed decides the split, the initial
weights and every draw, so one run is one draw. Validation accuracy decides what is on
the front; test accuracy is stated beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from spikejoule.core.store import FilePath, write_text
from spikejoule.evaluation.accuracy import EARLY_EXIT, WHOLE_WINDOW, pareto_front
from spikejoule.tracking.listing import Column, frame_text
from spikejoule.tracking.recorded import (
    AVERAGE,
    COMMIT,
    CROP,
    EXIT_RULE,
    EXIT_TOLERANCE,
    MEANS,
    METRIC,
    OF_BASELINE,
    PARAMETER,
    PRICES,
    SEED,
    deciding_parameters,
    measured_alike,
)

VALIDATION: Final = "validation_accuracy_percent"
TEST: Final = "test_accuracy_percent"
EVENTS: Final = "synaptic_events_per_inference"
FIGURES: Final = (VALIDATION, TEST, EVENTS)
"""Of one way to answer, in the order of `WHOLE_WINDOW` and `EARLY_EXIT`."""

# They decide nothing over the whole window, but what an early exit or a mean energy is.
_ALSO_SAME = (
    EXIT_RULE,
    EXIT_TOLERANCE,
    PRICES,
    f"{PARAMETER}energy_report.arithmetic_profile",
)


def _yes(value: bool) -> str:
    return "yes" if value else ""


_COLUMNS: Final[Mapping[str, Column]] = {
    "name": ("run", ""),
    "early_exit": ("early", _yes),
    "on_front": ("front", _yes),
    "seeds": ("seeds", ""),
    VALIDATION: ("validation %", ".2f"),
    TEST: ("test %", ".2f"),
    "test_lowest_percent": ("lowest", ".2f"),
    "test_highest_percent": ("highest", ".2f"),
    EVENTS: ("events", ",.0f"),
}
"""Heading and format on a terminal, by column."""


def settings_table(
    runs: pd.DataFrame, data_source: str | None = None
) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """Means over the runs that differ in their seed alone.

    Args:
        runs: the latest first; of the same setting and seed, the latest counts.
        data_source: of their images; None for the most frequent.

    Returns:
        A row for each setting and way to answer, by synaptic events, and after it a row
        for each of its seeds, if there are several. Columns: `name` of the run of the
        least seed; `early_exit`, whether it answers before the end of the window;
        `on_front`, whether no other row is as accurate for as few events; `seeds`; mean
        accuracies in percent, with the lowest and highest on test; synaptic events and
        `MEANS` per inference; `run_ids` and `git_commits`; `setting`, a number; the
        parameters in which settings differ. Beside the table, the number of runs that
        are left out, by reason.

    Raises:
        StoreError: there is no run to average.
    """
    comparable = measured_alike(runs, data_source, (CROP, AVERAGE))
    alike = comparable.runs
    deciding = deciding_parameters(alike).drop(columns=SEED)
    varied = _varied(deciding)
    same = pd.concat([deciding, alike[[*_ALSO_SAME]]], axis=1)
    numbered = alike.assign(
        setting=same.groupby([*same], dropna=False, sort=False).ngroup(),
        seed=alike[SEED].astype(int),
        **deciding,
    )
    latest = numbered.drop_duplicates(["setting", "seed"])
    answers = ways_to_answer(latest).sort_values("seed")
    answers["setting"] = 2 * answers["setting"] + answers["early_exit"]

    means = _averaged(answers, ["setting"], varied).sort_values([EVENTS, "name"])
    means["on_front"] = pareto_front(means[EVENTS].tolist(), means[VALIDATION].tolist())
    of_seeds = _averaged(answers, ["setting", "seed"], varied).assign(on_front=False)
    rows = pd.concat([means, of_seeds]).drop_duplicates(["setting", "seeds"])
    # Settings in the order of their means.
    rows["setting"] = pd.Categorical(rows["setting"], means["setting"]).codes
    rows = rows.sort_values("setting", kind="stable", ignore_index=True)
    columns = [*_COLUMNS, *MEANS, "run_ids", "git_commits", "setting", *varied]
    return rows[columns], comparable.left_out


def _varied(deciding: pd.DataFrame) -> list[str]:
    """The parameters in which settings differ."""
    return [
        name
        for name, values in deciding.items()
        # Parameters of the conventional network are there only where it was the
        # teacher.
        if values.nunique(dropna=str(name).startswith(OF_BASELINE)) > 1
    ]


def ways_to_answer(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each run and way to answer that it has the figures of.

    `early_exit` says which way it is, and the columns `FIGURES` hold its figures.
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
    """Means over the answers that agree in some columns."""
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
    """Write the table as CSV; what is true is 1."""
    flags = table.astype({"early_exit": int, "on_front": int})
    write_text(path, flags.to_csv(index=False, lineterminator="\n"))


def settings_text(table: pd.DataFrame, left_out: Mapping[str, int]) -> str:
    """The settings in words, without single seeds among several."""
    parameters = [name for name in table if name.startswith(PARAMETER)]
    columns = {**_COLUMNS} | {
        name: (name.removeprefix(PARAMETER), "") for name in parameters
    }
    shown = frame_text(table.drop_duplicates("setting"), columns)
    left = "".join(
        f"Not compared: {number} {reason}\n" for reason, number in left_out.items()
    )
    return (
        "Means over the seeds of each setting; on the front are those that no "
        "other beats in "
        f"validation\naccuracy and synaptic events per inference:\n\n{shown}\n\n{left}"
    )
