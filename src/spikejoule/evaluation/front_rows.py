"""The table that `spikejoule front` writes and the energy report shows: its columns and rows."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from spikejoule.core.schema import Flag, NotNegative, Percent, Row, Table, Text

# Metrics of a run that uses its whole window, and of the same run with early exit:
# validation accuracy, test accuracy, synaptic events of a test image.
WHOLE_WINDOW = (
    "best_validation_accuracy_percent",
    "test_accuracy_percent",
    "test_synaptic_events_per_inference",
)
EARLY_EXIT = (
    "early_exit_validation_accuracy_percent",
    "early_exit_test_accuracy_percent",
    "early_exit_synaptic_events_per_inference",
)


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> tuple[bool, ...]:
    """Which points no other point beats: costs at most as high, gains at least, one of them better.

    Equal points are on the front together. The costs are sorted once, so the work is O(N log N).
    """
    cost, gain = np.asarray(costs, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    order = np.lexsort((-gain, cost))
    best = np.maximum.accumulate(gain[order])
    cheapest = cost[order][np.searchsorted(best, best)]
    on_front = np.empty(len(order), dtype=bool)
    on_front[order] = (gain[order] == best) & (cost[order] == cheapest)
    return tuple(on_front.tolist())


def setting_text(text: str) -> str:
    """A parameter as text; a list of one, such as one hidden layer, as its only item."""
    text = text or "-"
    return text[1:-1] if text.startswith("[") and "," not in text else text


class FrontRow(Row):
    """One recorded run of a sweep, as a point; a run with early exit has a row for each way.

    Further columns are the parameters in which the runs differ.

    Attributes:
        name: of the run.
        early_exit: whether it answers before the end of the window.
        on_front: whether no other run is as good at fewer synaptic events.
        validation_accuracy_percent, test_accuracy_percent: its accuracies.
        synaptic_events_per_inference: a mean.
        data_source: of its images.
        git_commit: of the code that made it, or "unknown".
        run_id: MLflow's identifier of it.
    """

    model_config = ConfigDict(extra="allow")

    name: Text
    early_exit: Flag
    on_front: Flag
    validation_accuracy_percent: Percent
    test_accuracy_percent: Percent
    synaptic_events_per_inference: NotNegative
    data_source: Text
    git_commit: Text
    run_id: str = Field(pattern="^[0-9a-f]{32}$")

    @property
    def settings(self) -> dict[str, str]:
        """The parameters in which the runs differ, as MLflow keeps them; "" for none."""
        return {name: str(text) for name, text in (self.model_extra or {}).items()}


class FrontTable(Table):
    """The file: metrics/front.csv."""

    row: ClassVar[type[Row]] = FrontRow
    rows: tuple[FrontRow, ...]
