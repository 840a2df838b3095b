"""evaluate: read the whole test set and say how well, at the end of the window and before it."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from spikejoule.data.images import load_samples
from spikejoule.evaluation.early_exit import choose_early_exit, exit_at_first_spike
from spikejoule.evaluation.evaluation import evaluate_predictions
from spikejoule.evaluation.evaluation_files import EvaluationFiles
from spikejoule.evaluation.evaluation_tables import save_predictions
from spikejoule.evaluation.running import load_network_and_events, measure_network
from spikejoule.evaluation.step_outcomes import accuracy_by_step, step_outcomes
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
    confidence = params.evaluate.confidence
    test, validation = load_samples(paths["test"]), load_samples(paths["validation"])
    network, events = load_network_and_events(paths["trained"], paths["events_test"], test)
    _, validation_events = load_network_and_events(
        paths["trained"], paths["events_validation"], validation
    )
    measured, measured_validation = (
        measure_network(network.state, network.architecture, spikes, pruned=network.pruned)
        for spikes in (events, validation_events)
    )
    evaluation = evaluate_predictions(
        test.labels, measured.predictions, network.architecture.n_output, confidence
    )
    outcomes = step_outcomes(measured, test.labels)
    validated = step_outcomes(measured_validation, validation.labels)
    if params.evaluate.early_exit_rule == "first_spike":
        early = exit_at_first_spike(validated, outcomes, confidence)
    else:
        tolerance_percent = params.evaluate.early_exit_tolerance_percent
        early = choose_early_exit(validated, outcomes, tolerance_percent, confidence=confidence)
    files = EvaluationFiles.of(
        evaluation, accuracy_by_step(outcomes, confidence), early, network.data
    )
    save_predictions(paths["predictions"], test, measured)
    files.write(paths)
    logger.info(
        "stopping %s: test accuracy %.2f %%, %s synaptic events and %.1f steps "
        "in place of %s and %d",
        files.early_exit.rule_in_words, early.test.accuracy.percent,
        f"{early.test.mean_synaptic_events:,.0f}", early.test.mean_exit_step,
        f"{early.full_test.mean_synaptic_events:,.0f}", measured.time_window,
    )  # fmt: skip
    overall = evaluation.overall
    logger.info(
        "test accuracy %.2f %% (%g %% interval %.2f to %.2f) on %s %s of %s",
        overall.percent, 100 * confidence, overall.low_percent, overall.high_percent,
        f"{overall.n_samples:,}", test.subject.samples, network.data["title"],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
