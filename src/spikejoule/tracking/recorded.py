"""Recorded runs as a DataFrame, and which of them can be compared.

A row is a run. Columns have MLflow's names: `run_id`, `name`, `params.train.lr` (text,
as MLflow keeps parameters), `metrics.test_accuracy_percent` (numbers),
`tags.data.source` (text). What a run lacks is NaN.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from spikejoule.core.errors import StoreError, printable
from spikejoule.tracking.store import (
    COMMIT_TAG,
    FILES_TAG,
    RESULT_TAG,
    Store,
    opened_to_read,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

PARAMETER: Final = "params."
METRIC: Final = "metrics."
TAG: Final = "tags."

SEED: Final = f"{PARAMETER}seed"
VALIDATION_SIZE: Final = f"{PARAMETER}data.validation_size"
ENCODING: Final = f"{PARAMETER}encode.encoding"
PRICES: Final = f"{PARAMETER}energy_report.profile"
EXIT_RULE: Final = f"{PARAMETER}evaluate.early_exit_rule"
EXIT_TOLERANCE: Final = f"{PARAMETER}evaluate.early_exit_tolerance_percent"
OF_BASELINE: Final = f"{PARAMETER}baseline."
"""Parameters of the conventional networks."""

SOURCE: Final = f"{TAG}data.source"
DIGEST: Final = f"{TAG}{FILES_TAG}"
COMMIT: Final = f"{TAG}{COMMIT_TAG}"

INPUT_MACS: Final = f"{METRIC}input_macs_per_inference"

WHOLE_WINDOW: Final = (
    "best_validation_accuracy_percent",
    "test_accuracy_percent",
    "test_synaptic_events_per_inference",
)
"""Metrics of the whole window: validation and test accuracy, events per test image."""
EARLY_EXIT: Final = (
    "early_exit_validation_accuracy_percent",
    "early_exit_test_accuracy_percent",
    "early_exit_synaptic_events_per_inference",
)
"""The same of early exit."""

MEANS: Final = (
    "input_spikes_per_inference",
    "hidden_spikes_per_inference",
    "output_spikes_per_inference",
    "neuron_updates_per_inference",
    "neuron_updates_lazy_per_inference",
    "energy_nj",
    "arithmetic_nj",
)
"""Metrics that are means per inference, over the whole window."""
TIMES: Final = (
    "training_time_seconds",
    "training_processor_seconds",
    "baseline_time_seconds",
    "baseline_processor_seconds",
)

WITHOUT_EFFECT: Final = (
    f"{PARAMETER}energy_report.",
    f"{PARAMETER}evaluate.",
    f"{PARAMETER}publish.",
    f"{PARAMETER}data.source",
    f"{PARAMETER}train.engine",
    f"{PARAMETER}train.device",
    f"{PARAMETER}train.threads",
    f"{PARAMETER}train.resume",
)
"""Parameters that decide where a result is computed and how it is shown."""

_NUMBERS = [f"{METRIC}{name}" for name in (*WHOLE_WINDOW, *EARLY_EXIT, *MEANS, *TIMES)]
_TEXTS = [
    "run_id",
    "name",
    "status",
    SEED,
    VALIDATION_SIZE,
    f"{PARAMETER}data.source",
    ENCODING,
    PRICES,
    f"{PARAMETER}energy_report.arithmetic_profile",
    EXIT_RULE,
    EXIT_TOLERANCE,
    SOURCE,
    DIGEST,
    COMMIT,
    INPUT_MACS,
]
_DEFAULTS = {SOURCE: "unknown", COMMIT: "unknown"}


def recorded_runs(store: Store) -> pd.DataFrame:
    """Read the finished results in the store's experiment, the latest first.

    Raises:
        StoreError: the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, experiment_id):
        latest = ["attributes.start_time DESC"]
        finished = "attributes.status = 'FINISHED'"
        runs = client.search_runs([experiment_id], finished, 1, 50_000, latest)
        return frame_of(run for run in runs if RESULT_TAG in run.data.tags)


