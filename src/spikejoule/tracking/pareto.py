"""Recorded runs compared: accuracy against synaptic events, and which of them nothing beats.

Validation accuracy decides; test accuracy is shown beside it and decides nothing. Only runs that
are measured alike are compared: validated on the same images, and their spikes counted on the same.
"""

import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spikejoule.core.errors import StoreError
from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import (
    EARLY_EXIT,
    FRONT_COLUMNS,
    WHOLE_WINDOW,
    FrontRow,
    FrontTable,
    pareto_front,
)
from spikejoule.tracking.queries import (
    METRIC,
    OF_BASELINE,
    PARAMETER,
    TAG,
    column,
    deciding_parameters,
)

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
    left_out = Counter(reasons[reasons != ""])
    fit = runs[reasons == ""]
    sources = column(fit, TAG + "data.source").fillna("unknown")
    if data_source is not None and data_source not in set(sources):
        known = ", ".join(sorted(set(sources))) or "no run at all"
        raise StoreError(f"no comparable run is of the data {data_source!r}; there is: {known}.")
    if fit.empty:
        found = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        raise StoreError(
            f"the store holds no finished run that could be compared ({found or 'it is empty'}): "
            "run the pipeline, or `make sweep`."
        )
    images = images_of(fit, _size(fit), column(fit, PARAMETER + "seed"))
    sizes = images[sources == (data_source or sources)].value_counts()
    is_chosen = images == min(sizes[sizes == sizes.max()].index)  # of equal groups the latest
    left_out.update(f"{_ELSE} ({source})" for source in sources[~is_chosen])
    chosen, parameters = fit[is_chosen], deciding_parameters(fit[is_chosen])
    figures = chosen.reindex(columns=[METRIC + name for name in (*WHOLE_WINDOW, *EARLY_EXIT)])
    is_repeated = pd.concat([parameters, figures], axis=1).duplicated()
    left_out[_REPEATED] += int(is_repeated.sum())
    distinct = chosen[~is_repeated]
    title = column(distinct, TAG + "data.title").fillna(sources[distinct.index])
    return ComparedRuns(
        data_title=title.iloc[0],
        points=_points(distinct, parameters[~is_repeated]),
        varied=_varied(parameters[~is_repeated]),
        n_runs=len(distinct),
        repeated=tuple(chosen["run_id"][is_repeated]),
        left_out={reason: number for reason, number in left_out.items() if number},
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
    answers = []
    for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
        figures = runs.reindex(columns=[METRIC + name for name in names]).astype(float)
        figures = figures.set_axis(_FIGURES, axis=1).assign(early_exit=early_exit)
        found = np.isfinite(figures).all(axis=1)
        answers.append(pd.concat([common, figures, parameters], axis=1)[found])
    points = pd.concat(answers).sort_values(
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


def front_text(
    compared: ComparedRuns, at_least_percent: float, current: Mapping[str, object]
) -> str:
    """The Pareto front in words, and the command that repeats its cheapest sufficient run.

    `current` holds the parameters that the command starts from, by full name.
    """
    from spikejoule.report.charts.accuracy import setting_text

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
