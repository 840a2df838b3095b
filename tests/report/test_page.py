"""The energy page: hand-worked content, form, and the page in a browser."""

import io
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.outputs import headline
from spikejoule.core.store import write_text
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import load_profiles
from spikejoule.evaluation.early_exit import EarlyExit, ExitOutcome, WholeWindow
from spikejoule.report.charts.raster import SpikeRaster
from spikejoule.report.page import (
    PageContent,
    energy_card,
    energy_page,
    in_markdown,
    linked,
)
from spikejoule.report.statements import says
from spikejoule.report.units import joules, plain
from tests.energy.by_hand import analysis, baseline, inputs, measured, profile

if TYPE_CHECKING:
    from playwright.sync_api import Page

FIGURES = {"by-profile", "by-term", "front", "raster"}
# An event costs a hundred times a MAC, so the spiking network must lose.
COSTLY = profile(
    {"mac": 1.0, "addition": 100.0, "multiplication": 100.0},
    id="costly",
    title="A costly chip <b>",
)
BASELINES = (baseline(9000, [30, 40, 50, 60], "ReLU 3-2-2"),)


def both(own_percent: float | None, baselines: Any = BASELINES) -> EnergyAnalysis:
    """Analyse with memory, and with arithmetic only."""
    given = inputs(baselines)
    profiles = load_profiles()
    own = replace(given.variant, validation_percent=own_percent)
    given = replace(given, variants=(own,))
    chosen = profiles["lemaire-complete"]
    arithmetic = profiles["45nm-fp32"]
    return analyse(given, profiles, chosen, arithmetic, BootstrapSettings(200))


def exit_entry(
    accuracy_percent: float, synaptic_events: float, steps: float
) -> ExitOutcome:
    return ExitOutcome(
        accuracy_percent=accuracy_percent,
        accuracy_low_percent=accuracy_percent - 10,
        accuracy_high_percent=accuracy_percent + 8,
        mean_exit_step=steps,
        synaptic_events_per_inference=synaptic_events,
        synaptic_events_low=synaptic_events,
        synaptic_events_high=synaptic_events,
    )


EARLY = exit_entry(80.0, 6.0, 2.0)
WHOLE = exit_entry(81.0, 9.0, 3.0)


