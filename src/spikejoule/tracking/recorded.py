"""Recorded runs as one frame, and selections from it: means over seeds, their front, verdict.

A row is a run. Its columns bear MLflow's names: `run_id`, `name`, `params.train.lr` (text,
as MLflow keeps parameters), `metrics.test_accuracy_percent` (numbers), `tags.data.source` (text);
what a run has not is NaN.

Validation accuracy decides; test accuracy is shown beside it and decides nothing. Only runs that
are measured alike are compared.
"""

import tempfile
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from spikejoule.core.errors import ArtifactError, StoreError, printable
from spikejoule.core.provenance import content_digest
from spikejoule.core.store import text_table
from spikejoule.energy.bands import RecordedNetwork, VerdictTable, band_sentences
from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Variant
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.variant_file import load_variants
from spikejoule.energy.words import OUTCOMES
from spikejoule.evaluation.accuracy import EARLY_EXIT, WHOLE_WINDOW, pareto_front
from spikejoule.tracking.child_runs import is_child
from spikejoule.tracking.store import BOUND_TAG, COMMIT_TAG, FILES_TAG, Store, opened_to_read

if TYPE_CHECKING:
    from mlflow.entities import Run

PARAMETER: Final = "params."
METRIC: Final = "metrics."
TAG: Final = "tags."
OF_BASELINE: Final = f"{PARAMETER}baseline."
"""What trains the conventional network: of effect where it was the teacher."""

# Parameters that say where and how a result was computed or shown, and do not change it.
_WITHOUT_EFFECT = tuple(
    f"{PARAMETER}{name}"
    for name in ("energy_report.", "evaluate.", "publish.", "data.source", "train.engine",
                 "train.device", "train.threads", "train.resume")
)  # fmt: skip
_VALIDATION, _TEST, _EVENTS = _FIGURES = (
    "validation_accuracy_percent",
    "test_accuracy_percent",
    "synaptic_events_per_inference",
)
# Parameters that decide no result of the whole window, but what a mean is of.
_OF_EXIT = [
    f"{PARAMETER}evaluate.early_exit_rule",
    f"{PARAMETER}evaluate.early_exit_tolerance_percent",
]
_OF_MEANS = [
    *_OF_EXIT,
    f"{PARAMETER}energy_report.profile",
    f"{PARAMETER}energy_report.arithmetic_profile",
]
# Parameters of the stage `baseline` that the name of a network states, or that decide none; and
# those of the network alone that is quantised after its training, where no sample is of events.
_IN_NAMES = tuple(
    f"{PARAMETER}{name}"
    for name in ("seed", "evaluate.", "model.hidden", "baseline.family_hidden",
                 "baseline.family_pruned", "baseline.family_bits", "baseline.family_bias")
)  # fmt: skip
_QUANTISED, _OF_QUANTISED = "quantised ", (f"{PARAMETER}encode.", f"{OF_BASELINE}weight_bits")
_SEED, _SIZE, _DISTILLATION, _FILES = (
    f"{PARAMETER}{name}"
    for name in ("seed", "data.validation_size", "train.distillation", "data.source")
)
_CROP, _AVERAGE = _REDUCTION = f"{PARAMETER}data.crop_pixels", f"{PARAMETER}data.average_pixels"
_SOURCE, _TITLE = f"{TAG}data.source", f"{TAG}data.title"
_DIGEST, _COMMIT = f"{TAG}{FILES_TAG}", f"{TAG}{COMMIT_TAG}"
_BOUND: Final = f"{TAG}{BOUND_TAG}"
_INPUT_MACS = f"{METRIC}input_macs_per_inference"

