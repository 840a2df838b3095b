"""Wherever the committed run states its ratio and price list, they agree."""

import re

import pytest

from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.prices import load_profiles
from tests.tools.committed import committed_text, committed_values


def test_readme_page_and_picture_state_the_numbers_of_the_metrics() -> None:
    page = committed_text("reports/energy.html").partition("<nav")[0]
    picture = committed_text("docs/outcome.svg")
    readme = committed_text("README.md")
    energy = committed_values("energy")
    summary = committed_values("summary")
    prices = load_profiles()[energy["profile"]]
    assert prices.scope == "system", "the headline must include memory"
    for name in ("energy_nj", "ratio"):
        assert summary[name] == pytest.approx(energy[name], rel=1e-4)
    ratio = plain(energy["ratio"])
    bound = energy.get("ratio_bound", "")
    stated = f"{bound} {ratio}".strip()
    compared = "the energy of a conventional network of equal accuracy"
    assert f"takes {stated} times {compared}" in page
    assert prices.title in page
    assert f">{stated} times<" in picture
    assert prices.id in picture
    assert joules(1000 * energy["energy_nj"], 4) in readme
    assert joules(1000 * energy["conventional_nj"], 3) in readme
    assert energy["profile"] in readme
    others = "(?! as fast| the notebook| the seed)"
    for text in (page, picture):
        assert set(re.findall(rf"([\d.,]+) times{others}", text)) == {ratio}
