"""The statistics: fronts with known answers, coverage of intervals, a naive loop."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from spikejoule.energy import BootstrapSettings
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import (
    HALF_BAND,
    Configuration,
    draw,
    energy_ratios,
    front_at,
)
from studies.verdict.verdicts import Verdict, verdicts
from tests.energy.by_hand import profile

PLAIN = profile({"mac": 1, "addition": 1})
SEEDS = range(42, 47)
SIDES = {"s": "spiking", "c": "conventional"}


def network(
    name: str,
    percent: float,
    pj: float,
    seed: int = 42,
    error: float = 0.0,
    **changes: Any,
) -> RecordedNetwork:
    """A network priced by `PLAIN`; the first letter of its name is its side."""
    cells = {
        "run": f"run-{name}-{seed}",
        "run_id": f"{seed:032x}",
        "git_commit": f"c{seed}",
        "data_source": "mnist",
        "side": SIDES[name[0]],
        "network": name,
        "method": "way",
        "configuration": name,
        "seed": seed,
        "weights_sha256": f"{abs(hash((name, seed))):064x}",
        "weight_bits": 8,
        "n_images": 10_000,
        "validation_percent": percent,
        "test_percent": percent - 0.1,
        f"{PLAIN.id}:pj": pj,
        f"{PLAIN.id}:pj_standard_deviation": 100 * error,
    }
    return RecordedNetwork.model_validate({**cells, **changes})


def of_seeds(
    name: str, percents: Sequence[float], pj: Sequence[float] | float, **changes: Any
) -> list[RecordedNetwork]:
    energies = [pj] * len(percents) if isinstance(pj, float | int) else pj
    return [
        network(name, percent, energy, seed, **changes)
        for seed, percent, energy in zip(SEEDS, percents, energies, strict=False)
    ]


def judged(
    networks: Sequence[RecordedNetwork], resamples: int = 2000
) -> dict[float, Verdict]:
    rows = verdicts(networks, [PLAIN], BootstrapSettings(resamples))
    return {row.level_percent: row for row in rows}


def flat(name: str, pj: float) -> list[RecordedNetwork]:
    """A front of constant energy from 90 to 99.9 %."""
    below = of_seeds(f"{name}-below", [90.0] * 5, 0.999_999 * pj)
    return [*of_seeds(name, [99.9] * 5, pj), *below]


class TestFrontsWithAKnownAnswer:
    def test_between_neighbours_and_not_beyond_the_ends(self) -> None:
        """Log energy is linear between networks; a front ends with its networks."""
        rows = judged(
            [
                *of_seeds("s-cheap", [98.0] * 5, 10),
                *of_seeds("s-dear", [99.0] * 5, 40),
                *of_seeds("c-cheap", [97.0] * 5, 5),
                *of_seeds("c-dear", [98.6] * 5, 80),
            ]
        )
        low, middle, high, top = (rows[level] for level in (97.5, 98.0, 98.5, 99.0))
        assert (low.outcome, low.spiking.network, low.ratio) == ("undecided", "", None)
        assert low.spiking.missing_percent == 100
        assert low.conventional.missing_percent == 0
        assert middle.spiking.missing_percent == pytest.approx(50, abs=5)
        assert high.spiking.network == "run-s-dear-42: s-dear, way"
        assert high.spiking.below == "run-s-cheap-42: s-cheap, way"
        assert high.spiking.pj == pytest.approx(20)
        assert high.conventional.pj == pytest.approx(5 * 16 ** (1.5 / 1.6))
        assert high.conventional.missing_percent == pytest.approx(
            100 * 0.2 / 0.6, abs=5
        )
        assert (high.outcome, high.spiking.n_configurations) == ("snn", 2)
        assert (top.outcome, top.conventional.network, top.ratio) == (
            "undecided",
            "",
            None,
        )
        assert top.conventional.missing_percent == 100

    def test_the_winner_changes_where_the_fronts_cross(self) -> None:
        """Energy per point grows tenfold and fourfold; the fronts meet at 98.25 %."""
        percents = np.arange(96.5, 99.6, 0.02)
        everyone: list[RecordedNetwork] = []
        for percent in percents:
            for side, growth in (("s", 10), ("c", 4)):
                name = f"{side}{percent:.2f}"
                energy = growth ** (percent - 98.25)
                everyone += of_seeds(name, [percent] * 5, energy)
        rows = judged(everyone, resamples=300)
        assert [row.outcome for row in rows.values()] == [
            "snn",
            "undecided",
            "undecided",
            "ann",
        ]
        # The interval comes from the band only: the middle 95 % of 0.6 points.
        at = rows[98.0]
        assert at.ratio_low == pytest.approx(2.5 ** (97.715 - 98.25), rel=0.03)
        assert at.ratio_high == pytest.approx(2.5 ** (98.285 - 98.25), rel=0.03)
        assert at.ratio == pytest.approx(2.5 ** (98.0 - 98.25), rel=0.05)

    def test_seeds_and_images_are_in_the_interval(self) -> None:
        """Closed forms: t with 4 degrees of freedom for seeds, normal for images."""
        spent = [80.0, 90.0, 100.0, 110.0, 120.0]
        members = [
            *of_seeds("s", [99.9] * 5, spent),
            *of_seeds("c", [99.9] * 5, 1, error=10.0),
        ]
        draws = draw(members, BootstrapSettings(20_000))
        of_images, of_seeds_alone = draws.log_energies(PLAIN.id)[1].T
        error = np.std(np.log(spent), ddof=1) / 5**0.5
        ends = np.quantile(of_seeds_alone, (0.025, 0.975)) - np.log(spent).mean()
        assert ends == pytest.approx([-2.776 * error, 2.776 * error], rel=0.05)
        # Relative to the mean: 10 per network, divided by the root of 5 networks.
        assert of_images.std() == pytest.approx(10 / 5**0.5, rel=0.05)

    def test_means_over_seeds_count_and_not_the_best_seed(self) -> None:
        """One lucky seed at 98.9 % does not make a 98.5 % network."""
        lucky = of_seeds("s", [98.0, 98.0, 98.0, 98.0, 98.9], 10) + of_seeds(
            "s-b", [97.0] * 5, 9
        )
        rows = judged(lucky + flat("c", 20))
        assert rows[98.5].spiking.network == ""
        assert rows[98.5].spiking.missing_percent > 70
        spiking = rows[98.0].spiking
        assert spiking.n_seeds == 5
        # Four seeds at 98.0 and one at 98.9; their deviations are 0.18 and 0.72.
        assert spiking.validation_percent == pytest.approx(98.18)
        assert spiking.validation_spread == pytest.approx(0.9 / 5**0.5)
        assert spiking.test_percent == pytest.approx(98.08)
        assert spiking.runs.split() == [f"{seed:032x}" for seed in SEEDS]
        assert spiking.commits == "c42 c43 c44 c45 c46"

    def test_ranges_of_prices_widen_the_interval_and_have_no_median(self) -> None:
        ends = {
            f"{PLAIN.id}:pj": None,
            f"{PLAIN.id}:pj_low": 10.0,
            f"{PLAIN.id}:pj_high": 30.0,
        }
        (row, *_) = judged(bracketed(ends) + flat("c", 15)).values()
        assert (row.ratio, row.outcome, row.spiking.pj) == (None, "undecided", None)
        assert (row.ratio_low, row.ratio_high) == pytest.approx((10 / 15, 30 / 15))
        assert (row.spiking.pj_low, row.spiking.pj_high) == pytest.approx((10, 30))


def bracketed(ends: Mapping[str, Any]) -> list[RecordedNetwork]:
    """A flat front whose prices are ranges."""
    below = {name: None if pj is None else (1 - 1e-9) * pj for name, pj in ends.items()}
    return [network("s", 99.9, 0, **ends), network("s-below", 90, 0, **below)]


def one_true_front(
    generator: np.random.Generator, percents: Mapping[str, Sequence[float]]
) -> list[RecordedNetwork]:
    """Both sides on one front, each with its own grid, seeds and errors."""
    networks = []
    for name, grid in percents.items():
        for place, percent in enumerate(grid):
            accuracies = generator.normal(percent, 0.1, 5)
            energies = true_pj(percent) * np.exp(generator.normal(0, 0.02, 5))
            networks += of_seeds(
                f"{name}{place}", accuracies.tolist(), energies.tolist()
            )
    return networks


def true_pj(percent: float) -> float:
    return 4 * math.exp((percent - 97.82) / 0.39)


class TestOneTrueFront:
    """Both sides need the same energy, whatever their grids and seeds."""

    def test_the_interval_contains_1(self) -> None:
        generator = np.random.default_rng(3)
        grids = {
            "s": (96.9, 97.7, 98.03, 98.58, 99.4),
            "c": (97.0, 97.82, 98.05, 98.48, 98.77, 99.5),
        }
        ratios: dict[float, list[float]] = {}
        held = []
        for _ in range(60):
            for level, row in judged(
                one_true_front(generator, grids), resamples=300
            ).items():
                assert row.ratio
                assert row.ratio_low
                assert row.ratio_high
                ratios.setdefault(level, []).append(row.ratio)
                held.append(row.ratio_low <= 1 <= row.ratio_high)
        assert np.mean(held) >= 0.93
        for level_ratios in ratios.values():
            assert np.median(level_ratios) == pytest.approx(1, abs=0.1)


def chance(n: int) -> list[RecordedNetwork]:
    """Random configurations of one to five seeds, some without a price."""
    generator = np.random.default_rng(n)
    return [
        network(
            f"{'sc'[number % 2]}{number}",
            float(generator.uniform(97, 99.5)),
            float(generator.uniform(1, 9)),
            42 + seed,
            0.3,
            **({f"{PLAIN.id}:pj_standard_deviation": None} if number % 7 == 3 else {}),
        )
        for number in range(n)
        for seed in range(1 + number % 5)
    ]


def mean_of_draw(configuration: Configuration, draw_number: int) -> tuple[float, float]:
    """Accuracy and log energy of a configuration in one draw, summed seed by seed."""
    percent = 0.0
    log_energy = 0.0
    for place, one in enumerate(configuration.networks):
        energy = one.energy(PLAIN.id)
        assert energy
        share = configuration.shares[draw_number, place]
        error = configuration.noise[draw_number, place] / one.n_images**0.5
        percent += share * one.validation_percent
        log_energy += share * math.log(energy.middle_pj)
        log_energy += error * energy.standard_deviation_pj / energy.middle_pj
    return percent, log_energy


def naive_front(points: Sequence[tuple[float, float]], at_percent: float) -> float:
    """The log energy of the front at an accuracy, NaN beyond its ends."""
    front = sorted(
        (percent, energy)
        for percent, energy in points
        if not any(more > percent and less < energy for more, less in points)
    )
    percents, energies = zip(*front, strict=True)
    return float(np.interp(at_percent, percents, energies, left=np.nan, right=np.nan))


def test_equals_a_naive_loop() -> None:
    n_draws = 40
    draws = draw(chance(24), BootstrapSettings(n_draws))
    accuracies = draws.accuracies()
    log_energies = draws.log_energies(PLAIN.id)
    at_percent = 98.2 + draws.offsets
    assert (abs(draws.offsets) <= HALF_BAND).all()
    fronts = []
    for side in ("spiking", "conventional"):
        compared = [
            one.side == side and all(member.energy(PLAIN.id) for member in one.networks)
            for one in draws.configurations
        ]
        enough = [
            has and len(one.networks) >= 5
            for has, one in zip(compared, draws.configurations, strict=True)
        ]
        taking_part = draws.taking_part(side, log_energies)
        assert taking_part.tolist() == (enough if sum(enough) >= 2 else compared)

        front = front_at(accuracies, log_energies, np.array(compared), at_percent)
        fronts.append(front)
        chosen = [
            one for one, has in zip(draws.configurations, compared, strict=True) if has
        ]
        for one in chosen:
            assert one.shares.sum(axis=1) == pytest.approx(np.ones(n_draws))
        for number in range(n_draws):
            points = [mean_of_draw(one, number) for one in chosen]
            expected = naive_front(points, at_percent[number])
            assert front.log_energies[1, number] == pytest.approx(expected, nan_ok=True)
    expected = np.exp(fronts[0].log_energies[1] - fronts[1].log_energies[1])
    assert energy_ratios(*fronts)[1] == pytest.approx(expected, nan_ok=True)
    assert not np.isnan(expected).all()