_PER_INFERENCE = (
    "input_spikes_per_inference",
    "hidden_spikes_per_inference",
    "output_spikes_per_inference",
    "neuron_updates_per_inference",
    "neuron_updates_lazy_per_inference",
    "energy_nj",
    "arithmetic_nj",
)
_YES = {True: "yes", False: ""}.__getitem__
_OF_SETTINGS = {
    "name": ("run", ""),
    "early_exit": ("early", _YES),
    "on_front": ("front", _YES),
    "seeds": ("seeds", ""),
    _VALIDATION: ("validation %", ".2f"),
    _TEST: ("test %", ".2f"),
    "test_lowest_percent": ("lowest", ".2f"),
    "test_highest_percent": ("highest", ".2f"),
    _EVENTS: ("events", ",.0f"),
}
"""Of metrics/seeds.csv, by column: its heading on a terminal, and the format of a cell."""
_CLOCKS = {
    SPIKING: ("training_time_seconds", "training_processor_seconds"),
    CONVENTIONAL: ("baseline_time_seconds", "baseline_processor_seconds"),
}
_FIGURES_OF_RUNS = [
    f"{METRIC}{name}"
    for name in (*WHOLE_WINDOW, *EARLY_EXIT, *_PER_INFERENCE, *chain(*_CLOCKS.values()))
]
_ENCODING = f"{PARAMETER}encode.encoding"
_PRICES = f"{PARAMETER}energy_report.profile"
_RATIO = f"{METRIC}ratio"
_NEEDED = ["run_id", "name", "started", "status", _SEED, _SIZE, _DISTILLATION, _FILES, _ENCODING,
           _SOURCE, _TITLE, _DIGEST, _COMMIT, _BOUND, _INPUT_MACS, _RATIO, *_OF_MEANS, *_REDUCTION,
           *_FIGURES_OF_RUNS]  # fmt: skip
_KNOWN = {**dict.fromkeys((_SOURCE, _TITLE, _COMMIT), "unknown"), _CROP: "0", _AVERAGE: "1"}
"""Of runs that do not state it; those from before images could be reduced are of whole ones."""
_BOUNDS: Final = {"at least": "≥ ", "at most": "≤ "}
_NAME_CHARACTERS = 24  # of a run, in a table
_BELOW: Final[Mapping[str, Any]] = {
    "width": 80,
    "initial_indent": "      ",
    "subsequent_indent": "      ",
    "break_on_hyphens": False,
}
"""How parameters are set below a row of a table."""


