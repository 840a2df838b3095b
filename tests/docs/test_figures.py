"""Figures that the pages state are those of the committed files."""

from pathlib import Path
from typing import ClassVar

import pytest

from tests.tools.committed import committed_rows as rows
from tests.tools.committed import committed_values as values

REPOSITORY = Path(__file__).resolve().parents[2]


def assert_says(page: str, *statements: str) -> None:
    text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
    missing = [one for one in statements if " ".join(one.split()) not in text]
    assert not missing, f"{page} does not say {missing}"


def joules(pj: float) -> str:
    """Picojoules in the unit that keeps one to three digits before the point."""
    for unit, size in (("mJ", 1e9), ("µJ", 1e6), ("nJ", 1e3)):
        if pj >= size:
            return f"{pj / size:.1f} {unit}"
    return f"{pj:.1f} pJ"


@pytest.fixture(scope="module")
def energy_rows() -> list[dict[str, str]]:
    return [row for row in rows("energy") if not row["class"]]


def picojoules(energy_rows: list[dict[str, str]], column: str = "pj", **where: str) -> float:
    """The sum of a column over rows of these values."""
    chosen = [row for row in energy_rows if all(row[name] == where[name] for name in where)]
    assert chosen, where
    return sum(float(row[column] or 0) for row in chosen)


