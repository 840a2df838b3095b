"""evaluate: read the whole test set and say how well, at the end of the window and before it."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikejoule.data.images import LabelledImages, load_images
from spikejoule.measure.early_exit import (
    EarlyExit,
    ExitOutcome,
    StepOutcomes,
    accuracy_by_step,
    choose_early_exit,
    outcomes_by_step,
    synaptic_events_by_step,
)
from spikejoule.measure.evaluation import evaluate_predictions
from spikejoule.measure.evaluation_files import (
    PREDICTIONS,
    AccuracyBySteps,
    ClassRow,
    Confusion,
    ConfusionRow,
    EarlyExitFile,
    EvaluationMetrics,
    ExitEntry,
    PerClass,
    StepRow,
    WholeWindow,
)
from spikejoule.measure.measurement import Measurement, load_network_and_events, measure_network
from spikejoule.model.checkpoint import TrainedNetwork
from spikejoule.model.fan_out import fan_outs_by_source
from spikejoule.params import Params
from stages.shared.common import run_stage

logger = logging.getLogger(__name__)

PATHS = (
    "trained",
    "validation",
    "test",
    "events_validation",
    "events_test",
    "predictions",
    "evaluate_metrics",
    "confusion",
    "per_class",
    "accuracy_by_step",
    "early_exit",
)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write predictions, accuracies with their intervals, early answers."""
    test, validation = load_images(paths["test"]), load_images(paths["validation"])
    network, events = load_network_and_events(paths["trained"], paths["events_test"], test)
    _, validation_events = load_network_and_events(
        paths["trained"], paths["events_validation"], validation
    )
    measured = measure_network(network.state, network.architecture, events, pruned=network.pruned)
    evaluation = evaluate_predictions(
        test.labels,
        measured.predictions,
        network.architecture.n_output,
        params.evaluate.confidence,
    )
    overall, title = evaluation.overall, str(network.data["title"])
    by_step = _by_step(network, measured, test)
    measured_validation = measure_network(
        network.state, network.architecture, validation_events, pruned=network.pruned
    )
    validation_by_step = _by_step(network, measured_validation, validation)
    PREDICTIONS.write(
        paths["predictions"],
        {
            "labels": test.labels,
            "predictions": measured.predictions.astype(np.uint8),
            "output_spikes": measured.class_counts,
            "index": test.index,
        },
    )
    Confusion(
        rows=tuple(
            ConfusionRow(actual=actual, predicted=predicted, images=int(images))
            for (actual, predicted), images in np.ndenumerate(evaluation.confusion)
        )
    ).write(paths["confusion"])
    PerClass(
        rows=tuple(
            # A digit without images has no accuracy: its cells stay empty.
            ClassRow(
                digit=digit,
                n_samples=entry.n_samples,
                accuracy_percent=entry.percent,
                accuracy_low_percent=entry.low_percent,
                accuracy_high_percent=entry.high_percent,
            )
            for digit, entry in enumerate(evaluation.per_class)
        )
    ).write(paths["per_class"])
    early = _write_early_answers(paths, validation_by_step, by_step, params, network.data)
    EvaluationMetrics.model_validate(
        {
            "test_accuracy_percent": overall.percent,
            "test_accuracy_low_percent": overall.low_percent,
            "test_accuracy_high_percent": overall.high_percent,
            "test_synaptic_events_per_inference": early.full_test.mean_synaptic_events,
            "early_exit_validation_accuracy_percent": early.validation.accuracy.percent,
            "early_exit_test_accuracy_percent": early.test.accuracy.percent,
            "early_exit_synaptic_events_per_inference": early.test.mean_synaptic_events,
            "data_source": network.data["source"],
        }
    ).write(paths["evaluate_metrics"])
    logger.info(
        "test accuracy %.2f %% (%g %% interval %.2f to %.2f) on %s images of %s",
        overall.percent, 100 * evaluation.confidence, overall.low_percent, overall.high_percent,
        f"{overall.n_samples:,}", title,
    )  # fmt: skip


def _by_step(
    network: TrainedNetwork, measured: Measurement, images: LabelledImages
) -> StepOutcomes:
    fan_outs = fan_outs_by_source(network.state, network.architecture, network.pruned)
    return outcomes_by_step(
        measured.layers[-1], images.labels, synaptic_events_by_step(measured.layers, fan_outs)
    )


def _write_early_answers(
    paths: Mapping[str, Path],
    validation: StepOutcomes,
    test: StepOutcomes,
    params: Params,
    data: Mapping[str, Any],
) -> EarlyExit:
    """Write the test accuracy at every step, and what stopping at a margin gives; return that."""
    confidence = params.evaluate.confidence
    by_step = accuracy_by_step(test, confidence)
    steps = zip(by_step.accuracies, by_step.mean_synaptic_events.tolist(), strict=True)
    AccuracyBySteps(
        rows=tuple(
            StepRow(
                step=step,
                accuracy_percent=entry.percent or 0.0,
                accuracy_low_percent=entry.low_percent or 0.0,
                accuracy_high_percent=entry.high_percent or 0.0,
                synaptic_events_per_inference=synaptic_events,
            )
            for step, (entry, synaptic_events) in enumerate(steps, start=1)
        )
    ).write(paths["accuracy_by_step"])
    chosen = choose_early_exit(
        validation, test, params.evaluate.early_exit_tolerance_percent, confidence=confidence
    )
    EarlyExitFile(
        margin_spikes=chosen.margin,
        tolerance_percent=chosen.tolerance_percent,
        chosen_on_test_images=bool(data["validated_on_test"]),
        validation=_exit_entry(chosen.validation),
        test=_exit_entry(chosen.test),
        whole_window=WholeWindow(
            validation=_exit_entry(chosen.full_validation), test=_exit_entry(chosen.full_test)
        ),
    ).write(paths["early_exit"])
    logger.info(
        "stopping at a lead of %d spikes: test accuracy %.2f %%, %s synaptic events and %.1f steps "
        "in place of %s and %d",
        chosen.margin, chosen.test.accuracy.percent,
        f"{chosen.test.mean_synaptic_events:,.0f}", chosen.test.mean_exit_step,
        f"{chosen.full_test.mean_synaptic_events:,.0f}", test.margins.shape[1],
    )  # fmt: skip
    return chosen


def _exit_entry(outcome: ExitOutcome) -> ExitEntry:
    return ExitEntry.model_validate(
        {
            "accuracy_percent": outcome.accuracy.percent,
            "accuracy_low_percent": outcome.accuracy.low_percent,
            "accuracy_high_percent": outcome.accuracy.high_percent,
            "mean_exit_step": outcome.mean_exit_step,
            "synaptic_events_per_inference": outcome.mean_synaptic_events,
            "synaptic_events_low": outcome.low_synaptic_events,
            "synaptic_events_high": outcome.high_synaptic_events,
        }
    )


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