def recorded_runs(store: Store, condition: str = "attributes.status = 'FINISHED'") -> pd.DataFrame:
    """All runs of the store's experiment that meet a condition of MLflow's, the latest first.

    Without child runs, which are no results of their own. Raises StoreError if the store does not
    exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        latest = ["attributes.start_time DESC"]
        found = client.search_runs([experiment_id], condition, 1, 50_000, latest)
        return frame_of(run for run in found if not is_child(run))


def runs_text(runs: pd.DataFrame, limit: int) -> str:
    """The first so many runs, in lines of at most 80 characters, and what the columns are."""
    shown = runs.head(limit)
    _, test, events = (f"{METRIC}{name}" for name in WHOLE_WINDOW)
    figures = pd.DataFrame(
        {
            "name": shown["name"],
            "accuracy": shown[test],
            "events": shown[events],
            "energy_nj": shown[f"{METRIC}energy_nj"],
            "ratio": shown[_RATIO],
            "bound": shown[_BOUND],
            "prices": shown[_PRICES],
            "state": shown["status"].str.lower(),
        }
    )
    names = [name for name in shown if name.startswith(PARAMETER) and name != _PRICES]
    parameters = shown[[_SOURCE, *names]].rename(
        columns=lambda name: name.removeprefix(TAG).removeprefix(PARAMETER)
    )
    limited = f" of {len(runs)}: --limit {len(runs)} shows all" if len(shown) < len(runs) else ""
    return f"{figures_text(figures, parameters)}\n{len(shown)} runs{limited}.\n"


def figures_text(figures: pd.DataFrame, parameters: pd.DataFrame) -> str:
    """Runs or experiments in lines of at most 80 characters: figures, and below those of each the
    parameters in which they differ.

    Args:
        figures: a row for each, with the columns `name`, `accuracy`, `events`, `energy_nj`,
            `ratio`, `bound` (``at least`` or ``at most``, of a ratio that is a bound), `prices`
            (id of the price list of the energy) and `state`; what is not known is NaN.
        parameters: the same rows, with a column for each parameter.
    """
    priced = figures["energy_nj"].notna()
    # Without an energy, a price list says nothing.
    prices = figures["prices"].where(priced)
    price_lists = prices.dropna().unique()
    unit, size_nj = ("µJ", 1000) if figures["energy_nj"].max() >= 1000 else ("nJ", 1)
    columns = {
        "name": ("run", ""),
        "accuracy": ("test %", ".2f"),
        "events": ("events", ",.0f"),
        "energy": (f"energy {unit}", _short),
        "ratio": ("ratio", ""),
        "state": ("state", ""),
    }
    names = figures["name"].fillna("").str.slice(stop=_NAME_CHARACTERS)
    ratios = figures["ratio"].map(_short)
    ratios = figures["bound"].map(_BOUNDS).fillna("") + ratios
    table = figures.assign(name=names, energy=figures["energy_nj"] / size_nj, ratio=ratios)
    header, *lines = frame_text(table, columns).splitlines()
    differing = parameters.loc[:, parameters.nunique() > 1]
    if len(price_lists) > 1:
        differing = differing.assign(prices=prices)
    said = [header]
    for line, values in zip(lines, differing.to_dict("records"), strict=True):
        pairs = [f"{name}={value}" for name, value in values.items() if pd.notna(value)]
        said += [line, *textwrap.wrap("  ".join(pairs), **_BELOW)]
    said += ["", "Events and energy are means per inference over the whole window. The ratio is"]
    said += ["to the energy of a conventional network at equal accuracy."]
    if len(price_lists) == 1:
        said.append(f"Energy and ratio are at the prices of {price_lists[0]}.")
    return "\n".join(said) + "\n"


def _short(value: float) -> str:
    return "" if pd.isna(value) else plain(value, 3)


def frame_of(runs: "Iterable[Run]") -> pd.DataFrame:
    """The frame of MLflow's runs, in their order, with all the columns that selections ask for."""
    rows = [
        {"run_id": run.info.run_id, "name": printable(run.info.run_name or ""),
         "status": run.info.status, "started": datetime.fromtimestamp(run.info.start_time / 1000)}
        | {part: getattr(run.data, part) for part in ("params", "metrics", "tags")}
        for run in runs
    ]  # fmt: skip
    found = pd.json_normalize(rows)
    found = found.reindex(columns=[*found, *(name for name in _NEEDED if name not in found)])
    texts = found.astype(object).fillna(_KNOWN)
    # A copy is one block a type; pandas warns of a frame of hundreds.
    return texts.astype(dict.fromkeys(_FIGURES_OF_RUNS, float)).copy()


def deciding_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """The columns of the parameters that decide the runs' results, sorted by name.

    Those of the conventional network are NaN where it was not the teacher.
    """
    names = sorted(name for name in runs if name.startswith(PARAMETER))
    parameters = runs[[name for name in names if not name.startswith(_WITHOUT_EFFECT)]]
    of_baseline = parameters.filter(like=OF_BASELINE)
    is_distilled = runs[_DISTILLATION].astype(float) > 0
    return parameters.assign(**of_baseline.where(is_distilled))


