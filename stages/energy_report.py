"""energy_report: pages, cards and figures that explain the energy of the network."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from spikejoule.compare.params import EnergyReportParams
from spikejoule.core.parameters import Only
from spikejoule.core.store import write_bytes, write_text
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Samples, load_samples
from spikejoule.data.images import LabelledImages
from spikejoule.data.subject import subject_of_data
from spikejoule.evaluation.evaluation import Evaluation
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.opponent import choose_opponent
from spikejoule.playground.page import playground_page, unplayable_page
from spikejoule.playground.prices import PlaygroundError
from spikejoule.playground.reported import reported_notes
from spikejoule.report.charts.learning import confusion_matrix, training_curves
from spikejoule.report.charts.raster import SpikeRaster, raster_of, spike_raster
from spikejoule.report.page import (
    PageContent,
    energy_card,
    energy_page,
    network_provenance,
)
from spikejoule.report.statements import answer
from stages import pricing
from stages.pricing import PricedRun, priced_run

logger = logging.getLogger(__name__)


class Params(pricing.Params):
    """What this stage reads of params.yaml."""

    energy_report: Annotated[EnergyReportParams, Only((*pricing.KEYS, "figure_sample"))]


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the page, the card, the page to draw on, and the figures."""
    evaluation = Evaluation.read(paths["confusion"], params.evaluate.confidence)
    run = priced_run(paths, params)
    trained = Checkpoint.read_trained(paths["trained"])
    samples = load_samples(paths["test"])
    measured = read_measurement(paths, trained, samples).first(run.counted.n_samples)
    title = str(trained.data["title"])
    raster = raster_of(
        measured,
        samples,
        params.energy_report.figure_sample,
        trained.encoder.step_ms,
        title,
    )
    provenance = network_provenance(trained, paths["trained"])
    page = PageContent(run.analysis, run.counted.early, raster, provenance)
    texts = {
        "energy_page": energy_page(page),
        "energy_card": energy_card(page),
        "playground": _playground(paths, run, measured, samples),
    }
    pictures = _pictures(trained, raster, evaluation)
    for name, text in texts.items():
        write_text(paths[name], text)
    for name, picture in pictures.items():
        write_bytes(paths[name], picture)
    for line in answer(run.analysis):
        logger.info("%s", line)


def _playground(
    paths: Mapping[str, Path], run: PricedRun, measured: Measurement, samples: Samples
) -> str:
    """Make the page on which people draw, or one that says why there is none."""
    analysis = run.analysis
    if not isinstance(samples, LabelledImages):
        return unplayable_page("The playground shows networks that read images only.")
    images = samples.select(slice(measured.n_samples))
    headline_profile = analysis.chosen
    others = [
        profile
        for profile in analysis.ledger.profiles
        if profile.id != headline_profile.id
    ]
    inputs = PlaygroundInputs(
        checkpoint=run.checkpoint,
        measured=measured,
        images=images,
        profiles=(headline_profile, *others),
        early=run.counted.early,
        opponent=choose_opponent(
            paths["baseline"], images, headline_profile, run.checkpoint
        ),
        notes=reported_notes(analysis.verdicts, analysis.compares_with_published),
    )
    try:
        return playground_page(inputs)
    except PlaygroundError as error:
        logger.warning("%s says only: %s", paths["playground"], error)
        return unplayable_page(str(error))


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