class TestAccuracyAndCounts:
    def test_of_the_defaults(self) -> None:
        evaluate, train, spikes = values("evaluate"), values("train"), values("inference")
        early, energy = values("early_exit"), values("energy")
        test = f"{evaluate['test_accuracy_percent']:.2f} %"
        events = f"{evaluate['test_synaptic_events_per_inference']:,.0f}"
        stopped = f"{evaluate['early_exit_synaptic_events_per_inference']:,.0f}"
        stopped_at = f"{evaluate['early_exit_test_accuracy_percent']:.2f} %"
        measured = f"{energy['synaptic_events_per_inference']:,.0f}"
        assert_says(
            "README.md",
            f"| test accuracy | **{test}** |",
            f"| ... 95 % interval | {evaluate['test_accuracy_low_percent']:.2f} to "
            f"{evaluate['test_accuracy_high_percent']:.2f} |",
            f"| validation accuracy | {train['best_validation_accuracy_percent']:.2f} % |",
            f"| epochs | {train['epochs_trained']} |",
            f"| spikes per inference: input | {spikes['input_spikes_per_inference']:.1f} |",
            f"| ... hidden | {spikes['hidden_spikes_per_inference']:.1f} |",
            f"| ... output | {spikes['output_spikes_per_inference']:.1f} |",
            f"| synaptic events per inference | {events} |",
            f"| ... with early exit | {stopped} at {stopped_at} |",
            f"{energy['dense_operations_per_inference']:,} operations per inference",
        )
        assert_says("docs/index.md", f"classifies {test} of the test images correctly", events)
        assert_says(
            "docs/explanation/events.md",
            f"defaults {spikes['input_spikes_per_inference']:.1f} of them",
        )
        assert_says(
            "docs/explanation/energy-ledger.md",
            f"there are {measured} synaptic events per inference",
            f"a margin of {early['margin_spikes']} spikes: {stopped} synaptic events in place of "
            f"{events}, at {stopped_at} in place of {test}",
        )

    def test_beside_the_notebook(self) -> None:
        history, spikes = rows("history"), values("inference")
        layers = ("input", "hidden", "output")
        training = [
            sum(float(row[f"{layer}_spikes_per_sample"]) for row in history) / len(history)
            for layer in layers
        ]
        inference = [spikes[f"{layer}_spikes_per_inference"] for layer in layers]
        assert_says(
            "docs/explanation/reproducibility.md",
            f"| per training sample | {', '.join(f'{mean:.1f}' for mean in training)} |",
            f"| per inference | {', '.join(f'{mean:.1f}' for mean in inference)} |",
            f"{values('energy')['synaptic_events_per_inference']:,.0f} | 157,068 | 157,612 |",
        )

    def test_of_the_settings(self) -> None:
        """The means over seeds of `make seeds`, and what an inference of each takes."""
        for row in rows("seeds"):
            name = (
                "defaults" if row["name"].startswith(("repro-", "defaults")) else f"`{row['name']}`"
            )
            mean, low, high = (
                f"{float(row[key]):.2f}"
                for key in ("test_accuracy_percent", "test_lowest_percent", "test_highest_percent")
            )
            seeds = row["seeds"].split()
            int8 = row["nj_45nm_int8"]
            assert_says(
                "docs/explanation/energy-ledger.md",
                f"| {name} | "
                f"{'early' if row['early_exit'] == '1' else 'at the end'} | {len(seeds)} | "
                f"{float(row['synaptic_events_per_inference']):,.0f} | "
                f"{float(row['validation_accuracy_percent']):.2f} % | "
                f"{mean} %{'' if len(seeds) == 1 else f' ({low} to {high})'} |",
                f"| {name} | {row['time_window']} | "
                f"{row['spikes_per_layer'].replace(' ', ', ')} | "
                f"{int(row['neuron_updates_clocked']):,} | "
                f"{float(row['neuron_updates_lazy']):,.0f} | {float(row['nj_45nm_fp32']):.1f} | "
                f"{f'{float(int8):.2f}' if int8 else ''} |",
            )

    def test_of_three_seeds(self) -> None:
        def of(name: str, early_exit: str = "0") -> tuple[str, str]:
            row = next(
                row
                for row in rows("seeds")
                if (row["name"], row["early_exit"], row["seeds"]) == (name, early_exit, "42 43 44")
            )
            events = float(row["synaptic_events_per_inference"])
            return f"{float(row['test_accuracy_percent']):.2f} %", f"{events:,.0f}"

        (least, few), (most, many) = of("frugal-2500", "1"), of("frugal-10000", "1")
        (middle, some), (integers, _) = of("frugal-5000"), of("frugal-5000-int8")
        best, dear = of("accurate-60000")
        assert_says(
            "README.md",
            f"`make frugal` gives {least} for {few} events with early exit, {middle} for {some} "
            f"over the whole window ({integers} in integers of 8 bits), {most} for {many} "
            "with early exit, "
            f"and `make accurate` {best} for {dear}",
        )

    def test_budgets_are_kept(self) -> None:
        """What the settings are for: events at most, test accuracy at least, over three seeds."""
        means = {
            (row["name"], row["early_exit"]): (
                float(row["synaptic_events_per_inference"]),
                float(row["test_accuracy_percent"]),
            )
            for row in rows("seeds")
            if row["seeds"] == "42 43 44"
        }
        for name, events, percent in (
            ("frugal-2500", 2500, 98.0),
            ("frugal-5000", 5000, 98.4),
            ("frugal-10000", 10_000, 98.6),
            ("accurate-60000", 60_000, 98.95),
        ):
            ways = [means[name, flag] for flag in "01"]
            assert any(spent <= events and right >= percent for spent, right in ways), name
        floating, integers = (means[name, "0"] for name in ("frugal-5000", "frugal-5000-int8"))
        assert integers[0] <= 5000
        assert integers[1] >= floating[1] - 0.1

    def test_of_the_frugal_network(self) -> None:
        whole, early = (
            next(
                row
                for row in rows("front")
                if row["name"] == "frugal-5000" and row["early_exit"] == flag
            )
            for flag in "01"
        )
        events = f"{float(early['synaptic_events_per_inference']):,.0f}"
        percent = f"{float(early['test_accuracy_percent']):.2f} %"
        assert_says(
            "README.md",
            f"| {float(whole['test_accuracy_percent']):.2f} % | not reported (used for model "
            "selection) |",
            f"| {float(whole['validation_accuracy_percent']):.2f} % | 84.83 % |",
            f"| {float(whole['synaptic_events_per_inference']):,.0f} | 157,068 |",
            f"**{events} at {percent}**",
        )
        assert_says("docs/index.md", f"it classifies {percent} correctly with {events}")