def measured_alike(
    runs: pd.DataFrame, data_source: str | None, same: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The runs that can be compared, and the number of the others by reason.

    They are of the same files of images: those of `data_source`, or of the most frequent, and have
    equal values in the columns `same`. Raises StoreError if no run remains.
    """
    figures = runs[[f"{METRIC}{name}" for name in WHOLE_WINDOW]]
    problems = {
        "without accuracy or synaptic events": ~np.isfinite(figures).all(axis=1),
        "validated on the test images": pd.to_numeric(runs[_SIZE], errors="coerce") == 0,
        "with products of constant currents beside their events": runs[_INPUT_MACS].notna(),
    }
    is_whole = (runs[_CROP] == "0") & (runs[_AVERAGE] == "1")
    reduced = ", cropped by " + runs[_CROP] + " and averaged by " + runs[_AVERAGE]
    others = "measured on other images (" + runs[_SOURCE] + reduced.mask(is_whole, "") + ")"
    reasons = pd.Series(np.select([*problems.values()], [*problems], others), runs.index)
    fit = runs[(reasons == others) & (runs[_SOURCE] == (data_source or runs[_SOURCE]))]
    if fit.empty:
        found = ", ".join(f"{number} {reason}" for reason, number in Counter(reasons).items())
        of = "" if data_source is None else f" of the data {data_source!r}"
        raise StoreError(
            f"the store holds no finished run{of} that could be compared "
            f"({found or 'it is empty'}): run the pipeline, or `make sweep`."
        )
    groups = fit.groupby([_SOURCE, _DIGEST, *same], dropna=False, sort=False).ngroup()
    chosen = fit[groups == groups.mode()[0]]  # of groups as frequent the latest
    return chosen, Counter(reasons.drop(chosen.index))


def answers_of(runs: pd.DataFrame) -> pd.DataFrame:
    """Both ways to answer of each run that has the figures of it: beside its columns `early_exit`,
    `validation_accuracy_percent`, `test_accuracy_percent` and `synaptic_events_per_inference`."""
    answers = []
    for early_exit, names in ((False, WHOLE_WINDOW), (True, EARLY_EXIT)):
        figures = runs[[f"{METRIC}{name}" for name in names]].set_axis(_FIGURES, axis=1)
        found = np.isfinite(figures).all(axis=1)
        answers.append(runs.assign(early_exit=early_exit, **figures)[found])
    return pd.concat(answers)


def settings_table(
    runs: pd.DataFrame, data_source: str | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Means over the runs that differ in their seed alone: what a setting is worth, and which
    settings are on the Pareto front of validation accuracy and synaptic events.

    A seed decides the split, the initial weights, every draw, so that one run is one draw.

    Args:
        runs: the latest first; of the same setting and seed, the latest counts.
        data_source: of their images; None for the most frequent.

    Returns:
        a row for each setting and way to answer, by synaptic events, and after it a row for each
        of its seeds, if there are several, with the columns of metrics/seeds.csv: the name of the
        run of the least seed; whether the network answers before the end of the window; whether no
        other setting is as accurate for as few events; the seeds in ascending order; means over
        them of accuracies (and the lowest and highest test accuracy), and of means per inference:
        synaptic events; over the measured images and the whole window, however the network answers,
        spikes, neuron updates (one a neuron and step, and where an event arrives or a bias is
        added) and energies in nJ, under `energy_report.profile` and under
        `energy_report.arithmetic_profile`; the runs and their commits; the number of the setting
        and way to answer; the parameters in which settings differ. What the runs do not have is
        NaN. Beside it the number of runs that are left out, by reason.

    Raises:
        StoreError: there is no run to average.
    """
    alike, left_out = measured_alike(runs, data_source, _REDUCTION)
    deciding = deciding_parameters(alike).drop(columns=_SEED)
    # Parameters of the conventional network are only there where it was the teacher.
    varied = [
        name
        for name, values in deciding.items()
        if values.nunique(dropna=name.startswith(OF_BASELINE)) > 1
    ]
    settings = pd.concat([deciding, alike[_OF_MEANS]], axis=1)
    drawn = alike.assign(
        setting=settings.groupby([*settings], dropna=False, sort=False).ngroup(),
        seed=alike[_SEED].astype(int),
        **deciding,
    )
    answers = answers_of(drawn.drop_duplicates(["setting", "seed"])).sort_values("seed")
    answers["setting"] = 2 * answers["setting"] + answers["early_exit"]
    means, of_seeds = (
        answers.groupby(keys, as_index=False).agg(
            name=("name", "first"),
            early_exit=("early_exit", "first"),
            seeds=("seed", lambda seeds: " ".join(map(str, seeds))),
            run_ids=("run_id", " ".join),
            git_commits=(_COMMIT, lambda commits: " ".join(dict.fromkeys(commits))),
            test_lowest_percent=(_TEST, "min"),
            test_highest_percent=(_TEST, "max"),
            **{name: (name, "mean") for name in _FIGURES},
            **{name: (f"{METRIC}{name}", "mean") for name in _PER_INFERENCE},
            **{name: (name, "first") for name in varied},
        )
        for keys in (["setting"], ["setting", "seed"])
    )
    means = means.sort_values([_EVENTS, "name"])
    means["on_front"] = pareto_front(means[_EVENTS].tolist(), means[_VALIDATION].tolist())
    rows = pd.concat([means, of_seeds.assign(on_front=False)]).drop_duplicates(["setting", "seeds"])
    # Settings in the order of their means.
    rows["setting"] = pd.Categorical(rows["setting"], means["setting"]).codes
    rows = rows.sort_values("setting", kind="stable", ignore_index=True)
    return rows[
        [*_OF_SETTINGS, *_PER_INFERENCE, "run_ids", "git_commits", "setting", *varied]
    ], left_out


def settings_text(table: pd.DataFrame, left_out: Mapping[str, int]) -> str:
    """The settings in words, without single seeds among several."""
    varied = (name for name in table if name.startswith(PARAMETER))
    columns = _OF_SETTINGS | {name: (name.removeprefix(PARAMETER), "") for name in varied}
    shown = frame_text(table.drop_duplicates("setting"), columns)
    left = "".join(f"Not compared: {number} {reason}\n" for reason, number in left_out.items())
    return (
        "Means over the seeds of each setting; on the front are those that no other beats in "
        f"validation\naccuracy and synaptic events per inference:\n\n{shown}\n\n{left}"
    )


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


def recorded_networks(
    store: Store,
    runs: pd.DataFrame,
    artifact: Path,
    profiles: Collection[HardwareProfile],
    of_baselines: Collection[str],
    data_source: str | None = None,
    earlier: Sequence[RecordedNetwork] = (),
) -> tuple[list[RecordedNetwork], dict[str, int]]:
    """The networks of both sides that runs of the same data, whole or reduced, counted, priced,
    and the number of runs or networks that are left out, by reason.

    Each network is there once, by its weights and how it is run. Of networks that differ in their
    weights alone (the same configuration and seed, of another processor or version), the latest
    counts. All were counted on as many test images as the most.

    Args:
        store: where the runs are recorded.
        runs: the latest first, validated on images of their own.
        artifact: the file within a run.
        profiles: by which they are priced.
        of_baselines: parameters that decide a conventional network, by full name or by section.
        data_source: of their images; None for the most frequent of the runs, or where none can be
            compared for that of `earlier`.
        earlier: networks that a table holds, of runs that the store may not have.

    Raises:
        StoreError: the store cannot be read, or holds no run to compare, nor does `earlier`.
        ArtifactError: a stored file is damaged.
    """
    left_out = Counter[str]()
    rows = list[RecordedNetwork]()
    try:
        alike, counted = measured_alike(runs, data_source, (_SIZE,))
    except StoreError:
        source = data_source or next((row.data_source for row in earlier), None)
        if source not in {row.data_source for row in earlier}:
            raise
        left_out.update(+Counter({"that could not be compared": len(runs)}))
    else:
        source = alike[_SOURCE].iloc[0]
        left_out.update(counted)
        rows += _networks_of(store, alike, artifact, profiles, of_baselines, left_out)
    priced = {(one.configuration, one.method): one.priced for one in rows}
    for row in earlier:
        if row.data_source != source:
            left_out[f"recorded networks, counted on {row.data_source} instead of {source}"] += 1
        elif priced.get((row.configuration, row.method), set()) <= row.priced:
            rows.append(row)
        else:
            left_out["networks of the table, without some of the prices"] += 1
    found, known = list[RecordedNetwork](), set[tuple[Any, ...]]()
    for row in rows:
        drawn = row.configuration, row.method, row.seed
        same = row.weights_sha256, row.method, row.validation_percent
        if known.isdisjoint((drawn, same)):
            found.append(row)
            known |= {drawn, same}
    most = max((one.n_images for one in found), default=0)
    rows = [one for one in found if one.n_images == most]
    if fewer := len(found) - len(rows):
        left_out["networks counted on fewer test images"] = fewer
    rows.sort(key=lambda one: (one.side, one.name, one.seed, one.run_id))
    return rows, left_out


def _networks_of(
    store: Store,
    runs: pd.DataFrame,
    artifact: Path,
    profiles: Collection[HardwareProfile],
    of_baselines: Collection[str],
    left_out: Counter[str],
) -> Iterator[RecordedNetwork]:
    """What each run counted, priced; runs without it are added to `left_out`."""
    spiking = pd.concat([deciding_parameters(runs).drop(columns=_SEED), runs[_OF_EXIT]], axis=1)
    with opened_to_read(store) as (client, _), tempfile.TemporaryDirectory() as folder:
        for place, run in runs.iterrows():
            stored = client.list_artifacts(run["run_id"], artifact.parent.as_posix())
            if artifact.as_posix() not in [one.path for one in stored]:
                left_out["that recorded no counted networks"] += 1
                continue
            path = Path(client.download_artifacts(run["run_id"], artifact.as_posix(), folder))
            try:
                variants = load_variants(path)
            except ArtifactError as error:
                raise ArtifactError(f"run {run['run_id']}: {error}") from error
            path.unlink()
            if not all(one.weights_sha256 for one in variants):
                left_out["recorded before weights had a checksum"] += 1
                continue
            own = {SPIKING: spiking.loc[place], CONVENTIONAL: _of_baselines(run, of_baselines)}
            for one in variants:
                if one.accuracies is not None:
                    yield _recorded_network(run, one, variants, own[one.side], profiles)


def _of_baselines(run: "pd.Series[Any]", names: Collection[str]) -> "pd.Series[Any]":
    """Parameters of a run that decide a conventional network, its images' among them, beside what
    its name says."""
    chosen = [
        name
        for name in run.index
        if any(f"{name}.".startswith(f"{PARAMETER}{one}.") for one in (*names, "data"))
        and not name.startswith((*_IN_NAMES, *_WITHOUT_EFFECT))
    ]
    return run[chosen]


def _recorded_network(
    run: "pd.Series[Any]",
    variant: Variant,
    variants: Collection[Variant],
    parameters: "pd.Series[Any]",
    profiles: Collection[HardwareProfile],
) -> RecordedNetwork:
    """A network of a run, beside the others of it, with the parameters that decide its own side."""
    deciding = parameters.dropna()
    fraction = 1.0
    if variant.side != SPIKING:
        is_quantised = variant.network.startswith(_QUANTISED)
        if not is_quantised and run[_ENCODING] != "none":
            deciding = deciding[[not name.startswith(_OF_QUANTISED) for name in deciding.index]]
        trained = {one.network for one in variants if one.side == CONVENTIONAL}
        n_trained = sum(not name.startswith(_QUANTISED) for name in trained)
        fraction = np.nan if is_quantised else 1 / n_trained
        deciding = pd.concat([deciding, pd.Series({"network": variant.network})])
    clocks = [fraction * run[f"{METRIC}{name}"] for name in _CLOCKS[variant.side]]
    train_seconds, processor_seconds = (None if np.isnan(of) else float(of) for of in clocks)
    return RecordedNetwork.of(
        variant,
        profiles,
        run=run["name"],
        run_id=run["run_id"],
        git_commit=run[_COMMIT],
        data_source=run[_SOURCE],
        configuration=content_digest({variant.side: deciding.astype(str).to_dict()})[:12],
        seed=int(run[_SEED]),
        train_seconds=train_seconds,
        processor_seconds=processor_seconds,
        crop_pixels=int(run[_CROP]),
        average_pixels=int(run[_AVERAGE]),
    )


def verdict_text(
    table: VerdictTable,
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int],
) -> str:
    """The table in words for a terminal, and what was left out."""
    rows = pd.DataFrame([row.model_dump() for row in table.rows], columns=VerdictTable.columns())
    columns = {
        "profile": ("profile", ""),
        "level_percent": ("about %", "g"),
        "outcome": ("outcome", OUTCOMES.__getitem__),
        "ratio": ("ratio", ".3g"),
        "ratio_low": ("from", ".3g"),
        "ratio_high": ("to", ".3g"),
        "spiking": ("spiking", ""),
        "spiking_n_seeds": ("seeds", "d"),
        "spiking_pj": ("energy", _joules),
        "conventional": ("conventional", ""),
        "conventional_n_seeds": ("seeds", "d"),
        "conventional_pj": ("energy", _joules),
    }
    lines = band_sentences(table.rows, networks, profiles, left_out)
    return "\n".join([frame_text(rows, columns), "", *lines] if table.rows else lines) + "\n"


def _joules(energy_pj: float) -> str:
    return "" if pd.isna(energy_pj) else joules(energy_pj, 3)
