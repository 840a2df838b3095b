"""Charts, one function each, drawn with matplotlib as PNG and as the page's SVG.

Every function turns values into a `Chart`, without files, global state or a display;
equal values give equal bytes. Only this package imports matplotlib. DVC draws further
plots from `metrics/` (`make plots`).

canvas    palette, axes, and output as PNG and SVG
accuracy  energy against accuracy: the conventional front, and this network
energy    energy by price list and by term
learning  training by epoch and by energy, and the confusion matrix
raster    one sample, spike by spike
"""

from typing import TYPE_CHECKING

from spikejoule.report.charts import accuracy, energy, learning
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.charts.raster import spike_raster

if TYPE_CHECKING:
    from spikejoule.energy.analysis import EnergyAnalysis
    from spikejoule.report.charts.raster import SpikeRaster


def charts_of_page(
    analysis: "EnergyAnalysis", raster: "SpikeRaster | None"
) -> dict[str, Chart | None]:
    """Draw the charts of the page, by name in its template; None without data."""
    return {
        "front": accuracy.conventional_front(analysis),
        "by_profile": energy.by_profile(analysis),
        "by_term": energy.by_term(analysis),
        "training": learning.training_energy(analysis),
        "raster": None if raster is None else spike_raster(raster),
    }
