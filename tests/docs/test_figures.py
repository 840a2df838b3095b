"""Figures that the pages state are those of the committed files."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from docs.site import conventional, verdict
from spikejoule.energy import load_profiles
from spikejoule.energy.bands import FrontsTable, VerdictTable, band_verdicts
from tests.tools.committed import committed_rows, committed_values

REPOSITORY = Path(__file__).resolve().parents[2]
HEADLINE = "lemaire-complete"


def assert_says(page: str, *statements: str) -> None:
    text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
    missing = [one for one in statements if " ".join(one.split()) not in text]
    assert not missing, f"{page} does not say {missing}"


def table(name: str) -> pd.DataFrame:
    """A committed table; what is a number in it is one."""
    rows = pd.DataFrame(committed_rows(name))
    for column in rows:
        numbers = pd.to_numeric(rows[column], errors="coerce")
        if (numbers.notna() | (rows[column] == "")).all() and numbers.notna().any():
            rows[column] = numbers
    return rows


@pytest.fixture(scope="module")
def seeds() -> pd.DataFrame:
    return pd.DataFrame(committed_rows("seeds"))


def stated() -> dict[str, Any]:
    """Every headline of the recorded run, those of energies in nJ and J too, and whole files."""
    found: dict[str, Any] = {}
    for name in ("evaluate", "early_exit", "energy"):
        found |= committed_values(name)
    history = table("history")
    found["epochs_trained"] = len(history)
    found["best_validation_accuracy_percent"] = history["validation_accuracy_percent"].max()
    counted = table("energy").query("profile == '45nm-fp32' and term == 'spike_routed'")
    for layer, count in counted.groupby("layer")["count"].first().items():
        found[f"{layer}_spikes_per_inference"] = count
    found["energy_uj"] = found["energy_nj"] / 1000
    found["training_arithmetic_j"] = found["training_arithmetic_mj"] / 1000
    found["sparsity_percent"] = 100 * found["sparsity_ratio"]
    found["training_in_millions"] = found["training_arithmetic_in_inferences"] / 1e6
    means = table("seeds").drop_duplicates("setting").set_index(["name", "early_exit"])
    whole, early = (means.loc["frugal-5000", one].to_dict() for one in (0, 1))
    found |= {"frugal": whole, "frugal_early": early, "means": history.mean().to_dict()}
    speed, profile = (committed_values(name) for name in ("benchmark", "profile"))
    return found | {"speed": speed, "latency": speed["latency"], "us": profile["us_per_image"]}


STATED: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("figures.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", STATED)
def test_headlines(page: str) -> None:
    found = stated()
    assert_says(page, *(one.format(**found) for one in STATED[page]))
    assert found["profile"] == HEADLINE
    assert found["ratio_low"] > 1, "the page does not say that it loses"
    assert "ratio_bound" not in found


class TestSettings:
    """The means over seeds of `make seeds`."""

    def test_budgets_of_five_seeds(self, seeds: pd.DataFrame) -> None:
        """What the settings are for: events at most, test accuracy at least."""
        of_five = seeds[seeds["seeds"] == "42 43 44 45 46"].set_index(["name", "early_exit"])
        columns = ["synaptic_events_per_inference", "test_accuracy_percent"]
        means = of_five[columns].astype(float)
        for name, events, percent in (
            ("frugal-2500", 2500, 98.0),
            ("frugal-5000", 5000, 98.4),
            ("frugal-10000", 10_000, 98.6),
            ("accurate-60000", 60_000, 98.95),
        ):
            of_name = means.loc[name]
            kept = (of_name[columns[0]] <= events) & (of_name[columns[1]] >= percent)
            assert kept.any(), name
        floats, integers = (means.loc[name, "0"] for name in ("frugal-5000", "frugal-5000-int8"))
        assert integers[columns[0]] <= 5000
        assert integers[columns[1]] >= floats[columns[1]] - 0.1

        def of(name: str, early_exit: str) -> tuple[str, str]:
            events, percent = means.loc[name, early_exit]
            return f"{percent:.2f} %", f"{events:,.0f}"

        (least, few), (most, many) = of("frugal-2500", "1"), of("frugal-10000", "1")
        (middle, some), (best, dear) = of("frugal-5000", "0"), of("accurate-60000", "0")
        assert_says(
            "README.md",
            f"`make frugal` gives {least} for {few} events with early exit, {middle} for {some} "
            f"over the whole window ({of('frugal-5000-int8', '0')[0]} in integers of 8 bits), "
            f"{most} for {many} with early exit, and `make accurate` {best} for {dear}",
        )


@pytest.mark.parametrize("page", verdict.PAGES)
def test_verdict(page: str) -> None:
    """What pages state over recorded networks is what the committed tables say."""
    assert verdict.written(page) == (REPOSITORY / page).read_text(encoding="utf-8")
    assert_says(page, verdict.text(verdict.PAGES[page]))


def test_the_verdict_follows_from_the_committed_networks() -> None:
    networks = FrontsTable.read(REPOSITORY / "metrics/fronts.csv").rows
    judging = [prices for prices in load_profiles().values() if prices.scope != "arithmetic"]
    found = pd.DataFrame(dict(of) for of in band_verdicts(networks, judging, verdict.SETTINGS))
    stated = VerdictTable.read(REPOSITORY / "metrics/verdict.csv").rows
    pd.testing.assert_frame_equal(found, pd.DataFrame(dict(of) for of in stated), rtol=1e-6)


def test_every_verdict_is_of_recorded_networks() -> None:
    """Each names its runs, which are rows of the fronts, with their commits and as many seeds."""
    fronts = pd.DataFrame(committed_rows("fronts"), columns=FrontsTable.columns())
    for row in committed_rows("verdict"):
        for side in ("spiking", "conventional"):
            runs = row[f"{side}_runs"].split()
            assert len(runs) == int(row[f"{side}_n_seeds"])
            named = fronts[fronts["run_id"].isin(runs)]
            assert set(named["git_commit"]) == set(row[f"{side}_commits"].split())
    assert fronts.duplicated(["run_id", "network", "method"]).sum() == 0
    assert fronts["n_images"].nunique() <= 1


def test_published_networks_are_means_of_the_recorded_ones(tmp_path: Path) -> None:
    conventional.published().write(tmp_path / "conventional.csv")
    assert (tmp_path / "conventional.csv").read_bytes() == conventional.TABLE.read_bytes()


def test_counts_follow_from_energies() -> None:
    """Of two price lists; a network without biases adds nothing but its synaptic events."""
    rows = FrontsTable.read(REPOSITORY / "metrics/fronts.csv").rows
    whole = {
        row.run_id: verdict.counted(row)
        for row in rows
        if row.side == "spiking" and row.method == "whole window"
    }
    checked = 0
    for row in committed_rows("seeds"):
        has_biases = row["params.model.bias"] != "False"
        if row["early_exit"] == "1" or " " in row["seeds"] or has_biases:
            continue
        counts = whole[row["run_ids"]]
        assert counts is not None
        events = float(row["synaptic_events_per_inference"])
        assert counts == (pytest.approx(0, abs=1e-3), pytest.approx(events, rel=1e-6))
        checked += 1
    assert checked
