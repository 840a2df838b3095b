"""The verdict over recorded networks: fronts with a known answer, a naive loop, and the files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.energy import BootstrapSettings, HardwareProfile, load_profiles
from spikejoule.energy.bands import (
    HALF_BAND,
    BandVerdict,
    Draws,
    FrontsTable,
    RecordedNetwork,
    VerdictTable,
    band_sentences,
    band_verdicts,
    duels,
    energy_cells,
)
from spikejoule.energy.prices import Price
from tests.energy.by_hand import profile
from tests.energy.test_verdict import variant

SETTINGS = BootstrapSettings(2000)
PLAIN = profile({"mac": 1, "addition": 1})
SEEDS = range(42, 47)
SIDES = {"s": "spiking", "c": "conventional"}


def network(
    name: str, percent: float, pj: float, seed: int = 42, error: float = 0.0, **changes: Any
) -> RecordedNetwork:
    """One of the side that its name begins with, under `PLAIN`."""
    cells = {
        "run": f"run-{name}-{seed}", "run_id": f"{seed:032x}", "git_commit": f"c{seed}",
        "data_source": "mnist", "side": SIDES[name[0]], "network": name, "method": "way",
        "configuration": name, "seed": seed, "weights_sha256": f"{abs(hash((name, seed))):064x}",
        "weight_bits": 8, "n_images": 10_000, "validation_percent": percent,
        "test_percent": percent - 0.1, f"{PLAIN.id}:pj": pj,
        f"{PLAIN.id}:pj_standard_deviation": 100 * error,
    }  # fmt: skip
    return RecordedNetwork(**{**cells, **changes})


def of_seeds(
    name: str, percents: Sequence[float], pj: Sequence[float] | float, **changes: Any
) -> list[RecordedNetwork]:
    spent = [pj] * len(percents) if isinstance(pj, float | int) else pj
    return [
        network(name, percent, each, seed, **changes)
        for seed, percent, each in zip(SEEDS, percents, spent, strict=False)
    ]


def judged(
    networks: Sequence[RecordedNetwork], under: HardwareProfile = PLAIN, **settings: Any
) -> dict[float, BandVerdict]:
    found = band_verdicts(networks, [under], BootstrapSettings(**{"resamples": 2000, **settings}))
    return {row.level_percent: row for row in found}


class TestFrontsWithAKnownAnswer:
    def test_far_apart(self) -> None:
        """Both reach every bar of a level for certain, or no bar of it."""
        rows = judged([
            *of_seeds("s-cheap", [98.4] * 5, 10), *of_seeds("s-dear", [98.9] * 5, 40),
            *of_seeds("c-cheap", [98.45] * 5, 20),
        ])  # fmt: skip
        low, middle, high, top = (rows[level] for level in (97.5, 98.0, 98.5, 99.0))
        assert (low.outcome, low.ratio, low.ratio_low, low.ratio_high) == ("snn", 0.5, 0.5, 0.5)
        assert middle == low.model_copy(
            update={name: getattr(middle, name) for name in ("level_percent", "level_low_percent",
                                                             "level_high_percent")}
        )  # fmt: skip
        # In the band of 98.5 it depends on the bar who reaches it.
        assert high.outcome == "undecided"
        assert high.spiking_missing_percent == 0
        assert high.conventional_missing_percent == pytest.approx(100 * 0.35 / 0.6, abs=5)
        assert top.outcome == "undecided"
        assert (top.conventional, top.conventional_n_seeds, top.ratio) == ("", 0, None)
        assert top.spiking == "run-s-dear-42: s-dear, way"
        assert top.spiking_missing_percent == pytest.approx(100 * 0.4 / 0.6, abs=5)

    def test_the_fronts_cross_where_they_do(self) -> None:
        """Spiking energy grows tenfold a point, conventional fourfold; equal at 98.25 %."""
        percents = np.arange(96.5, 99.6, 0.02)
        everyone = [
            one
            for percent in percents
            for side, growth in (("s", 10), ("c", 4))
            for one in of_seeds(f"{side}{percent:.2f}", [percent] * 5, growth ** (percent - 98.25))
        ]
        rows = judged(everyone, resamples=300)
        assert [row.outcome for row in rows.values()] == ["snn", "undecided", "undecided", "ann"]
        for row in rows.values():
            assert row.crossing_percent == pytest.approx(98.25, abs=0.06)
            assert (row.crossing_share_percent, row.crossing_to) == (100, "ann")
        # The band alone makes this interval: 0.6 points of 2.5 in its middle 95 %.
        at = rows[98.0]
        assert at.ratio_low == pytest.approx(2.5 ** (97.715 - 98.25), rel=0.03)
        assert at.ratio_high == pytest.approx(2.5 ** (98.285 - 98.25), rel=0.03)
        assert at.ratio == pytest.approx(2.5 ** (98.0 - 98.25), rel=0.05)

    def test_they_do_not_cross(self) -> None:
        rows = judged(of_seeds("s", [99.9] * 5, 2) + of_seeds("c", [99.9] * 5, 1))
        assert all(
            (row.outcome, row.ratio, row.crossing_percent, row.crossing_share_percent)
            == ("ann", 2, None, 0)
            for row in rows.values()
        )
        low = judged(of_seeds("s", [97.0] * 5, 2) + of_seeds("c", [97.0] * 5, 1))
        assert {row.outcome for row in low.values()} == {"neither"}

    def test_seeds_and_images_are_in_the_interval(self) -> None:
        """Of means over 5 seeds, and of normal errors: closed forms."""
        spent = [80.0, 90.0, 100.0, 110.0, 120.0]
        other = of_seeds("c", [99.9] * 5, 100)
        (of_seed, *_) = judged(of_seeds("s", [99.9] * 5, spent) + other).values()
        error = np.std(spent) / 100 / 5**0.5
        assert of_seed.ratio == pytest.approx(1, abs=0.02)
        assert of_seed.ratio_low == pytest.approx(1 - 1.96 * error, abs=0.02)
        assert of_seed.ratio_high == pytest.approx(1 + 1.96 * error, abs=0.02)
        assert of_seed.outcome == "undecided"
        (of_images, *_) = judged(of_seeds("s", [99.9] * 5, 100, error=10.0) + other).values()
        # A draw that takes a seed twice takes its error twice: 9/5 of the variance of five.
        error = 0.1 * (9 / 25) ** 0.5
        assert of_images.ratio_low == pytest.approx(1 - 1.96 * error, abs=0.02)
        assert of_images.ratio_high == pytest.approx(1 + 1.96 * error, abs=0.02)

    def test_the_verdict_is_of_means_over_seeds_not_of_the_best_of_them(self) -> None:
        """One lucky seed at 98.9 % makes no network of 98.5 %."""
        lucky = of_seeds("s", [98.0, 98.0, 98.0, 98.0, 98.9], 10)
        row = judged(lucky + of_seeds("c", [99.9] * 5, 20))[98.5]
        assert row.outcome == "undecided"
        assert row.spiking_missing_percent > 70
        assert row.spiking_n_seeds == 5
        assert row.spiking_validation_percent == pytest.approx(98.18)
        assert row.spiking_validation_spread == pytest.approx(0.9 / 5**0.5)
        assert row.spiking_test_percent == pytest.approx(98.08)
        assert row.spiking_runs.split() == [f"{seed:032x}" for seed in SEEDS]
        assert row.spiking_commits == "c42 c43 c44 c45 c46"

    def test_brackets_widen_and_have_no_middle(self) -> None:
        ends = {f"{PLAIN.id}:pj": None, f"{PLAIN.id}:pj_low": 10.0, f"{PLAIN.id}:pj_high": 30.0}
        (row, *_) = judged([network("s", 99.9, 0, **ends), network("c", 99.9, 15)]).values()
        assert (row.ratio, row.outcome, row.spiking_pj) == (None, "undecided", None)
        assert (row.ratio_low, row.ratio_high) == pytest.approx((10 / 15, 30 / 15))
        assert (row.spiking_pj_low, row.spiking_pj_high) == (10, 30)
        # A bracket is wide, and the spread of its upper end says nothing of its lower.
        ends[f"{PLAIN.id}:pj_low"] = 0.01
        (row, *_) = judged(
            [network("s", 99.9, 0, error=3.0, **ends), network("c", 99.9, 15)]
        ).values()
        assert 0 < (row.ratio_low or 0) < 0.01 / 15


def chance(n: int) -> list[RecordedNetwork]:
    """Configurations of one to five seeds; some are not compared by the profile."""
    generator = np.random.default_rng(n)
    return [
        network(
            f"{'sc'[number % 2]}{number}", float(generator.uniform(97, 99.5)),
            float(generator.uniform(1, 9)), 42 + seed, 0.3,
            **({f"{PLAIN.id}:pj_standard_deviation": None} if number % 7 == 3 else {}),
        )
        for number in range(n)
        for seed in range(1 + number % 5)
    ]  # fmt: skip


def test_equals_a_naive_loop() -> None:
    draws = Draws.of(chance(24), BootstrapSettings(40))
    accuracies, energies = draws.accuracies(), draws.energies(PLAIN.id)
    groups = [draws.members(one) for one in range(len(draws.starts))]
    is_spiking = np.array([members[0].side == "spiking" for members in groups])
    found = duels(accuracies, energies, is_spiking, 98.2 + draws.bars)
    number = {id(one): place for place, one in enumerate(draws.networks)}
    for draw in range(40):
        bar = 98.2 + draws.bars[draw]
        assert abs(draws.bars[draw]) <= HALF_BAND
        best: dict[str, tuple[float, int]] = {}
        for place, members in enumerate(groups):
            percent = energy = 0.0
            taken = 0
            for one in members:
                share = draws.shares[draw, number[id(one)]]
                taken += round(share * len(members))
                percent += share * one.validation_percent
                known = one.energy(PLAIN.id)
                if share and known:
                    error = (known.standard_deviation_pj or 0) / one.n_images**0.5
                    off = error * draws.noise[draw, number[id(one)]]
                    energy += share * ((known.value_pj or 0) + off)
                elif share:
                    energy = math.inf
            assert taken == len(members)
            side = members[0].side
            if percent >= bar and math.isfinite(energy):
                best[side] = min(best.get(side, (math.inf, -1)), (energy, place))
        sent = [best.get(side, (0.0, -1))[1] for side in ("spiking", "conventional")]
        assert found.sent[:, draw].tolist() == sent
        ratio = best["spiking"][0] / best["conventional"][0] if -1 not in sent else math.nan
        assert found.ratios[1, draw] == pytest.approx(ratio, nan_ok=True)
        wins = [sent[0] >= 0 and (sent[1] < 0 or ratio < 1), sent[1] >= 0 > sent[0] or ratio > 1]
        assert found.wins[:, draw].tolist() == wins


def test_the_files_are_read_as_written(tmp_path: Path) -> None:
    bracket = profile({"mac": Price(1.0, None, 2.0), "addition": 1}, id="b")
    profiles = {one.id: one for one in (PLAIN, bracket)}
    counted = [variant("spiking", [3, 5, 7, 9]), variant("conventional", [6, 5, 4, 7])]
    rows = tuple(
        network(name, 98.0, 0, **energy_cells(one, profiles.values()))
        for name, one in zip(("s", "c"), counted, strict=True)
    )  # fmt: skip
    spreads = [float(np.std(counts, ddof=1)) for counts in ([3, 5, 7, 9], [6, 5, 4, 7])]
    for one, mean, spread in zip(rows, (6, 5.5), spreads, strict=True):
        found = one.energy(PLAIN.id)
        assert found
        assert found.numbers[:4] == pytest.approx((mean, mean, mean, spread))
    of_bracket = rows[1].energy("b")
    assert of_bracket
    assert (of_bracket.low_pj, of_bracket.value_pj, of_bracket.high_pj) == (5.5, None, 11)
    FrontsTable(rows=rows).write(tmp_path / "fronts.csv")
    read = FrontsTable.read(tmp_path / "fronts.csv").rows
    for one, as_read in zip(rows, read, strict=True):
        assert as_read.name == one.name
        for name in (*profiles, "unknown"):
            assert as_read.energy(name) == one.energy(name)
    table = VerdictTable(rows=band_verdicts(read, profiles.values(), SETTINGS))
    table.write(tmp_path / "verdict.csv")
    assert VerdictTable.read(tmp_path / "verdict.csv").rows == table.rows
    assert len(table.rows) >= 4


def test_words() -> None:
    memory = PLAIN.model_copy(update={"id": "system", "scope": "system"})
    everyone = [
        one.model_copy(update={"system:pj": 3.0 if one.side == "spiking" else 1.0,
                               "system:pj_standard_deviation": 0.0})
        for one in (
            *of_seeds("s", [99.9] * 3, 1, train_seconds=3600), *of_seeds("c", [99.9] * 5, 2),
        )
    ]  # fmt: skip
    profiles = {one.id: one for one in (PLAIN, memory)}
    rows = band_verdicts(everyone, profiles.values(), SETTINGS)
    said = band_sentences(rows, everyone, profiles, {"recorded before weights had a checksum": 2})
    assert said[0] == (
        "With memory counted the spiking side needs less energy nowhere and the conventional side "
        "in 4 of 4 pairs of prices and an accuracy; for arithmetic alone the spiking side needs "
        "less energy in 4 and the conventional side in 0 of 4 pairs of prices and an accuracy; the "
        "others are undecided, or reached by neither."
    )
    text = " ".join(said)
    for words in (
        f"At about 98 % (97.7 to 98.3) on validation images it turns on the prices: the "
        f"conventional side needs less under system; the spiking side needs less under {PLAIN.id}.",
        "They do not cross between 97 and 99.2 % under",
        "would have to need 3 to 3 times less",
        "Of fewer than 5 seeds, so that their intervals are too narrow: run-s-42: s, way.",
        "8 networks of 5 runs, each on 10,000 test images, which both its accuracy and",
        "Training took 3.0 hours by the clock on the spiking side, 0.0 on the conventional, of 3",
        "Left out: 2 recorded before weights had a checksum.",
    ):
        assert words in text
    assert band_sentences((), [], profiles)[0].startswith("No verdict: 0 networks")


def test_memory_below_the_sources_smallest_is_a_choice() -> None:
    """Extrapolated to 0 at no bytes, as a register file, or as 8 KB; above they agree."""
    from spikejoule.energy.counting import Column

    profiles = load_profiles()
    names = ("", "-registers", "-floored")
    prices = {
        stored: [
            profiles[f"lemaire-complete-int8{name}"].price_at(
                Column("state_access", "x", 16, 8 * stored)
            )[1]
            for name in names
        ]
        for stored in (0, 512, 4096, 8192, 100_000)
    }
    assert prices[0] == pytest.approx([0, 0.825, 5])
    assert prices[512] == pytest.approx([0.3125, 0.825, 5])
    assert prices[8192] == pytest.approx([5, 5, 5])
    assert len(set(prices[100_000])) == 1
    for low, middle, high in prices.values():
        assert low <= middle <= high
    for name in ("lemaire-complete", "lemaire-complete-int8"):
        for of in ("", "-floored", "-registers")[: 2 + name.endswith("int8")]:
            one = profiles[name + of]
            assert "pro rata" in (one.notes or "") or "Memories as there" in (one.notes or "")
            assert one.prices == profiles[name].prices
