"""What a reader sees: the energy report as a page, figures as PNG, a checkpoint as text.

content     what the page shows
provenance  where it comes from
pictures    the PNG files of the pipeline
charts      definitions of charts: data, scales, ticks, labels
page        the page, which draws charts as SVG
card        a network's energy on one sheet, as Markdown
figures     PNG files, drawn with matplotlib
inspect     the content of a checkpoint in words
"""

from spikejoule.report.card import energy_card
from spikejoule.report.content import PageContent
from spikejoule.report.page import energy_page

__all__ = ["PageContent", "energy_card", "energy_page"]
