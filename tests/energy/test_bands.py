"""The verdict over recorded networks: fronts with a known answer, a naive loop, and the files."""

import math
from collections.abc import Mapping, Sequence
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
    energy_cells,
    front_at,
    front_ratios,
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


def flat(name: str, pj: Sequence[float] | float, **changes: Any) -> list[RecordedNetwork]:
    """A front that is level from 90 to 99.9 %, and of a seed-by-seed energy all along."""
    spent = [pj] * 5 if isinstance(pj, float | int) else pj
    below = of_seeds(f"{name}-below", [90.0] * 5, [0.999_999 * min(spent)] * 5)
    return of_seeds(name, [99.9] * len(spent), spent, **changes) + [
        one for one in below if one.seed in SEEDS[: len(spent)]
    ]


class TestFrontsWithAKnownAnswer:
    def test_between_neighbours_and_not_beyond_the_ends(self) -> None:
        """Log energies halve from a point to the next; a front ends where its networks do."""
        rows = judged([
            *of_seeds("s-cheap", [98.0] * 5, 10), *of_seeds("s-dear", [99.0] * 5, 40),
            *of_seeds("c-cheap", [97.0] * 5, 5), *of_seeds("c-dear", [98.6] * 5, 80),
        ])  # fmt: skip
        low, middle, high, top = (rows[level] for level in (97.5, 98.0, 98.5, 99.0))
        assert (low.outcome, low.spiking, low.ratio) == ("undecided", "", None)
        assert (low.spiking_missing_percent, low.conventional_missing_percent) == (100, 0)
        assert middle.spiking_missing_percent == pytest.approx(50, abs=5)
        assert (high.spiking, high.spiking_below) == (
            "run-s-dear-42: s-dear, way", "run-s-cheap-42: s-cheap, way",
        )  # fmt: skip
        assert high.spiking_pj == pytest.approx(20)
        assert high.conventional_pj == pytest.approx(5 * 16 ** (1.5 / 1.6))
        assert high.conventional_missing_percent == pytest.approx(100 * 0.2 / 0.6, abs=5)
        assert (high.outcome, high.spiking_n_configurations) == ("snn", 2)
        assert (top.conventional, top.conventional_n_seeds, top.ratio) == ("", 0, None)
        assert (top.outcome, top.conventional_missing_percent) == ("undecided", 100)

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
        rows = judged(flat("s", 2) + flat("c", 1))
        for row in rows.values():
            assert (row.outcome, row.crossing_percent) == ("ann", None)
            assert row.ratio == pytest.approx(2)
            assert row.crossing_share_percent == 0
        low = judged(of_seeds("s", [97.0] * 5, 2) + of_seeds("c", [97.0] * 5, 1))
        assert {row.outcome for row in low.values()} == {"neither"}

    def test_seeds_and_images_are_in_the_interval(self) -> None:
        """Of a mean over 5 seeds, t of 4 degrees of freedom, and of normal errors: closed forms."""
        spent = [80.0, 90.0, 100.0, 110.0, 120.0]
        members = [*of_seeds("s", [99.9] * 5, spent), *of_seeds("c", [99.9] * 5, 1, error=10.0)]
        draws = Draws.of(members, BootstrapSettings(20_000))
        of_images, of_seeds_alone = draws.energies(PLAIN.id)[1].T
        error = np.std(np.log(spent), ddof=1) / 5**0.5
        ends = np.quantile(of_seeds_alone, (0.025, 0.975)) - np.log(spent).mean()
        assert ends == pytest.approx([-2.776 * error, 2.776 * error], rel=0.05)
        # In units of the mean: 10 in 1 per network, divided by the root of 5 of them.
        assert of_images.std() == pytest.approx(10 / 5**0.5, rel=0.05)

    def test_the_verdict_is_of_means_over_seeds_not_of_the_best_of_them(self) -> None:
        """One lucky seed at 98.9 % makes no network of 98.5 %."""
        lucky = of_seeds("s", [98.0, 98.0, 98.0, 98.0, 98.9], 10) + of_seeds("s-b", [97.0] * 5, 9)
        rows = judged(lucky + flat("c", 20))
        assert rows[98.5].spiking == ""
        assert rows[98.5].spiking_missing_percent > 70
        row = rows[98.0]
        assert row.spiking_n_seeds == 5
        assert row.spiking_validation_percent == pytest.approx(98.18)
        assert row.spiking_validation_spread == pytest.approx(0.9 / 5**0.5)
        assert row.spiking_test_percent == pytest.approx(98.08)
        assert row.spiking_runs.split() == [f"{seed:032x}" for seed in SEEDS]
        assert row.spiking_commits == "c42 c43 c44 c45 c46"

    def test_a_single_seed_takes_part_where_a_side_has_no_others(self) -> None:
        alone = [network("s-alone", 99.0, 0.1), network("s-other", 97.0, 0.05)]
        row = judged(alone + flat("c", 20))[98.0]
        assert (row.spiking_n_seeds, row.spiking_n_configurations) == (1, 2)
        row = judged(alone + flat("s", 10) + flat("c", 20))[98.0]
        assert (row.spiking, row.spiking_n_configurations) == ("run-s-42: s, way", 2)

    def test_brackets_widen_and_have_no_middle(self) -> None:
        ends = {f"{PLAIN.id}:pj": None, f"{PLAIN.id}:pj_low": 10.0, f"{PLAIN.id}:pj_high": 30.0}
        (row, *_) = judged(bracketed(ends) + flat("c", 15)).values()
        assert (row.ratio, row.outcome, row.spiking_pj) == (None, "undecided", None)
        assert (row.ratio_low, row.ratio_high) == pytest.approx((10 / 15, 30 / 15))
        assert (row.spiking_pj_low, row.spiking_pj_high) == (10, 30)
        # A bracket is wide, and the spread of its upper end says nothing of its lower.
        ends[f"{PLAIN.id}:pj_low"] = 0.01
        (row, *_) = judged(bracketed(ends, error=3.0) + flat("c", 15)).values()
        assert 0 < (row.ratio_low or 0) < 0.011 / 15


