"""Recorded runs as one frame, and selections from it: Pareto front, means over seeds, verdict.

A row is a finished run. Its columns bear MLflow's names: `run_id`, `name`, `params.train.lr` (text,
as MLflow keeps parameters), `metrics.test_accuracy_percent` (numbers), `tags.git.commit` (text);
what a run has not is NaN.

Validation accuracy decides; test accuracy is shown beside it and decides nothing. Only runs that
are measured alike are compared.
"""

import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.core.store import write_csv
from spikejoule.core.text import text_table
from spikejoule.energy.estimates import joules
from spikejoule.energy.ledger import SPIKING, Variant, load_variants
from spikejoule.energy.tables import VerdictTable
from spikejoule.energy.words import OUTCOMES
from spikejoule.evaluation.front_rows import (
    EARLY_EXIT,
    FRONT_COLUMNS,
    WHOLE_WINDOW,
    FrontRow,
    FrontTable,
    pareto_front,
    setting_text,
)
from spikejoule.params import by_new_names, earlier_values
from spikejoule.tracking.store import Store, opened_to_read

if TYPE_CHECKING:
    from mlflow.entities import Run

PARAMETER: Final = "params."
METRIC: Final = "metrics."
TAG: Final = "tags."
OF_BASELINE: Final = f"{PARAMETER}baseline."
"""What trains the conventional network: of effect where it was the teacher."""

# Parameters that say where and how a result was computed or shown, and do not change it.
_WITHOUT_EFFECT = tuple(
    PARAMETER + name
    for name in (
        "energy_report.",
        "evaluate.",
        "publish.",
        "data.source",
        "train.engine",
        "train.device",
        "train.threads",
        "train.resume",
    )
)
_VALIDATION, _TEST, _EVENTS = _FIGURES = (
    "validation_accuracy_percent",
    "test_accuracy_percent",
    "synaptic_events_per_inference",
)
# Parameters that decide no result of the whole window, but what a mean is of.
_OF_MEANS = (
    "evaluate.early_exit_rule",
    "evaluate.early_exit_tolerance_percent",
    "energy_report.profile",
)
_SEEDS_COLUMNS = {
    "name": ("run", ""),
    "early_exit": ("early", "d"),
    "seeds": ("seeds", ""),
    _VALIDATION: ("validation %", ".2f"),
    _TEST: ("test %", ".2f"),
    "test_lowest_percent": ("lowest", ".2f"),
    "test_highest_percent": ("highest", ".2f"),
    _EVENTS: ("events", ",.0f"),
    "input_spikes_per_inference": ("input", ",.1f"),
    "hidden_spikes_per_inference": ("hidden", ",.1f"),
    "output_spikes_per_inference": ("output", ",.1f"),
    "neuron_updates_per_inference": ("updates", ",.0f"),
    "neuron_updates_lazy_per_inference": ("lazy", ",.0f"),
    "energy_per_inference_pj": ("pJ", ",.0f"),
}
"""Of metrics/seeds.csv: the heading and the format of each for a terminal."""
_PER_INFERENCE = tuple(_SEEDS_COLUMNS)[8:]


def finished_runs(store: Store) -> pd.DataFrame:
    """All finished runs of the store's experiment, the latest first.

    Parameters that came after a run have the value that stands for what there was before.

    Raises StoreError if the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        return frame_of(
            client.search_runs(
                [experiment_id],
                "attributes.status = 'FINISHED'",
                max_results=50_000,
                order_by=["attributes.start_time DESC"],
            )
        )


def frame_of(runs: "Iterable[Run]") -> pd.DataFrame:
    """The frame of MLflow's runs, in their order."""
    earlier = {name: str(value) for name, value in earlier_values().items()}
    rows = [
        {
            "run_id": run.info.run_id,
            "name": run.info.run_name,
            "params": {
                **earlier,
                **{
                    re.sub(r"^rival\.", "baseline.", name): text
                    for name, text in by_new_names(run.data.params).items()
                },
            },
            "metrics": run.data.metrics,
            "tags": run.data.tags,
        }
        for run in runs
    ]
    return pd.json_normalize(rows) if rows else pd.DataFrame(columns=["run_id", "name"])


def column(runs: pd.DataFrame, name: str) -> pd.Series:
    """A column of the frame, which is all NaN if no run has such a value."""
    return runs.get(name, pd.Series(index=runs.index, dtype=object))


