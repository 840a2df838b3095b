"""Static energy, total and latency are stated under lists that know time, only."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.outputs import COLUMNS, TIME_COLUMNS, energy_rows, headline
from spikejoule.energy.prices import load_profiles
from spikejoule.report.page import PageContent, energy_card, energy_page, energy_text
from spikejoule.report.values import analysis_values
from spikejoule.report.words import with_time
from tests.energy.by_hand import analysis, baseline, inputs

WITH_TIME = {name for name, prices in load_profiles().items() if prices.time}
DYNAMIC_ONLY = "dynamic only, no time"


@pytest.fixture(scope="module")
def analysed() -> EnergyAnalysis:
    """The tiny network and a conventional one; 45nm-fp32 has the headline."""
    return analysis(inputs((baseline(10, [4, 4, 4, 4]),)))


def test_words_of_the_tiny_network() -> None:
    """16 events of two cycles at 75 MHz; 27.3 uW, and 1.78 pJ in each cycle."""
    under_odin = analysis(inputs(), "odin")
    words = with_time(under_odin.timed())
    static_pj = 32 / 75 * (27.3 + 1.78 * 75)
    assert words == (
        f"static {static_pj:.2f} pJ, dynamic 134.9 pJ, "
        f"total {static_pj + 16 * 8.43:.1f} pJ; latency 0.427 µs; "
        "energy-delay product 8.68e-17 J s"
    )


def test_every_list_says_which(analysed: EnergyAnalysis) -> None:
    for profile in analysed.ledger.profiles:
        words = with_time(analysed.timed(profile))
        assert ("latency" in words) == (profile.id in WITH_TIME)
        assert (words == DYNAMIC_ONLY) == (profile.id not in WITH_TIME)


@pytest.mark.parametrize("name", ["45nm-fp32", "lemaire-complete", "odin"])
def test_the_card_of_a_list(name: str) -> None:
    card = energy_card(PageContent(analysis(inputs(), name)))
    assert ("latency" in card) == (name in WITH_TIME)
    assert (DYNAMIC_ONLY in card) == (name not in WITH_TIME)


def test_the_table_of_price_lists(analysed: EnergyAnalysis) -> None:
    page = energy_page(PageContent(analysed))
    rows = re.findall(
        r"<tr><th scope=\"row\">[^\n]*?<code>(.*?)</code>(.*?)</tr>", page
    )
    by_list = {name: cells for name, cells in rows if 'data-column="prices"' in cells}
    assert set(by_list) == set(load_profiles())
    for name, cells in by_list.items():
        assert ("energy-delay product" in cells) == (name in WITH_TIME)
        assert (DYNAMIC_ONLY in cells) == (name not in WITH_TIME)


def test_the_terminal(analysed: EnergyAnalysis) -> None:
    lines = energy_text("title", analysed).splitlines()
    timed = {line.split(":")[0].strip() for line in lines if "latency" in line}
    assert timed == WITH_TIME
    assert any(
        line.endswith(f"all other price lists: {DYNAMIC_ONLY}") for line in lines
    )


def test_the_table_of_energies(analysed: EnergyAnalysis) -> None:
    """Totals of the spiking network under lists with time; empty everywhere else."""
    for cells in energy_rows(analysed):
        row = dict(zip(COLUMNS, cells, strict=True))
        is_total = row["term"] == "total" and row["phase"] == "inference"
        is_timed = is_total and row["network"] == "snn" and row["profile"] in WITH_TIME
        assert (row["total_pj_high"] != "") == is_timed
        if not is_timed:
            assert all(row[name] == "" for name in TIME_COLUMNS)
            continue
        for end in ("_low", "_high"):
            total = row[f"static_pj{end}"] + row[f"pj{end}"]
            assert row[f"total_pj{end}"] == pytest.approx(total)
            product = total * row[f"latency_us{end}"] * 1e-6
            assert row[f"energy_delay_pj_s{end}"] == pytest.approx(product)


def test_the_headline_of_a_list() -> None:
    without = headline(analysis(inputs(), "lemaire-complete"))
    assert without["energy_is"] == DYNAMIC_ONLY
    assert not any(
        word in name for name in without for word in ("static", "total", "latency")
    )
    known = headline(analysis(inputs(), "odin"))
    assert known["total_nj"] == pytest.approx(known["static_nj"] + known["energy_nj"])
    product = known["total_nj"] * known["latency_ms"] / 1e3
    assert known["energy_delay_nj_s"] == pytest.approx(product)


def test_a_value_that_is_only_a_range_is_left_out() -> None:
    known = headline(analysis(inputs(), "loihi-1"))
    assert "total_nj" not in known
    assert known["total_low_nj"] < known["total_high_nj"]


def test_json_has_null_where_time_is_unknown(analysed: EnergyAnalysis) -> None:
    values = analysis_values(analysed)
    json.dumps(values, allow_nan=False)
    for row in values["energies"]:
        latency = row["latency_us_high"]
        assert latency is None or (math.isfinite(latency) and row["term"] == "total")


def test_early_exit_shortens_the_time() -> None:
    """The tiny network stops after 2 of 3 steps of 1 ms."""
    given = inputs()
    whole = given.variant
    exits = np.full(whole.operations.n_images or 1, 2)
    early = replace(
        whole,
        method="early exit",
        operations=replace(whole.operations, exit_steps=exits),
    )
    both = analysis(replace(given, variants=(whole, early)), "truenorth-2015")
    timed = both.timed()
    exited = both.early_timed
    assert timed is not None
    assert exited is not None
    assert timed.latency_us.value == 3000
    assert exited.latency_us.value == 2000
