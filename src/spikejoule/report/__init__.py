"""What a reader sees: the energy report as a page, charts, a card, text.

page            page, card and text: what they show, and what their templates are given
charts          charts, one function each, as PNG and as SVG of the page
"""

from spikejoule.report.page import PageContent, energy_card, energy_page

__all__ = ["PageContent", "energy_card", "energy_page"]
