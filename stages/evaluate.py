"""evaluate: accuracy on the whole test set, and the files of the finished network.

These are the complete checkpoint, which holds weights, spike counts and accuracies, and
the NIR graph.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import ParameterFile
from spikejoule.core.store import write_csv
from spikejoule.counts.measurement import Measurement
from spikejoule.counts.proxies import checkpoint_proxies
from spikejoule.data.dataset import load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.evaluation.early_exit import (
    EarlyExit,
    StepOutcomes,
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
    InferenceTimings,
    load_events_for,
    measure_network,
    read_measurement,
)
from spikejoule.evaluation.params import EvaluateParams, MeasureInferenceParams
from spikejoule.evaluation.runs import counted_runs, exits_of, save_runs
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.trained import InferenceResults, completed
from spikejoule.nir.writing import graph_without_nodes, nir_graph, write_nir
from spikejoule.training.epochs import TrainTimings

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    measure_inference: MeasureInferenceParams
    evaluate: EvaluateParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write accuracies with their intervals, the early exit, checkpoint and graph."""
    confidence = params.evaluate.confidence
    trained = Checkpoint.read_trained(paths["trained"])
    test = load_samples(paths["test"])
    measured = read_measurement(paths, trained, test)

    # Classify.
    evaluation = evaluate_predictions(
        test.labels, measured.predictions, trained.network.n_output, confidence
    )
    outcomes = step_outcomes(measured, test.labels)
    by_step = accuracy_by_step(outcomes, confidence)
    early = _early_exit(paths, params, trained, outcomes)
    overall = evaluation.overall
    metrics = EvaluationMetrics.of(measured, overall, early, trained.data["source"])

    # Count the first samples in every way of running the network.
    counted = measured.first(params.measure_inference.n_samples)
    samples = test.select(slice(counted.n_samples))
    runs = counted_runs(
        counted,
        trained.encoder,
        samples.images if isinstance(samples, LabelledImages) else None,
        exits_of(counted, samples.labels, early),
    )
    checkpoint = _complete_checkpoint(
        paths, trained, counted, evaluation.as_checkpoint_entry(metrics)
    )

    # Write.
    checkpoint.write(paths["checkpoint"])
    _write_graph(paths["nir"], trained)
    save_runs(paths["counts"], runs, samples.labels, checkpoint)
    save_predictions(paths["predictions"], test, measured)
    evaluation.write(paths["confusion"], paths["per_class"])
    write_csv(
        paths["accuracy_by_step"],
        tuple(by_step[0]),
        [[*row.values()] for row in by_step],
    )
    early.write(paths["early_exit"])
    metrics.write(paths["evaluate_metrics"])
    _log(early, measured.time_window)
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


def _early_exit(
    paths: Mapping[str, Path],
    params: Params,
    trained: Checkpoint,
    outcomes: StepOutcomes,
) -> EarlyExit:
    """Choose the early exit on validation samples; `outcomes` are of test samples."""
    validation = load_samples(paths["validation"])
    events = load_events_for(trained, paths["events_validation"], validation)
    measured = measure_network(
        trained.state, trained.network, events, pruned=trained.pruned
    )
    by_lead = params.evaluate.early_exit_rule == "lead"
    return choose_early_exit(
        step_outcomes(measured, validation.labels),
        outcomes,
        params.evaluate.early_exit_tolerance_percent if by_lead else None,
        params.evaluate.confidence,
        bool(trained.data["validated_on_test"]),
    )


def _log(early: EarlyExit, time_window: int) -> None:
    """Log what early exit saves."""
    logger.info(
        "stopping %s: test accuracy %.2f %%, %s synaptic events and %.1f steps "
        "in place of %s and %d",
        early.rule_in_words,
        early.test.accuracy_percent,
        f"{early.test.synaptic_events_per_inference:,.0f}",
        early.test.mean_exit_step,
        f"{early.whole_window.test.synaptic_events_per_inference:,.0f}",
        time_window,
    )


def _complete_checkpoint(
    paths: Mapping[str, Path],
    trained: Checkpoint,
    measured: Measurement,
    test: Mapping[str, Any],
) -> Checkpoint:
    """Assemble the complete checkpoint; `test` is its entry on the test set."""
    inference = InferenceTimings.read(paths["inference_timings"])
    training = TrainTimings.read(paths["train_timings"])
    results = InferenceResults(
        spikes=measured.counts,
        seconds=inference.measurement_time_seconds,
        evaluation=test,
        energy_proxies=checkpoint_proxies(measured.activity()),
    )
    return completed(trained, results, training.model_dump(exclude_unset=True))


def _write_graph(path: Path, trained: Checkpoint) -> None:
    """Write the network as a NIR graph, without nodes if NIR lacks its neuron."""
    try:
        graph = nir_graph(trained)
    except ParameterError as error:  # a neuron added by a user
        logger.warning("%s has no nodes: %s", path, error)
        graph = graph_without_nodes(str(error))
    write_nir(path, graph)
