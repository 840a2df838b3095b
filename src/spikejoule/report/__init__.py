"""What a reader sees: the energy report as a page, charts, a card, a checkpoint as text.

content         what page and card show, and the verdict against all known networks
page            page and card: what their templates are given
charts          charts, one function each, as PNG and as SVG of the page
inspect         the content of a checkpoint in words
words           counts, places, energies and sources in words
"""

from spikejoule.report.content import PageContent
from spikejoule.report.page import energy_card, energy_page

__all__ = ["PageContent", "energy_card", "energy_page"]
