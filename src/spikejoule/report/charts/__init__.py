"""Charts: one function each, drawn with matplotlib, for a PNG as well as for the page's
SVG.

Every function turns values into a `Chart`: no file, no global state, no display, and
the same bytes for the same values. Every axis has its unit; the title states what the
chart shows, and the line below it the data that it was measured on. This package alone
imports matplotlib. What DVC draws from `metrics/` (`make plots`: training by epoch,
classes, accuracy by step) is not here.

canvas    palette, axes, and the way to PNG and SVG
accuracy  what accuracy costs: the conventional front, and this network
energy    energy by profile and term
learning  training by epoch, and the confusion of classes, for `figures/`
raster    one sample, spike by spike
"""

from typing import TYPE_CHECKING

from spikejoule.report.charts import accuracy, energy
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.charts.raster import spike_raster

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis
    from spikejoule.report.charts.raster import SpikeRaster


def charts_of_page(
    analysis: "EnergyAnalysis", raster: "SpikeRaster | None"
) -> dict[str, Chart | None]:
    """The charts of the page, by the name that its template calls them; None without
    data.
    """
    return {
        "front": accuracy.conventional_front(analysis),
        "by_profile": energy.by_profile(analysis),
        "by_term": energy.by_term(analysis),
        "raster": None if raster is None else spike_raster(raster),
    }
