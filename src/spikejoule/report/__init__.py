"""The energy report: page, card, text and charts.

page      page, card and text, filled from templates
views     the values and rows that the templates place
charts    charts, one function each, as PNG and as the page's SVG
"""

from spikejoule.report.page import PageContent, energy_card, energy_page

__all__ = ["PageContent", "energy_card", "energy_page"]
