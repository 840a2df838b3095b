"""price: what the network's counts cost, next to conventional networks, as numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikejoule.compare.outputs import COLUMNS, energy_rows, headline
from spikejoule.core.store import write_csv, write_json
from spikejoule.network.checkpoint import Checkpoint
from stages.pricing import Params, priced_run


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
        "events": metrics["synaptic_events_per_inference"],
        "ratio": metrics.get("ratio"),
    }
    return short(figures) | {"data": file.spikejoule.data["source"]}


def short(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Round figures to fit DVC's tables: 6 digits, events to whole numbers."""
    known = {name: value for name, value in figures.items() if value is not None}
    return {
        name: round(value) if name.endswith("events") else float(f"{value:.6g}")
        for name, value in known.items()
    }
