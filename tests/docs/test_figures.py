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
LEDGER, COMPARISON = "docs/explanation/energy-ledger.md", "docs/explanation/comparison.md"
SPEED = "docs/reference/speed.md"
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


def joules(pj: float) -> str:
    """Picojoules in the unit that keeps one to three digits before the point."""
    for unit, size in (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if pj >= size:
            return f"{pj / size:.1f} {unit}"
    return f"{pj:.1f} pJ"


@pytest.fixture(scope="module")
def energy() -> pd.DataFrame:
    rows = table("energy")
    return (
        rows[rows["class"] == ""] if rows["class"].dtype == object else rows[rows["class"].isna()]
    )


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

    def test_every_setting(self, seeds: pd.DataFrame) -> None:
        for row in seeds.drop_duplicates("setting").to_dict("records"):
            name = f"`{row['name']}`"
            mean, low, high = (
                f"{float(row[key]):.2f}"
                for key in ("test_accuracy_percent", "test_lowest_percent", "test_highest_percent")
            )
            n_seeds = len(row["seeds"].split())
            spikes = (
                f"{float(row[f'{layer}_spikes_per_inference']):.1f}"
                for layer in ("input", "hidden", "output")
            )
            updates, lazy = (
                f"{float(row[f'neuron_updates{of}_per_inference']):,.0f}" for of in ("", "_lazy")
            )
            assert_says(
                LEDGER,
                f"| {name} | {'early' if row['early_exit'] == '1' else 'at the end'} | {n_seeds} | "
                f"{float(row['synaptic_events_per_inference']):,.0f} | "
                f"{float(row['validation_accuracy_percent']):.2f} % | "
                f"{mean} %{'' if n_seeds == 1 else f' ({low} to {high})'} |",
                f"| {name} | {', '.join(spikes)} | {updates} | {lazy} | "
                f"{float(row['energy_nj']):,.1f} | {float(row['arithmetic_nj']):.1f} |",
            )

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


class TestEnergy:
    def of(self, energy: pd.DataFrame, column: str = "pj", **where: str) -> float:
        """The sum of a column over the rows with these values, of arithmetic only by default."""
        chosen = energy
        for name, value in ({"profile": "45nm-fp32"} | where).items():
            chosen = chosen[chosen[name] == value]
        assert len(chosen), where
        return float(chosen[column].sum())

    def test_parts(self, energy: pd.DataFrame) -> None:
        inference = {"network": "snn", "phase": "inference"}
        events = self.of(energy, **inference, term="synaptic_event")
        total = self.of(energy, **inference, term="total")
        phases = ("forward", "backward", "optimizer")
        forward, backward, optimizer = (
            self.of(energy, network="snn", phase=phase, term="total") / 1e12 for phase in phases
        )
        training = {"network": "snn", "phase": "forward", "term": "total"}
        with_memory = self.of(energy, profile=HEADLINE, **training)
        leaks = self.of(energy, "count", **inference, term="leak_multiplication")
        assert_says(
            LEDGER,
            f"{events / 1000:.1f} nJ are synaptic events and {(total - events) / 1000:.1f} nJ",
            f"{forward:.2f} J forward, {backward:.2f} J backward, {optimizer:.2f} J in the",
            f"the forward passes alone take {with_memory / 1e12:.1f} J",
            f"{leaks:,.0f} leaks and as many biases",
        )

    def test_every_profile(self, energy: pd.DataFrame) -> None:
        keys = energy[["network", "phase", "term"]].eq(["snn", "inference", "total"]).all(axis=1)
        lines = (REPOSITORY / LEDGER).read_text(encoding="utf-8").splitlines()
        assert keys.any()
        for row in energy[keys].to_dict("records"):
            low, high = joules(row["pj_low"]), joules(row["pj_high"])
            cell = low if row["pj_low"] == row["pj_high"] else f"{low} to {high}"
            (line,) = (line for line in lines if line.startswith(f"| `{row['profile']}` |"))
            assert line.endswith(f"| {cell} |")

    def test_against_the_baselines(self, energy: pd.DataFrame) -> None:
        dense, skipping = (
            self.of(energy, profile=HEADLINE, network=f"ReLU 784-400-10, {way}", term="total")
            for way in ("dense", "zero-skipping")
        )
        macs = self.of(energy, "count", network="ReLU 784-400-10, dense", term="mac")
        assert_says(COMPARISON, f"| {dense / 1e6:.3f} µJ |", f"| {joules(skipping)} |")
        assert_says(COMPARISON, f"| {macs:,.0f} |")
        assert_says("README.md", f"a non-spiking ReLU network {macs:,.0f}")


def test_convolutions() -> None:
    """Every row of the table of convolutional networks, and the settings that repeat it."""
    for row in committed_rows("convolution"):
        events = [f"{float(one):,.0f}" for one in row["synaptic_events_per_connection"].split()]
        energies = [f"{float(value):,.1f} nJ" for name, value in row.items() if name[:3] == "nj_"]
        assert_says(
            COMPARISON,
            f"| {row['layers'].replace(' ', '-')} | {row['seed']} "
            f"| {float(row['validation_accuracy_percent']):.2f} % "
            f"| {float(row['test_accuracy_percent']):.2f} % "
            f"| {float(row['synaptic_events_per_inference']):,.0f} ({' + '.join(events)}) "
            f"| {' | '.join(energies)} |",
            row["git_commit"][:8],
            *row["settings"].split(),
        )
        if early := row["early_exit_test_accuracy_percent"]:
            assert_says(
                COMPARISON,
                f"| {float(row['early_exit_validation_accuracy_percent']):.2f} % "
                f"| {float(early):.2f} % "
                f"| {float(row['early_exit_synaptic_events_per_inference']):,.0f} "
                f"| {float(row['early_exit_nj_lemaire_complete_int8']):,.1f} nJ |",
            )
            assert float(early) >= (99.2 if "24c5s2" in row["layers"] else 98.9)


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


@pytest.mark.parametrize("job", ["", "latency"])
def test_speed(job: str) -> None:
    benchmark = committed_values("benchmark")
    benchmark = benchmark[job] if job else benchmark
    ratios = benchmark["ratios"]
    rows = ("seed_loop", "snntorch", "spikingjelly", "torch_time_batched", "dense", "event")
    assert_says(
        SPEED,
        *(
            f"| {benchmark['training'][name]:.2f} | "
            f"{ratios['training_over_seed_loop'][name]:.1f} | "
            f"{benchmark['inference'][name]:,.0f} | "
            f"{ratios['inference_over_seed_loop'][name]:.1f} |"
            for name in rows
        ),
    )