def deciding_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of the parameters that decide the runs' results, sorted by name.

    Those of the conventional network are NaN where it was not the teacher.
    """
    names = [
        name
        for name in sorted(runs)
        if name.startswith(PARAMETER) and not name.startswith(_WITHOUT_EFFECT)
    ]
    of_baseline = [name for name in names if name.startswith(OF_BASELINE)]
    is_distilled = column(runs, f"{PARAMETER}train.distillation").astype(float) != 0
    parameters = runs[names]
    return parameters.assign(**parameters[of_baseline].where(is_distilled))


def measured_alike(
    runs: pd.DataFrame, data_source: str | None, same: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The runs that can be compared, and the number of the others by reason.

    They are of the same files of images: those of `data_source`, or of the most frequent, and have
    equal parameters `same`. Raises StoreError if no run remains.
    """
    figures = runs.reindex(columns=[METRIC + name for name in WHOLE_WINDOW]).astype(float)
    size = pd.to_numeric(column(runs, f"{PARAMETER}data.validation_size"), errors="coerce")
    reasons = pd.Series(
        np.select(
            [
                ~np.isfinite(figures).all(axis=1),
                size == 0,
                column(runs, f"{METRIC}input_macs_per_inference").notna(),
            ],
            [
                "without accuracy or synaptic events",
                "validated on the test images",
                "with products of constant currents beside their events",
            ],
            "",
        ),
        runs.index,
    )
    sources = column(runs, f"{TAG}data.source").fillna("unknown")
    is_fit = reasons == ""
    fit = runs[is_fit & ((data_source is None) | (sources == data_source))]
    if fit.empty:
        left_out = Counter(reasons.where(~is_fit, "of " + sources))
        found = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        of = "" if data_source is None else f" of the data {data_source!r}"
        raise StoreError(
            f"the store holds no finished run{of} that could be compared "
            f"({found or 'it is empty'}): run the pipeline, or `make sweep`."
        )
    digests = [fit[name] for name in fit if name.startswith(f"{TAG}data.sha256.")]
    keys = [sources[fit.index], *digests, *(column(fit, PARAMETER + name) for name in same)]
    images = fit.groupby(keys, dropna=False, sort=False).ngroup()
    # Of equal groups the latest.
    chosen = fit[images == images[images.map(images.value_counts()).idxmax()]]
    is_other = is_fit & ~runs.index.isin(chosen.index)
    reasons.update("measured on other images (" + sources[is_other] + ")")
    return chosen, Counter(reasons[reasons != ""])


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


@dataclass(frozen=True, eq=False)
class ComparedRuns:
    """Points of runs measured alike, in the order of their synaptic events.

    Attributes:
        data_title: what their images are, in words.
        points: a row each, with the columns of `FrontRow` and those of the parameters that decide a
            result, as in the frame of runs. A run that may answer early is two points.
        varied: the parameters in which the runs differ, sorted by name.
        repeated: MLflow's identifiers of the runs that gave the same result again, perhaps beside
            other conventional networks.
        left_out: number of runs that are not compared, by reason.
    """

    data_title: str
    points: pd.DataFrame
    varied: tuple[str, ...]
    repeated: tuple[str, ...]
    left_out: Mapping[str, int]

    @property
    def n_runs(self) -> int:
        """Number of the runs that the points come from."""
        return len(set(self.points["run_id"]))

    def table(self) -> FrontTable:
        """The CSV file: a row a point, which carries the parameters that vary."""
        columns = {PARAMETER + name: name for name in self.varied}
        rows = self.points[[*FRONT_COLUMNS, *columns]].rename(columns=columns).fillna("")
        return FrontTable(rows=tuple(FrontRow(**row) for row in rows.to_dict("records")))


