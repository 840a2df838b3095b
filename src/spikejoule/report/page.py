"""The energy report: a self-contained page, a card, and text, byte-identical each time.

The templates `energy.html.j2`, `energy_card.md.j2` and `energy.txt.j2` place values and
rows that `views` computes. No energy is computed here.
"""

import html
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup, escape

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.core.errors import printable
from spikejoule.core.provenance import file_digest
from spikejoule.energy.chips import measured_on_mnist
from spikejoule.energy.operations import PHASES
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.report.statements import (
    answer,
    assumptions,
    says,
    sentences,
    templates,
)
from spikejoule.report.units import count_in_words
from spikejoule.report.views import terminal
from spikejoule.report.views.page import page_view
from spikejoule.report.words import break_even, energy_of_row

if TYPE_CHECKING:
    from spikejoule.network.checkpoint import Checkpoint
    from spikejoule.report.charts.raster import SpikeRaster

# A DOI may contain almost any character but spaces; punctuation that ends a sentence or
# separates list items is not part of it.
_REFERENCE = re.compile(r"doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}|https?://[^\s,;]+")


@dataclass(frozen=True, eq=False)
class PageContent:
    """Everything on the page; the page says what is unknown.

    Attributes:
        analysis: the priced counts.
        early: outcomes of early exit.
        raster: the spikes of one image.
        provenance: parameters, data and checksums: label, value.
    """

    analysis: EnergyAnalysis
    early: EarlyExit | None = None
    raster: "SpikeRaster | None" = None
    provenance: tuple[tuple[str, str], ...] = ()


def network_provenance(
    network: "Checkpoint", path: Path
) -> tuple[tuple[str, str], ...]:
    """Return data, parameters and checksum of the trained network in a file."""
    data = network.data
    return (
        ("to reproduce", "check out this revision of the project and run: make repro"),
        ("data source", str(data["source"])),
        *(
            (f"SHA-256 of {name}", str(digest))
            for name, digest in data["sha256"].items()
        ),
        ("SHA-256 of the trained network", file_digest(path, "sha256")),
        *((f"encode: {name}", str(value)) for name, value in network.encoding.items()),
        *(
            (f"train: {name}", str(value))
            for name, value in network.training_config.items()
        ),
    )


def energy_page(content: PageContent) -> str:
    """Return the page as HTML that has no scripts and loads nothing."""
    from spikejoule.report.charts import charts_of_page
    from spikejoule.report.charts.canvas import PALETTE, VARIABLES, place_colours

    inputs = content.analysis.inputs
    # The colours would repeat in an imported network, which may have any depth.
    places = {} if inputs.counted_in else place_colours(inputs.network)
    charts = charts_of_page(content.analysis, content.raster)
    return _page(
        "energy.html.j2",
        content=content,
        view=page_view(content.analysis, has_front=charts["front"] is not None),
        charts=charts,
        palette=PALETTE,
        colours={name: VARIABLES[colour] for name, colour in places.items()},
    )


def energy_card(content: PageContent) -> str:
    """Return the card as Markdown."""
    return _page("energy_card.md.j2", content=content)


def energy_text(title: str, analysis: EnergyAnalysis) -> str:
    """Return the report as text for a terminal."""
    return _page(
        "energy.txt.j2",
        title=title,
        analysis=analysis,
        measured=terminal.measured(analysis),
        profiles=terminal.profile_table(analysis),
        terms=terminal.term_table(analysis),
    )


def linked(source: str) -> Markup:
    """Turn the DOI, arXiv number or address of a reference into a link."""
    return Markup(_REFERENCE.sub(_link, str(escape(source))))  # noqa: S704 (escaped)


def _link(reference: re.Match[str]) -> str:
    address = reference[0].replace("doi:", "https://doi.org/")
    address = address.replace("arXiv:", "https://arxiv.org/abs/")
    return f'<a href="{address}">{reference[0]}</a>'


@cache
def _pages() -> Environment:
    pages = templates().overlay(
        loader=PackageLoader("spikejoule.report", ""),
        autoescape=select_autoescape(("html.j2",)),
        keep_trailing_newline=True,
    )
    pages.filters |= {
        "break_even": break_even,
        "count_in_words": count_in_words,
        "energy_of_row": energy_of_row,
        "linked": linked,
        "markdown": in_markdown,
    }
    pages.globals |= {
        "measured_on_mnist": measured_on_mnist,
        "phases": PHASES,
        "answer": answer,
        "assumptions": assumptions,
        "says": says,
        "sentences": sentences,
    }
    return pages


def in_markdown(text: str) -> str:
    """Escape a text for Markdown: a folder of data may have any name.

    MLflow shows Markdown with the HTML in it.
    """
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\\[\]|])", r"\\\1", escaped)


def _page(name: str, **values: Any) -> str:
    return printable(_pages().get_template(name).render(values))
