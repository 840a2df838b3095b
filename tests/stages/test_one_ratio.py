"""Wherever a run states its network, ratio and price list, they agree."""

import json
import re
from pathlib import Path

import pytest

from docs.site import outcome
from spikejoule.energy import load_profiles
from spikejoule.energy.estimates import joules, plain
from tests.tools.committed import committed_text, committed_values
from tests.tools.recorded_project import Project


def assert_agree(root: Path, page: str, picture: str) -> None:
    """The page and the picture state the numbers of a project's metrics/."""
    energy = json.loads((root / "metrics" / "energy.json").read_text(encoding="utf-8"))
    summary = json.loads(
        (root / "metrics" / "summary.json").read_text(encoding="utf-8")
    )
    prices = load_profiles()[energy["profile"]]
    ratio = plain(energy["ratio"])
    assert prices.scope == "system", "the headline must include memory"
    assert summary["prices"] == prices.id
    for name in ("energy_nj", "arithmetic_nj", "ratio"):
        assert summary[name] == pytest.approx(energy[name], rel=1e-4)
    bound = energy.get("ratio_bound", "")
    assert summary.get("ratio_bound", "") == bound
    stated = f"{bound} {ratio}".strip()
    said = (
        f"takes {stated} times the energy of a conventional network of equal accuracy"
    )
    first_screen = page.partition("<nav")[0]
    assert said in first_screen
    assert prices.title in first_screen
    assert set(re.findall(r"([\d.,]+) times", first_screen)) == {ratio}
    assert set(re.findall(r"([\d.,]+) times", picture)) == {ratio}
    assert f">{stated} times<" in picture
    assert prices.id in picture


def test_of_the_committed_run(committed: Path) -> None:
    page = committed_text("reports/energy.html")
    picture = committed_text("docs/outcome.svg")
    assert_agree(committed, page, picture)
    energy = committed_values("energy")
    readme = committed_text("README.md")
    before = readme.partition("## How it works")[0]
    ratio = plain(energy["ratio"])
    assert f"{joules(1000 * energy['energy_nj'], 4)}, {ratio} times" in before
    of_energy = re.findall(r"([\d.,]+) times (?!as fast|the notebook|the seed)", before)
    assert set(of_energy) == {ratio}
    assert energy["profile"] in before


@pytest.mark.slow
def test_of_a_run(recorded_project: Project) -> None:
    root = recorded_project.folder
    page = (root / "reports" / "energy.html").read_text(encoding="utf-8")
    assert_agree(root, page, outcome.drawing(root))
    energy = json.loads((root / "metrics" / "energy.json").read_text(encoding="utf-8"))
    run = recorded_project.all_runs()[0]
    assert run.data.metrics["ratio"] == pytest.approx(energy["ratio"])
    assert run.data.metrics["energy_nj"] == pytest.approx(energy["energy_nj"])
    assert run.data.tags.get("ratio_bound") == energy.get("ratio_bound")
    assert run.data.params["energy_report.profile"] == energy["profile"]
