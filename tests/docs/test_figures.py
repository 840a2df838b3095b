"""Figures that the pages state are those of the committed files."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.tools.committed import committed_rows, committed_values

REPOSITORY = Path(__file__).resolve().parents[2]
HEADLINE = "lemaire-complete"
SETTINGS = REPOSITORY / "studies" / "verdict" / "seeds.csv"


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
    return pd.read_csv(SETTINGS, dtype=str, keep_default_na=False)


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
    means = pd.read_csv(SETTINGS).drop_duplicates("setting").set_index(["name", "early_exit"])
    for name in ("frugal-5000", "accurate-60000"):
        short = name.partition("-")[0]
        found[short] = means.loc[name, 0].to_dict()
        found[f"{short}_early"] = means.loc[name, 1].to_dict()
        found[f"{short}_uj"] = found[short]["energy_nj"] / 1000
    found["means"] = history.mean().to_dict()
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
        floats = means.loc["frugal-5000", "0"]
        integers = means.loc["frugal-5000-int8", "0"]
        assert integers["synaptic_events_per_inference"] <= 5000
        lost = floats["test_accuracy_percent"] - integers["test_accuracy_percent"]
        assert lost <= 0.1
