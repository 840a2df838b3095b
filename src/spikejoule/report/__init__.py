"""The energy report as one self-contained HTML page."""

from spikejoule.report.content import (
    EarlyAnswer,
    Outcome,
    Raster,
    ReportContent,
    read_by_step,
    read_early_answer,
)
from spikejoule.report.page import energy_page

__all__ = [
    "EarlyAnswer",
    "Outcome",
    "Raster",
    "ReportContent",
    "energy_page",
    "read_by_step",
    "read_early_answer",
]
