"""Recorded runs compared: accuracy against synaptic events, and which of them nothing beats.

Validation accuracy decides; test accuracy is shown beside it and decides nothing. Only runs that
are measured alike are compared: validated on the same images, and their spikes counted on the same.
"""

import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import (
    EARLY_EXIT,
    FRONT_COLUMNS,
    WHOLE_WINDOW,
    FrontRow,
    FrontTable,
    pareto_front,
    read_front,
    setting_text,
)
from spikejoule.tracking.queries import (
    METRIC,
    OF_BASELINE,
    PARAMETER,
    TAG,
    column,
    deciding_parameters,
    opened_to_read,
    runs_of,
    under_new_names,
)
from spikejoule.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NO_FIGURES = "without accuracy or synaptic events"
_ON_TEST = "validated on the test images"
_CURRENTS = "with products of constant currents beside their events"
_REPEATED = "the same result again"
_ELSE = "measured on other images"
_VALIDATION, _TEST, _EVENTS = _FIGURES = (
    "validation_accuracy_percent",
    "test_accuracy_percent",
    "synaptic_events_per_inference",
)


@dataclass(frozen=True, eq=False)
class ComparedRuns:
    """Points of runs measured alike, in the order of their synaptic events.

    Attributes:
        data_title: what their images are, in words.
        points: a row each, with the columns of `FrontRow` and those of the parameters that decide a
            result, as in the frame of runs. A run that may answer early is two points.
        varied: the parameters in which the runs differ, sorted by name.
        n_runs: number of the runs that they come from.
        repeated: MLflow's identifiers of the runs that gave the same result again, perhaps beside
            other conventional networks.
        left_out: number of runs that are not compared, by reason.
    """

    data_title: str
    points: pd.DataFrame
    varied: tuple[str, ...]
    n_runs: int
    repeated: tuple[str, ...]
    left_out: Mapping[str, int]

    @property
    def front(self) -> pd.DataFrame:
        """The points on the Pareto front, the cheapest first."""
        return self.points[self.points["on_front"]]

    def table(self) -> FrontTable:
        """The CSV file: a row a point, which carries the parameters that vary."""
        columns = {PARAMETER + name: name for name in self.varied}
        rows = self.points[[*FRONT_COLUMNS, *columns]].rename(columns=columns).fillna("")
        return FrontTable(rows=tuple(FrontRow(**row) for row in rows.to_dict("records")))


def compare_runs(runs: pd.DataFrame, data_source: str | None = None) -> ComparedRuns:
    """Compare the runs that are measured alike: those of `data_source`, or of the most frequent.

    Of runs with the same parameters and figures the first counts. Raises StoreError if no run
    remains, and if `data_source` is none of the sources that there are.
    """
    reasons = unfit_to_compare(runs)
    fit = runs[reasons == ""]
    sources = column(fit, TAG + "data.source").fillna("unknown")
    if data_source is not None and data_source not in set(sources):
        known = ", ".join(sorted(set(sources))) or "no run at all"
        raise StoreError(f"no comparable run is of the data {data_source!r}; there is: {known}.")
    if fit.empty:
        found = ", ".join(
            f"{number} {reason}" for reason, number in sorted(Counter(reasons).items())
        )
        raise StoreError(
            f"the store holds no finished run that could be compared ({found or 'it is empty'}): "
            "run the pipeline, or `make sweep`."
        )
    images = images_of(fit, _size(fit), column(fit, PARAMETER + "seed"))
    sizes = images[sources == (data_source or sources)].value_counts()
    is_chosen = images == min(sizes[sizes == sizes.max()].index)  # of equal groups the latest
    parameters = deciding_parameters(fit[is_chosen])
    figures = fit.reindex(columns=[METRIC + name for name in (*WHOLE_WINDOW, *EARLY_EXIT)])
    is_repeated = pd.concat([parameters, figures[is_chosen]], axis=1).duplicated()
    reasons.update(f"{_ELSE} (" + sources[~is_chosen] + ")")
    reasons.update(is_repeated[is_repeated].map({True: _REPEATED}))
    distinct, parameters = runs[reasons == ""], parameters[~is_repeated]
    title = column(distinct, TAG + "data.title").fillna(sources)
    return ComparedRuns(
        data_title=title.iloc[0],
        points=_points(distinct, parameters),
        varied=_varied(parameters),
        n_runs=len(distinct),
        repeated=tuple(runs["run_id"][reasons == _REPEATED]),
        left_out=Counter(reasons[reasons != ""]),
    )


