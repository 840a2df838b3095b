"""The energy report as one self-contained HTML page."""

from spikejoule.report.content import (
    EarlyAnswer,
    Outcome,
    Raster,
    ReportContent,
    early_answer,
    outcomes_by_step,
)
from spikejoule.report.page import energy_page

__all__ = [
    "EarlyAnswer",
    "Outcome",
    "Raster",
    "ReportContent",
    "early_answer",
    "energy_page",
    "outcomes_by_step",
]
