"""evaluate: read the whole test set and say how well."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikejoule import figures
from spikejoule.data import load_images
from spikejoule.evaluation import evaluate_predictions
from spikejoule.files import write_bytes, write_csv, write_json, write_npz
from spikejoule.measurement import load_network_and_events, measure_network
from spikejoule.params import Params
from stages.common import run_stage

logger = logging.getLogger(__name__)

PREDICTIONS_SCHEMA = "spikejoule/predictions/1"

PATHS = (
    "trained",
    "test",
    "events_test",
    "predictions",
    "evaluate_metrics",
    "confusion",
    "per_class",
    "confusion_figure",
    "per_class_figure",
)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write predictions, accuracies with their intervals, and two figures."""
    test = load_images(paths["test"])
    network, events = load_network_and_events(paths["trained"], paths["events_test"], test)
    measured = measure_network(network.state, network.architecture, events)
    evaluation = evaluate_predictions(
        test.labels,
        measured.predictions,
        network.architecture.n_output,
        params.evaluate.confidence,
    )
    overall, title = evaluation.overall, str(network.data["title"])
    write_npz(
        paths["predictions"],
        PREDICTIONS_SCHEMA,
        {
            "labels": test.labels,
            "predictions": measured.predictions.astype(np.uint8),
            "output_spikes": measured.class_counts,
            "index": test.index,
        },
    )
    write_csv(
        paths["confusion"],
        ("actual", "predicted"),
        zip(test.labels.tolist(), measured.predictions.tolist(), strict=True),
    )
    write_csv(
        paths["per_class"],
        ("digit", "accuracy_percent", "n_samples"),
        [
            (digit, "" if entry.percent is None else entry.percent, entry.n_samples)
            for digit, entry in enumerate(evaluation.per_class)
        ],
    )
    write_bytes(paths["confusion_figure"], figures.confusion_matrix(evaluation.confusion, title))
    write_bytes(
        paths["per_class_figure"],
        figures.per_class_accuracy(evaluation.per_class, overall, evaluation.confidence, title),
    )
    write_json(
        paths["evaluate_metrics"],
        {
            "test_accuracy_percent": overall.percent,
            "test_accuracy_low_percent": overall.low_percent,
            "test_accuracy_high_percent": overall.high_percent,
            "confidence": evaluation.confidence,
            "n_samples": overall.n_samples,
            "data_source": network.data["source"],
            "per_class": {
                str(digit): entry.percent for digit, entry in enumerate(evaluation.per_class)
            },
        },
    )
    logger.info(
        "test accuracy %.2f %% (%g %% interval %.2f to %.2f) on %s images of %s",
        overall.percent, 100 * evaluation.confidence, overall.low_percent, overall.high_percent,
        f"{overall.n_samples:,}", title,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