class TestEnergy:
    def cheapest_recorded(self) -> float:
        """What the cheapest recorded conventional network of the defaults' accuracy takes, pJ."""
        energies = [
            float(row["pj"])
            for row in rows("fronts")
            if (row["profile"], row["side"]) == ("lemaire-complete", "conventional")
            and float(row["validation_percent"])
            >= values("train")["best_validation_accuracy_percent"]
        ]
        return min(energies)

    def test_headline(self) -> None:
        energy = values("energy")
        ratio = [energy[f"ratio_to_{baseline}_ann"] for baseline in ("dense", "zero_skipping")]
        nanojoules = f"{energy['energy_per_inference_pj'] / 1000:.1f} nJ"
        assert energy["profile"] == "45nm-fp32"
        assert_says(
            "README.md",
            f"an inference takes {nanojoules}: {ratio[0]:.3f} times",
            f"and {ratio[1]:.3f} times what one takes that skips zeros",
            f"it takes {energy['equal_accuracy_energy_pj'] / 1e6:.2f} µJ, "
            f"{energy['equal_accuracy_energy_pj'] / self.cheapest_recorded():.0f} times the "
            f"{self.cheapest_recorded() / 1000:.1f} nJ of the cheapest",
            f"{energy['equal_accuracy_ratio']:.0f} times the "
            f"{energy['equal_accuracy_baseline_energy_pj'] / 1000:.1f} nJ of the cheapest of "
            "the three that were trained beside it",
        )
        assert energy["equal_accuracy_ratio_low"] > 1, "the page does not say that it loses"
        assert "95 % pruned, 8 bits" in energy["equal_accuracy_baseline"]
        assert_says(
            "docs/explanation/energy-ledger.md",
            f"{energy['energy_per_inference_low_pj'] / 1000:.1f} to "
            f"{energy['energy_per_inference_high_pj'] / 1000:.1f} nJ here",
            f"counts {energy['training_energy_mj'] / 1000:.2f} J under the same prices",
            f"as much as {energy['training_energy_in_inferences'] / 1e6:.0f} million inferences",
        )

    def test_parts(self, energy_rows: list[dict[str, str]]) -> None:
        here = {"profile": "45nm-fp32", "network": "snn"}
        inference = {**here, "phase": "inference"}
        events = picojoules(energy_rows, **inference, term="synaptic_event")
        total = picojoules(energy_rows, **inference, term="total")
        forward, backward, optimizer = (
            picojoules(energy_rows, **here, phase=phase, term="total") / 1e12
            for phase in ("forward", "backward", "optimizer")
        )
        leaks = picojoules(energy_rows, "count", **inference, term="leak_multiplication")
        assert_says(
            "docs/explanation/energy-ledger.md",
            f"{events / 1000:.1f} nJ are synaptic events and {(total - events) / 1000:.1f} nJ",
            f"{forward:.2f} J forward, {backward:.2f} J backward, {optimizer:.2f} J in the",
            f"{leaks:,.0f} leaks and as many biases",
        )

    def test_every_profile(self, energy_rows: list[dict[str, str]]) -> None:
        totals = [
            row
            for row in energy_rows
            if (row["network"], row["phase"], row["term"]) == ("snn", "inference", "total")
        ]
        assert totals
        for row in totals:
            low, high = joules(float(row["pj_low"])), joules(float(row["pj_high"]))
            cell = low if row["pj_low"] == row["pj_high"] else f"{low} to {high}"
            (line,) = (
                line
                for line in (REPOSITORY / "docs/explanation/energy-ledger.md")
                .read_text(encoding="utf-8")
                .splitlines()
                if line.startswith(f"| `{row['profile']}` |")
            )
            assert line.endswith(f"| {cell} |")

    def test_against_the_baselines(self, energy_rows: list[dict[str, str]]) -> None:
        energy = values("energy")
        ratios = [
            f"{energy[f'ratio_to_{baseline}_ann']:.3f} times that "
            f"({energy[f'ratio_to_{baseline}_ann_low']:.3f} to "
            f"{energy[f'ratio_to_{baseline}_ann_high']:.3f})"
            for baseline in ("dense", "zero_skipping")
        ]
        fp32 = {"profile": "45nm-fp32", "term": "total"}
        dense = picojoules(energy_rows, **fp32, network="ReLU 784-400-10, dense")
        skipping = picojoules(energy_rows, **fp32, network="ReLU 784-400-10, zero-skipping")
        counted = {"profile": "45nm-fp32", "term": "mac", "network": "ReLU 784-400-10, dense"}
        macs = picojoules(energy_rows, "count", **counted)
        assert_says(
            "docs/explanation/comparison.md",
            f"| {dense / 1e6:.3f} µJ | {ratios[0]} | {joules(skipping)} | {ratios[1]} |",
            f"| {macs:,.0f} |",
        )
        assert_says("README.md", f"a non-spiking ReLU network {macs:,.0f}")