def bracketed(ends: Mapping[str, Any], **changes: Any) -> list[RecordedNetwork]:
    """A level front of prices that are brackets alone."""
    below: dict[str, Any] = {
        name: None if pj is None else (1 - 1e-9) * pj for name, pj in ends.items()
    }
    return [
        network("s", 99.9, 0, **ends, **changes), network("s-below", 90, 0, **below),
    ]  # fmt: skip


def one_true_front(
    generator: np.random.Generator, percents: Mapping[str, Sequence[float]]
) -> list[RecordedNetwork]:
    """Both sides on one front, each with a grid, seeds and errors of its own."""
    return [
        one
        for name, grid in percents.items()
        for place, percent in enumerate(grid)
        for one in of_seeds(
            f"{name}{place}",
            [float(of) for of in generator.normal(percent, 0.1, 5)],
            [float(of) for of in true_pj(percent) * np.exp(generator.normal(0, 0.02, 5))],
        )
    ]


def true_pj(percent: float) -> float:
    return 4 * math.exp((percent - 97.82) / 0.39)


class TestOneTrueFront:
    """Where both sides need the same, whatever their grids and seeds are."""

    def test_the_interval_holds_it_and_nothing_crosses(self) -> None:
        generator = np.random.default_rng(3)
        grids = {
            "s": (96.9, 97.7, 98.03, 98.58, 99.4),
            "c": (97.0, 97.82, 98.05, 98.48, 98.77, 99.5),
        }
        ratios: dict[float, list[float]] = {}
        held, crossed = [], []
        for _ in range(60):
            for level, row in judged(one_true_front(generator, grids), resamples=300).items():
                assert row.ratio
                assert row.ratio_low
                assert row.ratio_high
                ratios.setdefault(level, []).append(row.ratio)
                held.append(row.ratio_low <= 1 <= row.ratio_high)
                crossed.append(row.crossing_percent is not None)
        assert np.mean(held) >= 0.93
        assert np.mean(crossed) <= 0.05
        for of_level in ratios.values():
            assert np.median(of_level) == pytest.approx(1, abs=0.1)

    def test_the_interval_of_a_mean_covers_as_it_says(self) -> None:
        """800 means of 5 seeds, one in each of as many configurations: 95 %, and no more."""
        spent = np.exp(np.random.default_rng(5).normal(0, 0.1, (800, 5)))
        members = [one for n, of in enumerate(spent) for one in of_seeds(f"s{n}", [99] * 5, of)]
        draws = Draws.of(members, BootstrapSettings(1000))
        low, high = np.quantile(draws.energies(PLAIN.id)[1], (0.025, 0.975), axis=0)
        assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.02)


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
    number = {id(one): place for place, one in enumerate(draws.networks)}
    fronts = []
    for side in ("spiking", "conventional"):
        compared = [
            all(one.side == side and one.energy(PLAIN.id) for one in members) for members in groups
        ]
        enough = [has and len(of) >= 5 for has, of in zip(compared, groups, strict=True)]
        takes_part = draws.taking_part(side, energies)
        assert takes_part.tolist() == (enough if sum(enough) >= 2 else compared)
        takes_part = np.array(compared)
        found = front_at(accuracies, energies, takes_part, 98.2 + draws.bars)
        fronts.append(found)
        for draw in range(40):
            assert abs(draws.bars[draw]) <= HALF_BAND
            points = []
            for members, takes in zip(groups, takes_part, strict=True):
                shares = [draws.shares[draw, number[id(one)]] for one in members]
                assert sum(shares) == pytest.approx(1)
                if takes:
                    percent = energy = 0.0
                    for one, share in zip(members, shares, strict=True):
                        known = one.energy(PLAIN.id)
                        assert known
                        assert known.value_pj
                        off = draws.noise[draw, number[id(one)]] / one.n_images**0.5
                        percent += share * one.validation_percent
                        energy += share * math.log(known.value_pj)
                        energy += off * (known.standard_deviation_pj or 0) / known.value_pj
                    points.append((percent, energy))
            front = sorted(
                (percent, energy) for percent, energy in points
                if not any(more > percent and less < energy for more, less in points)
            )  # fmt: skip
            where, height = zip(*front, strict=True)
            expected = np.interp(98.2 + draws.bars[draw], where, height, left=np.nan, right=np.nan)
            assert found.energies[1, draw] == pytest.approx(expected, nan_ok=True)
    expected = np.exp(fronts[0].energies[1] - fronts[1].energies[1])
    assert front_ratios(*fronts)[1] == pytest.approx(expected, nan_ok=True)
    assert not np.isnan(expected).all()


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
    cells: dict[str, Any] = {"b:pj": 1, "b:pj_standard_deviation": 0}
    cheaper = [network(f"{name}-below", 97.0, 1, **cells) for name in "sc"]
    table = VerdictTable(rows=band_verdicts([*read, *cheaper], profiles.values(), SETTINGS))
    table.write(tmp_path / "verdict.csv")
    assert VerdictTable.read(tmp_path / "verdict.csv").rows == table.rows
    assert len(table.rows) >= 4