def unfit_to_compare(runs: pd.DataFrame) -> pd.Series:
    """Why a run cannot be compared with others, for each; "" if it can."""
    figures = runs.reindex(columns=[METRIC + name for name in WHOLE_WINDOW]).astype(float)
    currents = column(runs, METRIC + "input_macs_per_inference").notna()
    reasons = np.select(
        [~np.isfinite(figures).all(axis=1), _size(runs) == 0, currents],
        [_NO_FIGURES, _ON_TEST, _CURRENTS],
        "",
    )
    return pd.Series(reasons, runs.index)


def images_of(runs: pd.DataFrame, *further: pd.Series) -> pd.Series:
    """A number for each run: equal for equal files of images and equal `further` columns.

    They count in the order of the runs.
    """
    digests = [runs[name] for name in runs if name.startswith(TAG + "data.sha256.")]
    keys = [column(runs, TAG + "data.source"), *digests, *further]
    return runs.groupby(keys, dropna=False, sort=False).ngroup()


def _size(runs: pd.DataFrame) -> pd.Series:
    return pd.to_numeric(column(runs, PARAMETER + "data.validation_size"), errors="coerce")


def answers_of(runs: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Both ways to answer of each run that has the figures of it: `columns`, and beside them
    `early_exit`, `validation_accuracy_percent`, `test_accuracy_percent` and
    `synaptic_events_per_inference`."""
    answers = []
    for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
        figures = runs.reindex(columns=[METRIC + name for name in names]).astype(float)
        figures = figures.set_axis(_FIGURES, axis=1).assign(early_exit=early_exit)
        found = np.isfinite(figures).all(axis=1)
        answers.append(pd.concat([columns, figures], axis=1)[found])
    return pd.concat(answers)


def _points(runs: pd.DataFrame, parameters: pd.DataFrame) -> pd.DataFrame:
    common = pd.DataFrame(
        {
            "name": runs["name"],
            "data_source": column(runs, TAG + "data.source").fillna("unknown"),
            "git_commit": column(runs, TAG + "git.commit").fillna("unknown"),
            "run_id": runs["run_id"],
            PARAMETER + "data.source": column(runs, PARAMETER + "data.source"),
        }
    )
    points = answers_of(runs, pd.concat([common, parameters], axis=1)).sort_values(
        [_EVENTS, _VALIDATION, "name"], ascending=[True, False, True], ignore_index=True
    )
    on_front = pareto_front(points[_EVENTS].tolist(), points[_VALIDATION].tolist())
    return points.assign(on_front=on_front)


def _varied(parameters: pd.DataFrame) -> tuple[str, ...]:
    # Those of the conventional network are only there where it was the teacher.
    numbers = {
        name: values.nunique(dropna=name.startswith(OF_BASELINE))
        for name, values in parameters.items()
    }
    return tuple(name.removeprefix(PARAMETER) for name, number in numbers.items() if number > 1)


def checked_front(path: Path, store: Store) -> str:
    """What a table of `ComparedRuns.table` says of the runs that it cites, a line a row.

    Raises StoreError if the store does not exist, or cannot be read, and ArtifactError, of all
    lines, if the table is missing or damaged, or a row differs from its run.
    """
    with opened_to_read(store) as (client, experiment_id):
        differs = rows_against_runs(path, client, experiment_id)
    if any(differs.values()):
        raise ArtifactError("\n".join(differs))
    return "".join(f"{line}\n" for line in differs)


def rows_against_runs(path: Path, client: "MlflowClient", experiment_id: str) -> dict[str, bool]:
    """A sentence for each row of such a table, and whether the row differs from its run.

    It does not if the store has no such run, or if the run's name has changed. A table of an
    earlier form, which names no runs, has none to compare.
    """
    if path.is_file() and not _names_runs(path):
        return {}
    rows = read_front(path)
    runs = runs_of(client, experiment_id, [row.run_id for row in rows])
    points = _points(runs, deciding_parameters(runs)).fillna("")
    held = {(point["run_id"], point["early_exit"]): point for point in points.to_dict("records")}
    differs = {}
    for number, row in enumerate(rows, start=2):
        cited = row.model_dump(include={*_FIGURES, "data_source", "git_commit"})
        for name, text in under_new_names(row.settings).items():
            cited[PARAMETER + name] = text
        point = held.get((row.run_id, row.early_exit), {})
        differing = [
            f"{name.removeprefix(PARAMETER)} {value} there, {point.get(name, '')} here"
            for name, value in cited.items()
            if value != point.get(name, "")
        ]
        is_there = row.run_id in set(runs["run_id"])
        verdict = f"agrees with its run {row.run_id}"
        if not is_there:
            verdict = f"its run {row.run_id} is not in this store"
        elif differing:
            verdict = f"differs from its run {row.run_id}: {'; '.join(differing)}"
        differs[f"{path}: row {number}: {verdict}"] = is_there and bool(differing)
    return differs


def _names_runs(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"run_id" in stream.readline(10_000) or stream.tell() == 0


def front_text(
    compared: ComparedRuns, at_least_percent: float, current: Mapping[str, object]
) -> str:
    """The Pareto front in words, and the command that repeats its cheapest sufficient run.

    `current` holds the parameters that the command starts from, by full name.
    """
    lines = [
        f"{compared.n_runs} runs on {compared.data_title}",
        "On the Pareto front of validation accuracy and synaptic events per inference:",
        "",
        text_table(
            ("run", "events", "validation %", "test %", "answer", *compared.varied),
            [
                (
                    one["name"],
                    f"{one[_EVENTS]:,.0f}",
                    f"{one[_VALIDATION]:.2f}",
                    f"{one[_TEST]:.2f}",
                    "early" if one["early_exit"] else "at the end",
                    *(setting_text(one[PARAMETER + name]) for name in compared.varied),
                )
                for one in compared.front.fillna("").to_dict("records")
            ],
        ),
        "",
    ]
    sufficient = compared.front[compared.front[_VALIDATION] >= at_least_percent]
    if sufficient.empty:
        lines.append(f"No run reaches {at_least_percent:g} % on validation.")
    else:
        best = sufficient.iloc[0].dropna()
        lines.append(
            f"Least energy at {at_least_percent:g} % on validation: {best['name']}, "
            f"{best[_EVENTS]:,.0f} synaptic events per inference"
            f"{', with early exit' if best['early_exit'] else ''}. Again:"
        )
        parameters = {
            name.removeprefix(PARAMETER): text
            for name, text in best.items()
            if name.startswith(PARAMETER)
        }
        lines.append(f"  {experiment_command(parameters, current, compared.varied)}")
    lines += [f"Not compared: {number} {reason}" for reason, number in compared.left_out.items()]
    return "\n".join(lines) + "\n"


def experiment_command(
    parameters: Mapping[str, str],
    current: Mapping[str, object],
    always: Collection[str] = (),
) -> str:
    """The experiment that repeats a run of some parameters, starting from those of `current`.

    Both by full name; `parameters` as MLflow keeps them, in Python's text of each value. Those of
    `always` are named even where they are the current ones, which another experiment may change.
    """
    settings = [
        # YAML has another word for none.
        f"{name}={'null' if value == 'None' else value.replace(', ', ',')}"
        for name, value in sorted(parameters.items())
        if name in always or str(current.get(name)) != value
    ]
    return " ".join(["dvc exp run", *(f"-S {shlex.quote(setting)}" for setting in settings)])
