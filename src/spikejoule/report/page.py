"""The energy report as a self-contained page, as a card, and as text; the same bytes each time.

What they say is in the templates `energy.html.j2`, `energy_card.md.j2` and `energy.txt.j2`, which
select it from the analysis.
"""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from spikejoule.core.text import render, text_table
from spikejoule.energy import EnergyAnalysis, prices, terms, words
from spikejoule.energy.comparison import Verdict
from spikejoule.energy.estimates import Energy, energy_words, joules, range_words
from spikejoule.energy.training import PHASES
from spikejoule.report.content import PageContent

# A DOI may hold almost anything but spaces; what closes a sentence or a list does not belong to it.
_REFERENCE = re.compile(r"(doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}|https?://[^\s,;]+)")


def energy_page(content: PageContent) -> str:
    """The page as HTML, without scripts and without a network."""
    from spikejoule.report.charts import charts_of_page
    from spikejoule.report.charts.canvas import PALETTE

    ratios = [one for one in content.verdicts if one.ratio is not None]
    best = min(ratios, key=lambda one: one.ratio.high, default=None)  # type: ignore[union-attr]
    worst = max(ratios, key=lambda one: one.ratio.low, default=None)  # type: ignore[union-attr]
    return (
        _templates()
        .get_template("energy.html.j2")
        .render(
            content=content,
            best=best,
            worst=worst,
            largest_part=None if worst is None else _largest_part(content, worst),
            early=_early(content),
            parts=_parts(content),
            charts=charts_of_page(content),
            palette=PALETTE,
        )
    )


def energy_card(content: PageContent) -> str:
    """The card as Markdown."""
    return _templates().get_template("energy_card.md.j2").render(content=content)


def energy_text(title: str, analysis: EnergyAnalysis) -> str:
    """All of it as text: the answer, every profile, terms, training, assumptions."""
    return _templates().get_template("energy.txt.j2").render(title=title, analysis=analysis)


def _cells(energy: Energy) -> list[str]:
    middle = "-" if energy.value_pj is None else joules(energy.value_pj)
    return [joules(energy.low_pj), middle, joules(energy.high_pj)]


def linked(source: str) -> Markup:
    """A reference whose DOI, arXiv number or address is a link."""
    parts = []
    for part in _REFERENCE.split(source):
        address = part
        if part.startswith("doi:"):
            address = f"https://doi.org/{part.removeprefix('doi:')}"
        elif part.startswith("arXiv:"):
            address = f"https://arxiv.org/abs/{part.removeprefix('arXiv:')}"
        link = Markup('<a href="{}">{}</a>').format(address, part)
        parts.append(link if _REFERENCE.fullmatch(part) else escape(part))
    return Markup("").join(parts)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("spikejoule.report", ""),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cells": _cells,
        "joules": joules,
        "linked": linked,
        "energy": energy_words,
        "range": range_words,
        "term": terms.in_words,
        "terms": lambda names: terms.in_words(*names),
    }
    environment.filters |= {
        name.removesuffix("_words"): function
        for name, function in vars(words).items()
        if name.endswith("_words")
    }
    environment.globals |= {
        "phases": PHASES,
        "prices": prices,
        "render": render,
        "terms": terms,
        "text_table": text_table,
        "words": words,
    }
    return environment


def _early(content: PageContent) -> dict[str, Any] | None:
    """Early exit beside the whole window; None where it is not known."""
    early, cost = content.early, content.analysis.window_cost
    if early is None or cost is None or early.test.synaptic_events_per_inference <= 0:
        return None
    at, whole = early.test, early.whole_window.test
    less, more = (
        cost.energy(one.synaptic_events_per_inference, one.mean_exit_step) for one in (at, whole)
    )
    saves = at.mean_exit_step < whole.mean_exit_step
    return {"file": early, "at": at, "whole": whole, "saves": saves, "less": less, "more": more}


def _parts(content: PageContent) -> list[tuple[str, float, float]]:
    """What each side's energy goes to, this run's own networks, with their totals."""
    verdict, ledger = content.analysis.verdict, content.analysis.ledger
    if verdict is None or verdict.spiking is None or verdict.conventional is None:
        return []
    snn, ann = (
        ledger.by_part(one.name, verdict.profile) for one in (verdict.spiking, verdict.conventional)
    )
    rows = [(part, snn[part], ann[part]) for part in snn]
    return [*rows, ("total", sum(snn.values()), sum(ann.values()))]


def _largest_part(content: PageContent, verdict: Verdict) -> tuple[str, float] | None:
    """What most of the spiking network's energy goes to, and how many percent."""
    if verdict.spiking is None:
        return None
    parts = content.analysis.ledger.by_part(verdict.spiking.name, verdict.profile)
    part = max(parts, key=lambda name: parts[name])
    return part, 100 * parts[part] / (sum(parts.values()) or 1.0)