def frame_of(runs: "Iterable[Run]") -> pd.DataFrame:
    """Convert MLflow's runs, in their order, with all columns this package reads."""
    rows = [
        {
            "run_id": run.info.run_id,
            "name": printable(run.info.run_name or ""),
            "status": run.info.status,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": run.data.tags,
        }
        for run in runs
    ]
    frame = pd.json_normalize(rows)
    lacking = [name for name in (*_TEXTS, *_NUMBERS) if name not in frame]
    complete = frame.reindex(columns=[*frame, *lacking])
    filled = complete.astype(object).fillna(_DEFAULTS)
    # The copy has one block per type; pandas warns of hundreds of them.
    return filled.astype(dict.fromkeys(_NUMBERS, float)).copy()


def deciding_parameters(runs: pd.DataFrame) -> pd.DataFrame:
    """Select the parameters that decide the spiking networks' results, by name."""
    names = sorted(name for name in runs if name.startswith(PARAMETER))
    without_effect = (*WITHOUT_EFFECT, OF_BASELINE)
    return runs[[name for name in names if not name.startswith(without_effect)]]


@dataclass(frozen=True, eq=False)
class ComparableRuns:
    """Runs that can be compared with each other.

    Attributes:
        runs: at least one, the latest first.
        left_out: the number of the other runs, by reason.
    """

    runs: pd.DataFrame
    left_out: Counter[str]

    @property
    def data_source(self) -> str:
        """The data of all of them."""
        source: str = self.runs[SOURCE].iloc[0]
        return source


def measured_alike(
    runs: pd.DataFrame, data_source: str | None, same: Sequence[str] = ()
) -> ComparableRuns:
    """Select complete runs on the same images, with equal values in some columns.

    Args:
        runs: the latest first.
        data_source: their data; None for the most frequent.
        same: the columns.

    Raises:
        StoreError: no run remains.
    """
    reasons = _reasons_to_leave_out(runs)
    is_chosen = runs[SOURCE] == (data_source or runs[SOURCE])
    fit = runs[(reasons == "") & is_chosen]
    others = reasons.where(reasons != "", _other_images(runs))
    if fit.empty:
        counted = Counter(others).items()
        counts = ", ".join(f"{number} {reason}" for reason, number in counted)
        data = "" if data_source is None else f" of the data {data_source!r}"
        raise StoreError(
            f"the store holds no finished run{data} that could be compared "
            f"({counts or 'it is empty'}): run the pipeline, or `make sweep`."
        )
    groups = fit.groupby([SOURCE, DIGEST, *same], dropna=False, sort=False).ngroup()
    # Groups are numbered from the latest run on: of equal ones, the latest wins.
    most_frequent = groups.mode()[0]
    chosen = fit[groups == most_frequent]
    return ComparableRuns(chosen, Counter(others.drop(chosen.index)))


def _reasons_to_leave_out(runs: pd.DataFrame) -> "pd.Series[str]":
    """Say why a run cannot be compared with any other; empty where it can."""
    figures = runs[[f"{METRIC}{name}" for name in WHOLE_WINDOW]]
    is_complete = np.isfinite(figures).all(axis=1)
    has_validation = pd.to_numeric(runs[VALIDATION_SIZE], errors="coerce") != 0
    reasons = pd.Series("", runs.index)
    reasons[runs[INPUT_MACS].notna()] = (
        "with products of constant currents in addition to their events"
    )
    reasons[~has_validation] = "validated on the test images"
    reasons[~is_complete] = "without accuracy or synaptic events"
    return reasons


def _other_images(runs: pd.DataFrame) -> "pd.Series[str]":
    """Name the images of each run, as a reason to leave it out among others."""
    return "measured on other images (" + runs[SOURCE] + ")"