def compare_runs(runs: pd.DataFrame, data_source: str | None = None) -> ComparedRuns:
    """Compare the runs that are validated on the same images, and whose spikes were counted on the
    same: of `data_source`, or of the most frequent data.

    Of runs with the same parameters and figures the first counts. Raises StoreError if no run
    remains.
    """
    alike, left_out = measured_alike(runs, data_source, ("seed", "data.validation_size"))
    parameters = deciding_parameters(alike)
    figures = alike.reindex(columns=[METRIC + name for name in (*WHOLE_WINDOW, *EARLY_EXIT)])
    is_repeated = pd.concat([parameters, figures], axis=1).duplicated()
    distinct, parameters = alike[~is_repeated], parameters[~is_repeated]
    repeated = tuple(alike["run_id"][is_repeated])
    if repeated:
        left_out["the same result again"] = len(repeated)
    columns = parameters.assign(
        name=distinct["name"],
        data_source=column(distinct, f"{TAG}data.source").fillna("unknown"),
        git_commit=column(distinct, f"{TAG}git.commit").fillna("unknown"),
        run_id=distinct["run_id"],
    )
    columns[f"{PARAMETER}data.source"] = column(distinct, f"{PARAMETER}data.source")
    points = answers_of(distinct, columns).sort_values(
        [_EVENTS, _VALIDATION, "name"], ascending=[True, False, True], ignore_index=True
    )
    on_front = pareto_front(points[_EVENTS].tolist(), points[_VALIDATION].tolist())
    # Parameters of the conventional network are only there where it was the teacher.
    numbers = {
        name: values.nunique(dropna=name.startswith(OF_BASELINE))
        for name, values in parameters.items()
    }
    return ComparedRuns(
        data_title=column(distinct, f"{TAG}data.title").fillna("data without a title").iloc[0],
        points=points.assign(on_front=on_front),
        varied=tuple(
            name.removeprefix(PARAMETER) for name, number in numbers.items() if number > 1
        ),
        repeated=repeated,
        left_out=left_out,
    )


def front_text(
    compared: ComparedRuns, at_least_percent: float, current: Mapping[str, object]
) -> str:
    """The Pareto front in words, and the command that repeats its cheapest sufficient run.

    `current` holds the parameters that the command starts from, by full name.
    """
    front = compared.points[compared.points["on_front"]]
    settings = {PARAMETER + name: (name, setting_text) for name in compared.varied}
    columns = {
        "name": ("run", ""),
        _EVENTS: ("events", ",.0f"),
        _VALIDATION: ("validation %", ".2f"),
        _TEST: ("test %", ".2f"),
        "early_exit": ("answer", {True: "early", False: "at the end"}.__getitem__),
        **settings,
    }
    lines = [
        f"{compared.n_runs} runs on {compared.data_title}",
        "On the Pareto front of validation accuracy and synaptic events per inference:",
        "",
        frame_text(front.fillna(""), columns),
        "",
    ]
    sufficient = front[front[_VALIDATION] >= at_least_percent]
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