@cache
def analysed(chosen: str) -> EnergyAnalysis:
    given = inputs(BASELINES, [0, 0, 1, 1])
    # Two of the three steps are counted.
    fewer = replace(given.operations, counts=given.operations.counts * 2 // 3)
    early = replace(
        given.variant,
        method="early exit",
        validation_percent=None,
        test_percent=None,
        operations=fewer,
    )
    return analysis(replace(given, variants=(given.variant, early)), chosen, COSTLY)


def content(chosen: str = "45nm-fp32", **changes: Any) -> PageContent:
    full = PageContent(
        analysed(chosen),
        early=EarlyExit(
            margin_spikes=2,
            tolerance_percent=0.1,
            chosen_on_test_images=False,
            validation=EARLY,
            test=EARLY,
            whole_window=WholeWindow(validation=WHOLE, test=WHOLE),
        ),
        raster=SpikeRaster(
            np.zeros((2, 2), np.uint8),
            7,
            list(measured().layers),
            ("input", "hidden", "output"),
        ),
        provenance=(("train: lr", "0.003"),),
    )
    return replace(full, **changes)  # type: ignore[arg-type]


@cache
def default_page() -> str:
    return energy_page(content())


def tree_of(page: str) -> ElementTree.Element:
    """Parse the page as XML, which it also is."""
    doctype, _, rest = page.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    return ElementTree.fromstring(rest)


def words_of(page: str, key: str) -> str:
    """Return the text of the element with an id."""
    found = next(node for node in tree_of(page).iter() if node.get("id") == key)
    return " ".join("".join(found.itertext()).split())


class TestPage:
    def test_is_the_same_each_time_and_complete(self) -> None:
        page = default_page()
        assert page == energy_page(content())
        figures = {node.get("id") for node in tree_of(page).iter("figure")}
        assert figures == FIGURES
        description = words_of(page, "by-profile-description")
        for prices in content().analysis.ledger.profiles:
            assert prices.title in description

    def test_loads_nothing_and_can_be_read_aloud(self) -> None:
        page = default_page()
        nodes = list(tree_of(page).iter())
        ids = [node.get("id") for node in nodes if node.get("id")]
        assert len(set(ids)) == len(ids)
        for node in nodes:
            assert node.tag not in ("script", "link", "img", "iframe", "object")
            assert not {"src", "srcset", "data"} & set(node.keys())
            link = node.get("href", "#")
            assert node.tag == "a" or link.startswith(("#", "data:"))
            assert not link.startswith("#") or link[1:] in ["", *ids]
            assert set((node.get("aria-labelledby") or "").split()) <= set(ids)
        assert set(re.findall(r"url\((.)", page)) <= {"#"}
        assert "@import" not in page
        for table in tree_of(page).iter("table"):
            head, *rows = list(table.iter("tr"))
            assert {cell.get("scope") for cell in head} == {"col"}
            assert len({len(row) for row in (head, *rows)}) == 1
            assert all(
                (row[0].tag, row[0].get("scope")) == ("th", "row") for row in rows
            )
            assert table.find("caption") is not None

    def test_references_are_links_and_nothing_else_is(self) -> None:
        assert linked("A <b>, doi:10.1/x_1, and arXiv:2210.13107, no") == (
            'A &lt;b&gt;, <a href="https://doi.org/10.1/x_1">doi:10.1/x_1</a>, and '
            '<a href="https://arxiv.org/abs/2210.13107">arXiv:2210.13107</a>, no'
        )

    @pytest.mark.parametrize("macs", [10, 9000])
    def test_the_first_screen_has_the_numbers_of_metrics(self, macs: int) -> None:
        """One ratio under one price list, a bar per energy, and arithmetic apart."""
        found = both(96.0, (baseline(macs, [6] * 4, "ReLU 3-2-2"),))
        words = words_of(energy_page(PageContent(found)), "answer")
        metrics = headline(found)
        title = found.chosen.title
        spent = [1000 * metrics[name] for name in ("energy_nj", "conventional_nj")]
        assert (
            f"This spiking network takes at most {plain(metrics['ratio'])} times "
            "the energy of a "
            f"conventional network of equal accuracy: {joules(spent[0])} against "
            f"{joules(spent[1])} per inference, under “{title}”"
        ) in words
        unit_pj = min(spent)
        own = joules(spent[0], 4, unit_pj)
        assert f"90.00 % of test images correct {own} Conventional" in words
        assert f"equal accuracy {joules(spent[1], 4, unit_pj)}" in words
        assert len(re.findall(r"[0-9] times ", words)) == 1
        arithmetic = joules(1000 * metrics["arithmetic_nj"])
        assert f"Arithmetic only, without memory: {arithmetic} per inference" in words
        assert (
            f"with {metrics['conventional']} (95.00 % validation, 94.00 % test)"
            in words
        )
        assert not re.search("lemaire|45nm-fp32|bracket|code |e[+-]?[0-9]", words)

    @pytest.mark.parametrize(
        ("chosen", "said"),
        [
            ("costly", "The spiking network loses at equal accuracy"),
            ("truenorth", "does not compare networks of this kind"),
            ("45nm-fp32", "Inconclusive at equal accuracy"),
        ],
    )
    def test_the_verdict(self, chosen: str, said: str) -> None:
        found = content(chosen)
        assert said in says(found.analysis, "verdict")[0]
        assert energy_card(found).startswith("# Energy card\n\n")
        assert said in energy_card(found)

    def test_words_of_others_are_escaped(self) -> None:
        hostile = "<script>alert(1)</script>"
        given = content()
        changed = replace(
            given,
            analysis=replace(
                given.analysis, inputs=replace(given.analysis.inputs, title=hostile)
            ),
            provenance=((hostile, hostile),),
        )
        page = energy_page(changed)
        assert hostile not in page
        assert hostile in words_of(page, "provenance")
        # MLflow shows the card's Markdown with the HTML in it.
        named = ("data source", "[x](javascript:alert(1))")
        card = energy_card(replace(changed, provenance=(named,)))
        assert "<script" not in card
        assert "\\[x\\]" in card
        assert in_markdown("a\\[b\n# c") == "a\\\\\\[b # c"


# Cells under 60 pixels, and elements wider than their column.
MISFITS = """() => [
  ...[...document.querySelectorAll('th, td')].filter(
    one => 0 < one.getBoundingClientRect().width
           && one.getBoundingClientRect().width < 60),
  ...[...document.querySelectorAll('table, dl, figure, .scroll')].filter(
    one => one.scrollWidth > one.parentElement.clientWidth),
].map(one => one.outerHTML.slice(0, 200))"""
SIZES = pytest.mark.parametrize(
    ("width", "height", "scheme"), [(390, 12_000, "light"), (1440, 6_000, "dark")]
)


@pytest.mark.slow
@SIZES
def test_in_a_browser(
    browser: "Page", tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    """Long sections are folded, links in the contents open them, nothing is cut off."""
    write_text(tmp_path / "energy.html", default_page())
    browser.set_viewport_size({"width": width, "height": 800})
    browser.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    browser.goto((tmp_path / "energy.html").as_uri())
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", ground)[0])
    assert (red < 60) == (scheme == "dark")
    assert browser.evaluate("document.documentElement.scrollHeight") <= height
    assert browser.evaluate(MISFITS) == []
    browser.get_by_role("navigation").get_by_role(
        "link", name="Prices and their"
    ).click()
    assert browser.locator("#profiles").is_visible()
    browser.evaluate(
        "document.querySelectorAll('details').forEach(one => { one.open = true; })"
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(MISFITS) == []
    drawn = browser.locator("svg.chart")
    assert drawn.count() == len(FIGURES)
    for place in range(drawn.count()):
        # A blank screenshot would have a single colour.
        shown = imread(io.BytesIO(drawn.nth(place).screenshot()), format="png")
        assert len(np.unique(shown.reshape(-1, shown.shape[-1]), axis=0)) > 8
