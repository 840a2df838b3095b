"""Charts: one function each, drawn with matplotlib, for the PNG as well as for the page's SVG.

Every function turns values into a `Chart`: no file, no global state, no display, and the same bytes
for the same values. Every axis has its unit; the title states what the chart shows, and the line
below it the data that it was measured on. This package alone imports matplotlib.

canvas    palette, axes, and the way to PNG and SVG
accuracy  what accuracy costs: sweeps and recorded networks
energy    energy by profile and term
learning  training, and the confusion of classes
raster    one sample, spike by spike
"""

from typing import TYPE_CHECKING

from spikejoule.data.images import subject_of_data
from spikejoule.evaluation.evaluation import Evaluation
from spikejoule.report.charts import accuracy, energy
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.charts.learning import confusion_matrix, training_curves
from spikejoule.report.charts.raster import SpikeRaster, spike_raster

if TYPE_CHECKING:
    from spikejoule.model.trained import TrainedNetwork
    from spikejoule.report.page import PageContent


def pictures(
    network: "TrainedNetwork", evaluation: Evaluation, raster: SpikeRaster
) -> dict[str, bytes]:
    """The PNG files that the pipeline keeps beside its report, by the name of the artifact.

    Args:
        network: whose training is drawn.
        evaluation: its answers on the test set.
        raster: the spikes of one test image.
    """
    title, subject = str(network.data["title"]), subject_of_data(network.data)
    charts = {
        "training_curves": training_curves(
            network.history,
            network.architecture.layer_names,
            network.best_epoch,
            title,
            bool(network.data["validated_on_test"]),
        ),
        "spike_raster": spike_raster(raster, title),
        "confusion_figure": confusion_matrix(evaluation.confusion, title, subject),
    }
    return {name: chart.png() for name, chart in charts.items()}


def charts_of_page(content: "PageContent") -> dict[str, Chart | None]:
    """The charts of the page, by the name that its template calls them; None without data."""
    analysis, raster = content.analysis, content.raster
    return {
        "fronts": accuracy.recorded_fronts(content.fronts, analysis.judging.id),
        "by_profile": energy.by_profile(analysis),
        "by_term": energy.by_term(analysis),
        "front": accuracy.accuracy_front(content.front, ""),
        "raster": None if raster is None else spike_raster(raster, analysis.inputs.title),
    }
