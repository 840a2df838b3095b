"""The energy report as one self-contained HTML page; its charts are inline SVG."""

from spikejoule.report.page.document import energy_page

__all__ = ["energy_page"]
