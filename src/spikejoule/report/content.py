"""What the energy report shows."""

from dataclasses import dataclass

from spikejoule.energy import EnergyAnalysis
from spikejoule.energy.fronts import FrontsRow
from spikejoule.energy.verdict_rows import VerdictRow
from spikejoule.evaluation.accuracy import StepRow
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.raster import SpikeRaster


@dataclass(frozen=True, eq=False)
class PageContent:
    """Everything on the page; what is not known is empty, and the page says so.

    Attributes:
        analysis: the priced counts.
        by_step: accuracy if every image is answered at step 1, 2, ...
        early: answering early, by either rule.
        front: the runs of a sweep.
        levels: the verdicts of all recorded runs.
        fronts: the networks of these runs that none of their side beats.
        raster: the spikes of one image.
        provenance: parameters, data and checksums, label and value.
    """

    analysis: EnergyAnalysis
    by_step: tuple[StepRow, ...] = ()
    early: EarlyExit | None = None
    front: tuple[FrontRow, ...] = ()
    levels: tuple[VerdictRow, ...] = ()
    fronts: tuple[FrontsRow, ...] = ()
    raster: SpikeRaster | None = None
    provenance: tuple[tuple[str, str], ...] = ()