def test_words() -> None:
    def pj_of(one: RecordedNetwork) -> float:
        return float((one.model_extra or {})[f"{PLAIN.id}:pj"])

    memory = PLAIN.model_copy(update={"id": "system", "scope": "system"})
    everyone = [
        one.model_copy(update={"system:pj": pj_of(one) * (3.0 if one.side == "spiking" else 0.5),
                               "system:pj_standard_deviation": 0.0})
        for one in (
            *flat("s", [1, 1, 1], train_seconds=3600, processor_seconds=90), *flat("c", 2),
        )
    ]  # fmt: skip
    profiles = {one.id: one for one in (PLAIN, memory)}
    rows = band_verdicts(everyone, profiles.values(), SETTINGS)
    said = band_sentences(rows, everyone, profiles, {"recorded before weights had a checksum": 2})
    assert said[0] == (
        "The conventional side needs less energy in 4 of 8 comparisons (price list x accuracy), "
        "the spiking side in 4; the others are undecided, or beyond the end of a front."
    )
    text = " ".join(said)
    for words in (
        f"At about 98 % (97.7 to 98.3) on validation images it turns on the prices: the "
        f"conventional side needs less under system; the spiking side needs less under {PLAIN.id}.",
        "No crossing is found between 97 and 99.2 % under",
        "would have to use 3 to 3 times less",
        "The fronts are of 2 spiking and 2 conventional configurations",
        "intervals are too narrow (of one seed they hold none of it): run-s-42: s, way.",
        "16 networks of 5 runs, each on 10,000 test images, which both its accuracy and",
        "Training took 4.5 processor minutes on the spiking side (3 of its 3 networks recorded "
        "them; 3.0 hours by the clock), 0.0 processor minutes on the conventional side (0 of its 0",
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