def frame_text(rows: pd.DataFrame, columns: Mapping[str, tuple[str, Any]]) -> str:
    """Rows for a terminal: by column its heading, and the format of a cell, or what makes its text.

    What a row has not is blank.
    """
    cells = [
        [
            style(row[name]) if callable(style)
            else "" if pd.isna(row[name]) else format(row[name], style)
            for name, (_, style) in columns.items()
        ]
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return text_table([heading for heading, _ in columns.values()], cells)


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


def seeds_table(runs: pd.DataFrame, data_source: str | None = None) -> pd.DataFrame:
    """Means over the runs that differ in their seed alone: what a setting is worth.

    A seed decides the split, the initial weights, every draw, so that one run is one draw. Runs of
    other seeds validate on other images, and are no points of one Pareto front.

    Args:
        runs: the latest first; of the same setting and seed, the latest counts.
        data_source: of their images; None for the most frequent.

    Returns:
        a row for each setting and way to answer, by synaptic events, with the columns of
        metrics/seeds.csv: the name of the run of the least seed; whether the network answers before
        the end of the window; the seeds in ascending order; means over them of accuracies (and the
        lowest and highest test accuracy), and of means per inference: synaptic events; over the
        measured images and the whole window, however the network answers, spikes, neuron updates
        (one a neuron and step, and where an event arrives or a bias is added) and energy in pJ
        under `energy_report.profile`. What the runs do not have is NaN.

    Raises:
        StoreError: there is no run to average.
    """
    alike, _ = measured_alike(runs, data_source)
    settings = deciding_parameters(alike).drop(columns=f"{PARAMETER}seed")
    further = [column(alike, PARAMETER + name) for name in _OF_MEANS]
    settings = pd.concat([settings, *further], axis=1)
    per_inference = alike.reindex(columns=[METRIC + name for name in _PER_INFERENCE]).astype(float)
    drawn = per_inference.set_axis(_PER_INFERENCE, axis=1).assign(
        name=alike["name"],
        setting=settings.groupby([*settings], dropna=False, sort=False).ngroup(),
        seed=alike[f"{PARAMETER}seed"].astype(int),
    )
    distinct = drawn.drop_duplicates(["setting", "seed"])
    answers = answers_of(alike.loc[distinct.index], distinct).sort_values("seed")
    means = answers.groupby(["setting", "early_exit"], as_index=False).agg(
        name=("name", "first"),
        seeds=("seed", lambda seeds: " ".join(map(str, seeds))),
        test_lowest_percent=(_TEST, "min"),
        test_highest_percent=(_TEST, "max"),
        **{name: (name, "mean") for name in (*_FIGURES, *_PER_INFERENCE)},
    )
    return means.sort_values([_EVENTS, "name"], ignore_index=True)[[*_SEEDS_COLUMNS]]


def write_seeds(path: Path, table: pd.DataFrame) -> None:
    """Write metrics/seeds.csv."""
    cells = table.astype({"early_exit": int}).astype(object).where(table.notna(), "")
    write_csv(path, tuple(table), cells.to_numpy().tolist())


def seeds_text(table: pd.DataFrame) -> str:
    """The table in words."""
    return (
        "Means over the seeds of each setting: events per inference; spikes by layer, neuron "
        "updates and energy of an inference over its whole window:\n\n"
        f"{frame_text(table, _SEEDS_COLUMNS)}\n"
    )


def recorded_variants(
    store: Store, compared: ComparedRuns, artifact: Path
) -> tuple[tuple[Variant, ...], list[str]]:
    """The networks that compared runs have counted, of both sides, and the names of the runs that
    have stored none, from before networks were.

    A spiking network bears the name of its run, by which it can be trained again. A run that gave
    the same again brings its conventional networks alone. Each network is there once, all on as
    many images as every run has.

    Args:
        store: where the runs are recorded.
        compared: the runs.
        artifact: the file within a run.

    Raises:
        StoreError: the store cannot be read, or no run has stored its networks.
        ArtifactError: a stored file is damaged.
    """
    names = dict(zip(compared.points["run_id"], compared.points["name"], strict=True))
    found: list[Variant] = []
    without: list[str] = []
    with opened_to_read(store) as (client, _), tempfile.TemporaryDirectory() as folder:
        for run_id in (*names, *compared.repeated):
            stored = client.list_artifacts(run_id, artifact.parent.as_posix())
            if artifact.as_posix() not in [one.path for one in stored]:
                without.append(names.get(run_id, run_id))
                continue
            path = Path(client.download_artifacts(run_id, artifact.as_posix(), folder))
            try:
                variants = load_variants(path)
            except ArtifactError as error:
                raise ArtifactError(f"run {run_id}: {error}") from error
            for one in variants:
                if one.side != SPIKING:
                    found.append(one)
                elif run_id in names:
                    network = f"{names[run_id]}: {one.network.removeprefix('spiking ')}"
                    found.append(replace(one, network=network))
    if not found:
        raise StoreError(
            f"no run in the store holds the networks that it counted ({', '.join(without)}): run "
            "the pipeline, or `make frugal baselines`."
        )
    n_images = min(len(one.operations.counts) for one in found)
    distinct: dict[tuple[object, ...], Variant] = {}
    for one in found:
        counts = replace(one.operations, counts=one.operations.counts[:n_images])
        identity = (one.side, one.network, one.method, one.accuracies)
        distinct.setdefault(identity, replace(one, operations=counts))
    return tuple(distinct.values()), without


def verdict_text(table: VerdictTable, n_networks: int, without: Sequence[str]) -> str:
    """The table in words for a terminal; `without` names runs that have stored no networks."""
    rows = pd.DataFrame([row.model_dump() for row in table.rows])
    columns = {
        "profile": ("profile", ""),
        "level_percent": ("accuracy %", "g"),
        "outcome": ("outcome", OUTCOMES.__getitem__),
        "ratio": ("ratio", ".3g"),
        "spiking": ("spiking", ""),
        "spiking_pj": ("energy", _joules),
        "conventional": ("conventional", ""),
        "conventional_pj": ("energy", _joules),
    }
    lines = [f"{n_networks} networks", frame_text(rows, columns)]
    if without:
        lines.append(f"Without counted networks: {', '.join(without)}")
    return "\n".join(lines) + "\n"


def _joules(energy_pj: float) -> str:
    return "" if pd.isna(energy_pj) else joules(energy_pj, 3)
