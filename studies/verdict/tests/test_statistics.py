"""The statistics: fronts with known answers, and a naive loop.

An audit of commit 635a2a27 found these faults of the comparison. A test covers each.

    price lists that ignore widths decided    `test_what_ignores_widths`
    the best of five seeds was quoted         `test_the_best_of_many_is_not_read...`
    draws that a side misses were dropped     `TestLostDraws`
    a front that starts above was "missing"   `test_between_neighbours...`
    validation flatters the spiking side      `test_validation_that_flatters...`
    ways of running were drawn apart, seeds   `test_both_sides_share_the_draws...`
    of both sides too
    prices that no data could decide counted  `TestPriceRanges`
    outcomes were coin tosses at 2,000 draws  `test_other_draws_decide_alike`

The tests of outside networks, of cascades and of thresholded pixels cover the others.
Pruning by events, which collapsed one setting, no longer exists:
`parameter_values.yaml` holds its refusal.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from spikejoule.energy.estimates import BootstrapSettings
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import Draws, SideNetworks, accuracy_axis
from studies.verdict.verdicts import Verdict, beside_fronts, verdicts
from tests.energy.by_hand import profile

PLAIN = profile({"mac": 1, "addition": 1})
SEEDS = range(42, 47)
SIDES = {"s": "spiking", "c": "conventional"}


def network(
    name: str, percent: float, pj: float, seed: int = 42, **changes: Any
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
        "test_percent": percent,
        f"{PLAIN.id}:pj": pj,
        f"{PLAIN.id}:pj_standard_deviation": 0.0,
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
    networks: Sequence[RecordedNetwork], resamples: int = 300
) -> dict[float, Verdict]:
    rows = verdicts(networks, [PLAIN], BootstrapSettings(resamples))
    return {row.level_percent: row for row in rows}


def flat(name: str, pj: float) -> list[RecordedNetwork]:
    """A side that needs the same energy at every accuracy."""
    return of_seeds(name, [99.9] * 5, pj)


def test_between_neighbours_the_front_is_their_mixture() -> None:
    rows = judged(
        [
            *of_seeds("s-cheap", [98.0] * 5, 10),
            *of_seeds("s-dear", [99.0] * 5, 40),
            *flat("c", 5),
        ]
    )
    at = rows[98.5]
    # From 2 to 1 % errors: half of the images go to each network.
    assert at.spiking.pj == pytest.approx(25)
    assert at.spiking.pj_above == pytest.approx(40)
    assert at.ratio == pytest.approx(5)
    assert (at.ratio_low, at.ratio_high) == pytest.approx((5, 5))
    assert at.outcome == "ann"
    assert at.spiking.network == "run-s-dear-42: s-dear, way"
    assert at.spiking.below == "run-s-cheap-42: s-cheap, way"
    # A front that starts above the level is read at its start.
    assert rows[97.5].spiking.pj == pytest.approx(10)


def test_a_network_that_a_mixture_of_two_beats_is_not_on_the_front() -> None:
    mixed = [
        *of_seeds("s-cheap", [97.0] * 5, 10),
        *of_seeds("s-between", [98.0] * 5, 21),
        *of_seeds("s-dear", [99.0] * 5, 30),
    ]
    at = judged([*mixed, *flat("c", 5)])[98.0]
    assert at.spiking.network == "run-s-dear-42: s-dear, way"
    assert at.spiking.pj == pytest.approx(20)


class TestLostDraws:
    """A side that misses the accuracy in most draws has no number there."""

    def test_in_every_draw(self) -> None:
        rows = judged([*of_seeds("s", [98.6] * 5, 1), *flat("c", 5)])
        at = rows[99.0]
        assert (at.outcome, at.ratio, at.spiking.missing_percent) == (
            "missed",
            None,
            100,
        )
        assert at.spiking.network == ""
        assert at.cells()["ratio"] is None
        assert rows[98.5].outcome == "snn"
        other_way = [*of_seeds("c", [98.6] * 5, 1), *flat("s", 5)]
        assert judged(other_way)[99.0].outcome == "missed"

    def test_in_some_draws(self) -> None:
        """The mean is slightly above 98.5 %, so nearly half of the draws miss it."""
        percents = [98.3, 98.4, 98.5, 98.6, 98.75]
        at = judged([*of_seeds("s", percents, 1), *flat("c", 5)], 2000)[98.5]
        assert at.spiking.missing_percent == pytest.approx(45, abs=5)
        assert (at.ratio_low, at.ratio_high) == (pytest.approx(0.2), math.inf)
        assert (at.outcome, at.plain.ratio) == ("undecided", None)

    def test_by_both_sides(self) -> None:
        networks = [*of_seeds("s", [98.6] * 5, 1), *of_seeds("c", [98.6] * 5, 5)]
        at = judged(networks)[99.0]
        assert (at.outcome, at.ratio) == ("missed", None)

    def test_by_both_sides_in_most_draws(self) -> None:
        """The few draws that reach 98.5 % do not decide for the others."""
        percents = [98.22, 98.32, 98.42, 98.52, 98.62]
        networks = [*of_seeds("s", percents, 1), *of_seeds("c", percents, 5)]
        at = judged(networks, 2000)[98.5]
        assert 60 < at.spiking.missing_percent < 97
        assert (at.outcome, at.ratio, at.ratio_low) == ("missed", None, None)


class TestSeeds:
    spent = (80.0, 90.0, 100.0, 110.0, 120.0)

    def test_both_sides_share_the_draws_of_equal_seeds(self) -> None:
        """What a seed does to both sides cancels."""
        halved = [pj / 2 for pj in self.spent]
        spiking = of_seeds("s", [99.9] * 5, self.spent)
        at = judged([*spiking, *of_seeds("c", [99.9] * 5, halved)])[98.0]
        assert (at.ratio_low, at.ratio_high) == pytest.approx((2, 2))
        others = [
            one.model_copy(update={"seed": one.seed + 10})
            for one in of_seeds("c", [99.9] * 5, halved)
        ]
        apart = judged([*spiking, *others])[98.0]
        assert apart.ratio_high
        assert apart.ratio_high > 2.1
        assert apart.plain.ratio is None

    def test_the_plain_procedure_by_hand(self) -> None:
        networks = [*of_seeds("s", [99.9] * 5, self.spent), *flat("c", 50)]
        at = judged(networks, 20_000)[98.0]
        logs = np.log(np.array(self.spent) / 50)
        error = logs.std(ddof=1) / 5**0.5
        expected = [logs.mean() + t * error for t in (-2.776, 0, 2.776)]
        plain = (at.plain.low, at.plain.ratio, at.plain.high)
        assert plain == pytest.approx(tuple(np.exp(expected)), rel=1e-3)
        # The draws widen a normal interval by 1.15.
        assert at.ratio == pytest.approx(at.plain.ratio, rel=0.01)
        widened = logs.mean() + 1.15 * 1.96 * error
        assert at.ratio_high == pytest.approx(np.exp(widened), rel=0.01)

    def test_one_seed_decides_nothing(self) -> None:
        at = judged([network("s", 99.9, 1), *flat("c", 5)])[98.0]
        assert (at.outcome, at.ratio) == ("undecided", pytest.approx(0.2))

    def test_configurations_with_few_seeds_take_part_only_if_a_side_needs_them(
        self,
    ) -> None:
        enough = [*of_seeds("s", [98.7] * 5, 9), *of_seeds("s-b", [98.6] * 5, 8)]
        few = network("s-lucky", 99.9, 1)
        at = judged([*enough, few, *flat("c", 5)])[98.5]
        assert at.spiking.n_configurations == 2
        at = judged([*enough[:5], few, *flat("c", 5)])[98.5]
        assert at.spiking.n_configurations == 2
        assert at.spiking.n_seeds == 1


def test_one_seed_from_outside_stands_beside_both_fronts() -> None:
    """It is not ignored for its single seed, and it is read where it is."""
    recorded = [
        *of_seeds("s-cheap", [98.0] * 5, 10),
        *of_seeds("s-dear", [99.0] * 5, 40),
        *flat("c", 5),
    ]
    added = [network("s-mine", 98.5, 24.0)]
    (at,) = beside_fronts(added, recorded, [PLAIN], BootstrapSettings(300))
    # Cheaper than the mixture of halves, 25.
    found = (at.pj, at.spiking_pj, at.conventional_pj)
    assert found == pytest.approx((24, 25, 5))
    better = [network("s-mine", 99.5, 24.0)]
    (at,) = beside_fronts(better, recorded, [PLAIN], BootstrapSettings(300))
    assert at.spiking_pj is None


def test_validation_that_flatters_one_side_changes_nothing() -> None:
    fair = [*of_seeds("s-cheap", [98.0] * 5, 10), *of_seeds("s-dear", [99.0] * 5, 40)]
    flattered = [
        one.model_copy(update={"validation_percent": one.validation_percent + 0.3})
        for one in fair
    ]
    expected = judged([*fair, *flat("c", 5)])[98.5].ratio
    assert judged([*flattered, *flat("c", 5)])[98.5].ratio == pytest.approx(expected)


def test_the_best_of_many_is_not_read_where_it_was_lucky() -> None:
    """30 equal configurations, whose seeds spread by 0.3: the best mean has luck."""
    generator = np.random.default_rng(5)
    errors = []
    lucky = []
    for _ in range(40):
        energies = generator.normal(0, 0.3, (5, 30))
        percents = np.full((5, 30), 99.9)
        draws = Draws.of(SEEDS, BootstrapSettings(200))
        side = SideNetworks.measured((), draws, percents, percents)
        errors.append(np.median(side.front(energies, 98.0).drawn(energies)))
        lucky.append(energies.mean(axis=0).min())
    assert np.mean(lucky) < -0.2
    assert np.mean(errors) == pytest.approx(0, abs=0.06)


class TestPriceRanges:
    """The middle of the range has no meaning, so there is no median."""

    @pytest.mark.parametrize(
        ("conventional_pj", "outcome"), [(15, "range"), (5, "ann"), (50, "snn")]
    )
    def test_ranges_that_allow_both_outcomes(
        self, conventional_pj: float, outcome: str
    ) -> None:
        ends = {
            f"{PLAIN.id}:pj": None,
            f"{PLAIN.id}:pj_low": 10.0,
            f"{PLAIN.id}:pj_high": 30.0,
        }
        spiking = of_seeds("s", [99.9] * 5, 0, **ends)
        at = judged([*spiking, *flat("c", conventional_pj)])[98.0]
        assert (at.outcome, at.ratio, at.spiking.pj) == (outcome, None, None)
        expected = (10 / conventional_pj, 30 / conventional_pj)
        assert (at.ratio_low, at.ratio_high) == pytest.approx(expected)


def naive_reading(
    side: SideNetworks, costs: Any, level: float, chosen_by: Any, seed: int
) -> float:
    """One seed at the level, on the front that others choose: all pairs tried."""
    accuracies = side.validation[chosen_by].mean(axis=0)
    energies = np.exp(costs[chosen_by].mean(axis=0))
    errors = np.exp(-accuracies)
    at = min(level, accuracies.max() - 1e-9)
    best: tuple[float, int, int] = (math.inf, -1, -1)
    for above in np.flatnonzero(accuracies >= at):
        best = min(best, (energies[above], above, above))
        for below in np.flatnonzero(accuracies < at):
            part = (errors[below] - np.exp(-at)) / (errors[below] - errors[above])
            line = energies[below] + part * (energies[above] - energies[below])
            best = min(best, (line, below, above))
    _, below, above = best
    if below == above:
        return float(costs[seed, above])
    part = (errors[below] - np.exp(-at)) / (errors[below] - errors[above])

    def mixed(ends: Any) -> float:
        return float((1 - part) * ends[below] + part * ends[above])

    # How much the cost falls with the error, relative to the mixture.
    slope = (energies[below] - energies[above]) / (errors[below] - errors[above])
    missing = np.exp(-level) - mixed(np.exp(-side.test[seed]))
    cost = math.log(mixed(np.exp(costs[seed])))
    return cost + slope / mixed(energies) * missing


@pytest.mark.parametrize("level_percent", [97.2, 98.2, 98.9])
def test_equals_a_naive_loop(level_percent: float) -> None:
    generator = np.random.default_rng(7)
    draws = Draws.of(SEEDS, BootstrapSettings(40))
    validation, test = generator.uniform(97, 99, (2, 5, 6))
    costs = generator.normal(size=(5, 6))
    side = SideNetworks.measured((), draws, validation, test)
    front = side.front(costs, level_percent)
    level = float(accuracy_axis(level_percent))
    readings = front.readings(costs)
    for division, first in enumerate(draws.first):
        for seed in range(5):
            others = ~first if first[seed] else first
            expected = naive_reading(side, costs, level, others, seed)
            assert readings[division, seed] == pytest.approx(expected)
    assert draws.shares.sum(axis=1) == pytest.approx(np.ones(40))
    assert np.isinf(front.drawn(costs)).tolist() == front.is_missed.tolist()
