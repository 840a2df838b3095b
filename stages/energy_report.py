"""energy_report: the complete checkpoint, the NIR graph, the energy analysis, and the figures."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spikejoule.baselines.counts import load_baseline
from spikejoule.core.errors import ParameterError
from spikejoule.core.provenance import file_digest, library_versions
from spikejoule.core.store import write_bytes, write_csv, write_json, write_text
from spikejoule.data.images import LabelledImages, load_samples, subject_of_data
from spikejoule.energy import BootstrapSettings, analyse, load_profiles, select_profile
from spikejoule.energy.from_checkpoint import analysis_inputs
from spikejoule.energy.outputs import COLUMNS, energy_rows, headline
from spikejoule.energy.variant_file import save_variants
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.evaluation import Evaluation, EvaluationMetrics
from spikejoule.evaluation.inference import InferenceTimings, read_measurement
from spikejoule.network.checkpoint import complete_checkpoint, write_complete
from spikejoule.network.trained import build_complete, load_trained
from spikejoule.nir.writing import graph_without_nodes, nir_graph, write_nir
from spikejoule.params import Params
from spikejoule.report import PageContent, energy_card, energy_page
from spikejoule.report.charts.learning import confusion_matrix, training_curves
from spikejoule.report.charts.raster import raster_of, spike_raster
from spikejoule.report.page import network_provenance
from spikejoule.training.epochs import TrainTimings

logger = logging.getLogger(__name__)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the checkpoint, the energy analysis and the figures; every input is read before."""
    confidence, sample = params.evaluate.confidence, params.energy_report.figure_sample
    profiles = load_profiles(paths["hardware"])
    profile = select_profile(profiles, params.energy_report.profile, "energy_report.profile")
    arithmetic = select_profile(
        profiles, params.energy_report.arithmetic_profile, "energy_report.arithmetic_profile"
    )
    trained, samples = load_trained(paths["trained"]), load_samples(paths["test"])
    measured = read_measurement(paths, trained, samples).first(params.measure_inference.n_samples)
    train_timings = TrainTimings.read(paths["train_timings"])
    inference_timings = InferenceTimings.read(paths["inference_timings"])
    evaluation = Evaluation.read(paths["confusion"], confidence)
    evaluated = EvaluationMetrics.read(paths["evaluate_metrics"])
    early = EarlyExit.read(paths["early_exit"])
    title = str(trained.data["title"])
    raster = raster_of(measured, samples, sample, trained.encoder.step_ms, title)
    labels = samples.labels[: measured.counts.n_samples]
    baselines = load_baseline(paths["baseline"], labels, trained.network.n_input)

    content = build_complete(
        trained,
        measured.counts,
        inference_timings.measurement_time_seconds,
        train_timings.model_dump(exclude_unset=True),
        evaluation.as_checkpoint_entry(evaluated),
        measured.proxies.as_checkpoint_entry(),
        library_versions(),
    )
    # Checked as a reader checks it, before anything is written.
    checkpoint = complete_checkpoint(paths["checkpoint"], content)
    shown = None  # events are not encoded, so nothing is counted of it
    if isinstance(samples, LabelledImages):
        shown = samples.images[: measured.counts.n_samples]
    inputs = analysis_inputs(checkpoint, measured, labels, baselines, shown, early)
    try:
        graph = nir_graph(trained)
    except ParameterError as error:  # a neuron that a user has added
        logger.warning("%s has no nodes: %s", paths["nir"], error)
        graph = graph_without_nodes(str(error))
    analysis = analyse(
        inputs,
        profiles,
        profile,
        arithmetic,
        BootstrapSettings(params.energy_report.bootstrap_samples, confidence, params.seed),
    )
    content_of_page = PageContent(
        analysis, early, raster, network_provenance(trained, paths["trained"])
    )
    page, card = energy_page(content_of_page), energy_card(content_of_page)
    metrics = headline(analysis)
    held_out = "Test (validated on it)" if trained.data["validated_on_test"] else "Validation"
    subject = subject_of_data(trained.data)
    charts = {
        "training_curves": training_curves(trained.history, trained.best_epoch, title, held_out),
        "spike_raster": spike_raster(raster),
        "confusion_figure": confusion_matrix(evaluation.confusion, title, subject),
    }
    pictures = {name: chart.png() for name, chart in charts.items()}

    write_complete(paths["checkpoint"], content)
    digest = file_digest(paths["trained"], "sha256")
    own = [replace(one, weights_sha256=digest) for one in inputs.variants]
    save_variants(paths["contenders"], [*own, *analysis.baselines])
    write_nir(paths["nir"], graph)
    write_json(paths["energy_metrics"], metrics)
    summary = {
        "accuracy": evaluated.test_accuracy_percent,
        "accuracy_val": trained.best_validation_accuracy_percent,
        "arithmetic_nj": metrics.get("arithmetic_nj"),
        "early": evaluated.early_exit_test_accuracy_percent,
        "early_events": evaluated.early_exit_synaptic_events_per_inference,
        "energy_nj": metrics.get("energy_nj"),
        "events": metrics["synaptic_events_per_inference"],
        "ratio": metrics.get("ratio"),
    }
    names = {"data": trained.data["source"], "prices": profile.id}
    if "ratio_bound" in metrics:
        names["ratio_bound"] = metrics["ratio_bound"]
    write_json(paths["summary"], short(summary) | names)
    write_csv(paths["energy_table"], COLUMNS, energy_rows(analysis))
    write_text(paths["energy_page"], page)
    write_text(paths["energy_card"], card)
    for name, picture in pictures.items():
        write_bytes(paths[name], picture)
    for line in analysis.answer:
        logger.info("%s", line)


def short(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Figures as DVC's tables print them whole: 6 digits, and events as whole numbers."""
    known = {name: value for name, value in figures.items() if value is not None}
    return {
        name: round(value) if name.endswith("events") else float(f"{value:.6g}")
        for name, value in known.items()
    }