class TestVerdict:
    """The table of verdicts on the page is the committed one."""

    SHOWN = (
        "45nm-fp32",
        "45nm-int8-accumulate-32",
        "lemaire-complete",
        "lemaire-complete-int8",
        "lemaire-qualia-int8",
        "yan-spyx",
    )
    OUTCOMES: ClassVar = {"snn": "spiking", "ann": "conventional", "undecided": "undecided"}

    def test_levels(self) -> None:
        found = rows("verdict")
        lines = []
        for level in sorted({float(row["level_percent"]) for row in found}):
            of_level = {
                row["profile"]: row for row in found if float(row["level_percent"]) == level
            }
            cells = [self.cell(of_level.get(profile)) for profile in self.SHOWN]
            lines.append(f"| {level:g} % | {' | '.join(cells)} |")
        assert_says("docs/explanation/comparison.md", *lines)
        won = {
            outcome: sum(row["outcome"] == outcome for row in found) for outcome in self.OUTCOMES
        }
        assert_says(
            "docs/explanation/comparison.md",
            f"Of {len(found)} pairs of an accuracy and a profile, spiking networks win "
            f"{won['snn']}, conventional ones {won['ann']}",
        )

    def cell(self, row: dict[str, str] | None) -> str:
        if row is None or row["outcome"] == "neither":
            return ""
        outcome = self.OUTCOMES[row["outcome"]]
        if (row["level_percent"], row["profile"]) == ("98.0", "lemaire-complete-int8"):
            return "withdrawn"
        return outcome if not row["ratio"] else f"{outcome}, {float(row['ratio']):.2f}"


class TestSpeed:
    ROWS = ("seed_loop", "snntorch", "spikingjelly", "torch_time_batched", "dense", "event")

    @pytest.mark.parametrize("job", ["", "latency"])
    def test_table(self, job: str) -> None:
        benchmark = values("benchmark")[job] if job else values("benchmark")
        ratios = benchmark["ratios"]
        lines = [
            f"| {benchmark['spread']['training'][name]['median']:.2f} | "
            f"{ratios['training_over_seed_loop'][name]:.1f} | "
            f"{benchmark['inference'][name]:,.0f} | "
            f"{ratios['inference_over_seed_loop'][name]:.1f} |"
            for name in self.ROWS
        ]
        limit = benchmark["limit"]
        assert_says(
            "docs/reference/speed.md",
            *lines,
            f"That is {ratios['event_training_over_fastest_peer']:.0f} times the fastest peer",
            f"{limit['training_seconds_per_epoch']:.2f} s per epoch: `event` takes "
            f"{limit['event_time_over_limit']:.1f} times that",
            f"needs {benchmark['further_rows']['training']['torch_hand_written']:.2f} s",
        )
        if job:
            return
        event = benchmark["spread"]["training"]["event"]["median"]
        assert_says(
            "README.md",
            f"takes {event:.2f} s: {ratios['training_over_seed_loop']['event']:.1f} times as fast",
            f"{ratios['event_training_over_fastest_peer']:.0f} times as fast as the fastest peer",
        )

    def test_profile(self) -> None:
        found = values("profile")["us_per_image"]
        parts = ("encode", "gradient", "gather", "optimizer", "rest", "total")
        assert_says(
            "docs/reference/speed.md",
            *(f"| {found[name]:.2f} |" for name in parts),
            f"| {found['forward']:.2f} | {found['forward_additions']:.2f} |",
            f"| {found['deltas']:.2f} | |",
            f"| {found['weights']:.2f} | {found['weight_additions']:.2f} |",
            f"The whole takes {found['total_over_additions']:.1f} times the additions alone",
        )
