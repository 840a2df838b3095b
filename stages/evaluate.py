"""evaluate: accuracy on the whole test set, at the end of the window and before it."""

import logging
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.parameters import ParameterFile
from spikejoule.core.store import write_csv
from spikejoule.data.images import load_samples
from spikejoule.evaluation.accuracy import (
    accuracy_by_step,
    choose_early_exit,
    step_outcomes,
)
from spikejoule.evaluation.evaluation import (
    EvaluationMetrics,
    evaluate_predictions,
    save_predictions,
)
from spikejoule.evaluation.inference import (
    load_events_for,
    measure_network,
    read_measurement,
)
from spikejoule.evaluation.params import EvaluateParams
from spikejoule.network.checkpoint import Checkpoint

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    evaluate: EvaluateParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write predictions, accuracies with their intervals, and the early exit."""
    confidence = params.evaluate.confidence
    test = load_samples(paths["test"])
    validation = load_samples(paths["validation"])
    trained = Checkpoint.read_trained(paths["trained"])
    validation_events = load_events_for(trained, paths["events_validation"], validation)
    measured = read_measurement(paths, trained, test)
    measured_validation = measure_network(
        trained.state, trained.network, validation_events, pruned=trained.pruned
    )
    evaluation = evaluate_predictions(
        test.labels, measured.predictions, trained.network.n_output, confidence
    )
    outcomes = step_outcomes(measured, test.labels)
    validated = step_outcomes(measured_validation, validation.labels)
    on_test_images = bool(trained.data["validated_on_test"])
    by_lead = params.evaluate.early_exit_rule == "lead"
    tolerance_percent = (
        params.evaluate.early_exit_tolerance_percent if by_lead else None
    )
    early = choose_early_exit(
        validated, outcomes, tolerance_percent, confidence, on_test_images
    )
    by_step = accuracy_by_step(outcomes, confidence)
    overall = evaluation.overall
    metrics = EvaluationMetrics.of(measured, overall, early, trained.data["source"])
    save_predictions(paths["predictions"], test, measured)
    evaluation.write(paths["confusion"], paths["per_class"])
    write_csv(
        paths["accuracy_by_step"],
        tuple(by_step[0]),
        [[*row.values()] for row in by_step],
    )
    early.write(paths["early_exit"])
    metrics.write(paths["evaluate_metrics"])
    logger.info(
        "stopping %s: test accuracy %.2f %%, %s synaptic events and %.1f steps "
        "in place of %s and %d",
        early.rule_in_words,
        early.test.accuracy_percent,
        f"{early.test.synaptic_events_per_inference:,.0f}",
        early.test.mean_exit_step,
        f"{early.whole_window.test.synaptic_events_per_inference:,.0f}",
        measured.time_window,
    )
    logger.info(
        "test accuracy %.2f %% (%g %% interval %.2f to %.2f) on %s %s of %s",
        overall.percent,
        100 * confidence,
        overall.low_percent,
        overall.high_percent,
        f"{overall.n_samples:,}",
        test.subject.samples,
        trained.data["title"],
    )
