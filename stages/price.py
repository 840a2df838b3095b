"""price: what the network's counts cost, next to conventional networks, as numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from spikejoule.compare.outputs import COLUMNS, energy_rows, headline
from spikejoule.core.store import write_csv, write_json
from spikejoule.network.checkpoint import Checkpoint
from stages.pricing import Params, priced_run

_DIGITS: Final = 6
"""Digits of the summary's figures: they fit DVC's tables."""


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the table of energies, the headline, and the summary of the run."""
    run = priced_run(paths, params)
    metrics = headline(run.analysis)
    write_json(paths["energy_metrics"], metrics)
    write_json(paths["summary"], _summary(metrics, run.checkpoint))
    write_csv(paths["energy_table"], COLUMNS, energy_rows(run.analysis))


def _summary(metrics: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, Any]:
    """The few figures by which runs are compared: a table of 100 columns."""
    file = checkpoint.file
    figures = {
        "accuracy": file.test_accuracy,
        "accuracy_val": file.training_results.best_val_accuracy,
        "energy_nj": metrics.get("energy_nj"),
        "ratio": metrics.get("ratio"),
    }
    rounded = {
        name: float(f"{value:.{_DIGITS}g}")
        for name, value in figures.items()
        if value is not None
    }
    return rounded | {
        "events": round(metrics["synaptic_events_per_inference"]),
        "data": file.spikejoule.data["source"],
    }
