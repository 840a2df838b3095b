"""energy_report: checkpoint, NIR graph, energy analysis and figures of the network."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from spikejoule.baselines.counts import load_baseline
from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import Only, ParameterFile, Seed
from spikejoule.core.store import write_bytes, write_csv, write_json, write_text
from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import (
    LabelledImages,
    Samples,
    load_samples,
    subject_of_data,
)
from spikejoule.energy.analysis import EnergyAnalysis, analyse
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.from_checkpoint import MeasuredSamples, analysis_inputs
from spikejoule.energy.outputs import COLUMNS, energy_rows, headline
from spikejoule.energy.params import EnergyReportParams
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.evaluation import Evaluation, EvaluationMetrics
from spikejoule.evaluation.inference import InferenceTimings, read_measurement
from spikejoule.evaluation.params import EvaluateParams, MeasureInferenceParams
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.trained import InferenceResults, completed
from spikejoule.nir.writing import graph_without_nodes, nir_graph, write_nir
from spikejoule.playground.content import PlaygroundInputs
from spikejoule.playground.opponent import choose_opponent
from spikejoule.playground.page import playground_page, unplayable_page
from spikejoule.playground.prices import PlaygroundError
from spikejoule.playground.reported import reported_notes
from spikejoule.report import PageContent, energy_card, energy_page
from spikejoule.report.charts.learning import confusion_matrix, training_curves
from spikejoule.report.charts.raster import SpikeRaster, raster_of, spike_raster
from spikejoule.report.page import network_provenance
from spikejoule.training.epochs import TrainTimings

logger = logging.getLogger(__name__)


_KEYS = ("profile", "arithmetic_profile", "bootstrap_samples", "figure_sample")


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml.

    Single keys: the limits of `spikejoule check` change no result.
    """

    seed: Seed
    measure_inference: MeasureInferenceParams
    evaluate: Annotated[EvaluateParams, Only(("confidence",))]
    energy_report: Annotated[EnergyReportParams, Only(_KEYS)]


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the checkpoint, the NIR graph, the energy analysis and the figures."""
    # Read the price lists and what earlier stages wrote, before anything is written.
    profiles = load_profiles(paths["hardware"])
    profile = select_profile(
        profiles, params.energy_report.profile, "energy_report.profile"
    )
    arithmetic = select_profile(
        profiles,
        params.energy_report.arithmetic_profile,
        "energy_report.arithmetic_profile",
    )
    trained = Checkpoint.read_trained(paths["trained"])
    samples = load_samples(paths["test"])
    n_samples = params.measure_inference.n_samples
    measured = read_measurement(paths, trained, samples).first(n_samples)
    evaluation = Evaluation.read(paths["confusion"], params.evaluate.confidence)
    evaluated = EvaluationMetrics.read(paths["evaluate_metrics"])
    early = EarlyExit.read(paths["early_exit"])
    labels = samples.labels[: measured.n_samples]
    baselines = load_baseline(paths["baseline"], labels, trained.network.n_input)

    # Assemble the complete checkpoint.
    checkpoint = _complete_checkpoint(
        paths, trained, measured, evaluation.as_checkpoint_entry(evaluated)
    )

    # Count, price and compare.
    images = None
    if isinstance(samples, LabelledImages):
        images = samples.images[: measured.n_samples]
    counted = MeasuredSamples(measured, labels, images, early)
    inputs = analysis_inputs(checkpoint, counted, baselines)
    bootstrap = BootstrapSettings(
        params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
    )
    analysis = analyse(inputs, profiles, profile, arithmetic, bootstrap)
    metrics = headline(analysis)

    # Draw the figures and the page.
    raster = _raster(trained, measured, samples, params.energy_report.figure_sample)
    pictures = _pictures(trained, raster, evaluation)
    provenance = network_provenance(trained, paths["trained"])
    page = PageContent(analysis, early, raster, provenance)
    texts = {
        "energy_page": energy_page(page),
        "energy_card": energy_card(page),
        "playground": _playground(paths, checkpoint, counted, samples, analysis),
    }

    # Write.
    checkpoint.write(paths["checkpoint"])
    _write_graph(paths["nir"], trained)
    write_json(paths["energy_metrics"], metrics)
    write_json(paths["summary"], _summary(metrics, trained, evaluated))
    write_csv(paths["energy_table"], COLUMNS, energy_rows(analysis))
    for name, text in texts.items():
        write_text(paths[name], text)
    for name, picture in pictures.items():
        write_bytes(paths[name], picture)
    for line in analysis.answer:
        logger.info("%s", line)


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
        energy_proxies=measured.proxies.as_checkpoint_entry(),
    )
    return completed(trained, results, training.model_dump(exclude_unset=True))


def _playground(
    paths: Mapping[str, Path],
    checkpoint: Checkpoint,
    counted: MeasuredSamples,
    samples: Samples,
    analysis: EnergyAnalysis,
) -> str:
    """Make the page on which people draw, or one that says why there is none."""
    if not isinstance(samples, LabelledImages):
        return unplayable_page("The playground shows networks that read images only.")
    images = samples.select(slice(counted.measurement.n_samples))
    headline_profile = analysis.chosen
    others = [
        profile
        for profile in analysis.ledger.profiles
        if profile.id != headline_profile.id
    ]
    inputs = PlaygroundInputs(
        checkpoint=checkpoint,
        measured=counted.measurement,
        images=images,
        profiles=(headline_profile, *others),
        early=counted.early,
        opponent=choose_opponent(
            paths["baseline"], images, headline_profile, checkpoint
        ),
        notes=reported_notes(analysis.verdicts, analysis.compares_with_published),
    )
    try:
        return playground_page(inputs)
    except PlaygroundError as error:
        logger.warning("%s says only: %s", paths["playground"], error)
        return unplayable_page(str(error))


def _raster(
    trained: Checkpoint, measured: Measurement, samples: Samples, sample: int
) -> SpikeRaster:
    """Collect the spikes of one sample."""
    title = str(trained.data["title"])
    return raster_of(measured, samples, sample, trained.encoder.step_ms, title)


def _pictures(
    trained: Checkpoint, raster: SpikeRaster, evaluation: Evaluation
) -> dict[str, bytes]:
    """Draw the figures as PNG, by artifact."""
    title = str(trained.data["title"])
    held_out = (
        "Test (validated on it)" if trained.data["validated_on_test"] else "Validation"
    )
    charts = {
        "training_curves": training_curves(
            trained.history, trained.best_epoch, title, held_out
        ),
        "spike_raster": spike_raster(raster),
        "confusion_figure": confusion_matrix(
            evaluation.confusion, title, subject_of_data(trained.data)
        ),
    }
    return {name: chart.png() for name, chart in charts.items()}


def _write_graph(path: Path, trained: Checkpoint) -> None:
    """Write the network as a NIR graph, without nodes if NIR lacks its neuron."""
    try:
        graph = nir_graph(trained)
    except ParameterError as error:  # a neuron added by a user
        logger.warning("%s has no nodes: %s", path, error)
        graph = graph_without_nodes(str(error))
    write_nir(path, graph)


def _summary(
    metrics: Mapping[str, Any], trained: Checkpoint, evaluated: EvaluationMetrics
) -> dict[str, Any]:
    """The few figures by which runs are compared: a table of 100 columns."""
    figures = {
        "accuracy": evaluated.test_accuracy_percent,
        "accuracy_val": trained.best_validation_accuracy_percent,
        "energy_nj": metrics.get("energy_nj"),
        "events": metrics["synaptic_events_per_inference"],
        "ratio": metrics.get("ratio"),
    }
    return short(figures) | {"data": trained.data["source"]}


def short(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Round figures to fit DVC's tables: 6 digits, events to whole numbers."""
    known = {name: value for name, value in figures.items() if value is not None}
    return {
        name: round(value) if name.endswith("events") else float(f"{value:.6g}")
        for name, value in known.items()
    }
