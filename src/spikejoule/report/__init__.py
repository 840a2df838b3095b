"""The energy report as one self-contained HTML page."""

from spikejoule.report.content import (
    EarlyAnswer,
    FrontRun,
    Outcome,
    Raster,
    ReportContent,
    early_answer,
    outcomes_by_step,
    read_front,
)
from spikejoule.report.page import energy_page

__all__ = [
    "EarlyAnswer",
    "FrontRun",
    "Outcome",
    "Raster",
    "ReportContent",
    "early_answer",
    "energy_page",
    "outcomes_by_step",
    "read_front",
]
