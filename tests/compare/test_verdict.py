"""Verdicts at equal accuracy: closed forms."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.compare.comparison import Comparison, front_verdicts, outcome_of
from spikejoule.compare.front import Side, cheapest_reaching, read_front
from spikejoule.compare.outputs import headline
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import (
    Ledger,
    SideName,
    Variant,
    baseline_variants,
    spiking_variant,
)
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import HardwareProfile
from spikejoule.evaluation.runs import (
    EARLY_EXIT,
    WHOLE_WINDOW,
    counted_runs,
    method_of,
)
from spikejoule.report.statements import answer
from tests.energy.by_hand import analysis, baseline, inputs, measured, profile

SETTINGS = BootstrapSettings(300)
PLAIN = profile({"mac": 1, "addition": 1})


def variant(
    side: SideName,
    counts: Sequence[int],
    validation: float | None = 98.0,
    bits: int = 32,
    network: str = "",
) -> Variant:
    """Return a network that takes as many pJ as counted under `PLAIN`."""
    term = "synaptic_event" if side == "spiking" else "mac"
    column = Column(term, "x", bits)
    operations = OperationCounts((column,), np.array([counts]).T, 1)
    return Variant(
        side=side,
        network=network or side,
        method="way",
        weight_bits=bits,
        operations=operations,
        validation_percent=validation,
        test_percent=None if validation is None else 97.5,
    )


def judged(
    variants: Sequence[Variant],
    level: float = 98.0,
    under: HardwareProfile = PLAIN,
    settings: BootstrapSettings = SETTINGS,
    published: Sequence[Side] = (),
) -> Comparison:
    """Compare the first network, a spiking one, with the front of the others."""
    ledger = Ledger.of(variants, [under], settings)
    (verdict,) = front_verdicts(ledger, 0, level, {under.id: published})
    return verdict


def cheapest(
    variants: Sequence[Variant],
    profiles: dict[str, HardwareProfile],
    level: float = 97.0,
) -> list[Comparison]:
    """Compare every spiking network with the cheapest that reaches a level."""
    ledger = Ledger.of(variants, profiles.values(), SETTINGS)
    verdicts: list[Comparison] = []
    for number, network in enumerate(variants):
        if network.side == "spiking":
            verdicts += front_verdicts(ledger, number, level, {}, cheapest_reaching)
    return verdicts


def networks(found: Comparison) -> tuple[str, ...]:
    """Return the names of both networks."""
    return found.spiking.network, found.conventional.network


def ends(found: Comparison) -> tuple[float | None, ...]:
    return found.ratio_low, found.ratio, found.ratio_high


def point(percent: float, pj: float, name: str = "published") -> Side:
    return Side(
        network=name,
        method="way",
        validation_percent=percent,
        test_percent=percent - 0.1,
        energy=Energy(pj, pj, pj),
        drawn_pj=np.array([[pj], [pj], [pj]]),
        n_seeds=5,
    )


class TestFront:
    """Networks of 4 pJ at 97.5 % and 7 pJ at 98 %, and two off the front."""

    OTHERS = (
        variant("conventional", [7] * 3, 98.0, network="d"),
        variant("conventional", [4] * 3, 97.5, network="e"),
        variant("conventional", [8] * 3, 97.9, network="expensive"),
        variant("conventional", [1] * 3, None, network="unknown"),
    )

    @pytest.mark.parametrize(
        ("level", "own", "ratio", "bound", "outcome"),
        [
            (97.5, 5, 5 / 4, "", "ann"),
            # Half of the images go to each network.
            (97.75, 5, 5 / ((4 + 7) / 2), "", "snn"),
            (98.0, 7, 1.0, "", "undecided"),
            # The front starts above this accuracy, where it may be cheaper.
            (97.0, 5, 5 / 4, "at least", "ann"),
            (97.0, 1, 1 / 4, "at least", "undecided"),
            # The front ends below this accuracy, where it may cost more.
            (98.5, 5, 5 / 7, "at most", "snn"),
            (98.5, 9, 9 / 7, "at most", "undecided"),
        ],
    )
    def test_is_read_at_the_accuracy(
        self, level: float, own: int, ratio: float, bound: str, outcome: str
    ) -> None:
        verdict = judged([variant("spiking", [own] * 3), *self.OTHERS], level)
        assert ends(verdict) == (pytest.approx(ratio),) * 3
        assert (verdict.ratio_bound, verdict.outcome) == (bound, outcome)
        assert verdict.conventional.network != "unknown"
        assert (verdict.conventional.below is not None) == (level == 97.75)

    def test_published_networks_replace_those_of_the_run(self) -> None:
        published = [point(97.0, 2.0), point(99.0, 8.0)]
        verdict = judged(
            [variant("spiking", [5] * 3), *self.OTHERS], published=published
        )
        assert ends(verdict) == (pytest.approx(1),) * 3
        assert verdict.conventional.n_seeds == 5

    @given(
        st.lists(
            st.tuples(st.integers(9000, 9999), st.integers(1, 10**6)),
            min_size=2,
            max_size=8,
        ),
        st.floats(89.0, 101.0),
    )
    def test_equals_a_plain_loop_and_never_jumps(
        self, networks: list[tuple[int, int]], level: float
    ) -> None:
        points = [point(percent / 100, float(pj)) for percent, pj in networks]
        reading = read_front(points, level)
        percents, energies_pj = zip(*naive_front(networks), strict=True)
        expected = np.interp(level, percents, energies_pj)
        assert reading.energy.value_pj == pytest.approx(expected, rel=1e-9)
        bound = ""
        if level < percents[0]:
            bound = "at most"
        elif level > percents[-1]:
            bound = "at least"
        assert reading.bound == bound


def naive_front(networks: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Return accuracy and energy of every network that no other beats."""
    return sorted(
        {
            (percent / 100, float(pj))
            for percent, pj in networks
            if not any(
                (other >= percent and cost < pj) or (other > percent and cost <= pj)
                for other, cost in networks
            )
        }
    )


def test_arithmetic_price_lists_judge_only_their_own_width() -> None:
    everyone = [
        variant("spiking", [1, 1], network="float"),
        variant("spiking", [5, 5], bits=8, network="of 8 bits"),
        variant("conventional", [2, 2], network="ReLU"),
        variant("conventional", [6, 6], bits=8, network="ReLU of 8 bits"),
        variant("conventional", [3, 3], bits=4, network="ReLU of 4 bits"),
    ]
    for numbers, expected in {
        "any": [("float", "ReLU"), ("of 8 bits", "ReLU")],
        "float32": [("float", "ReLU")],
        "int8": [("of 8 bits", "ReLU of 8 bits")],
    }.items():
        under = PLAIN.model_copy(update={"numbers": numbers})
        assert [
            networks(verdict) for verdict in cheapest(everyone, {"p": under})
        ] == expected


@pytest.mark.parametrize("term", ["synaptic_event", "mac"])
def test_a_price_list_that_prices_only_one_side_judges_nothing(term: str) -> None:
    """An unpriced network must not win with an energy of zero."""
    everyone = [variant("spiking", [1, 1]), variant("conventional", [2, 2])]
    one_sided = profile({term: 1.0}, "system")
    assert cheapest(everyone, {one_sided.id: one_sided}) == []


class TestInterval:
    def test_is_that_of_a_paired_ratio_of_means(self) -> None:
        generator = np.random.default_rng(4)
        events = generator.poisson(900, 300)
        macs = events + generator.poisson(90, 300)
        found = judged(
            [
                variant("spiking", events.tolist()),
                variant("conventional", macs.tolist()),
            ],
            settings=BootstrapSettings(3000),
        )
        low, ratio, high = ends(found)
        assert ratio == pytest.approx(events.mean() / macs.mean())
        # The delta method for paired samples.
        residual = events - ratio * macs
        error = residual.std(ddof=1) / macs.mean() / np.sqrt(300)
        assert low == pytest.approx(ratio - 1.96 * error, abs=0.15 * error)
        assert high == pytest.approx(ratio + 1.96 * error, abs=0.15 * error)
        assert found.outcome == "snn"


class TestNoVerdict:
    """Without a verdict, the reason is stated and no ratio is given."""

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"baselines": ()}, "no conventional network to compare with"),
            ({"not_counted": ("linear (a function)",)}, "linear (a function)"),
            (
                {"percents": (None, 90.0)},
                "validation accuracy is not recorded",
            ),
            ({"percents": (0.0, 0.0)}, "no better than guessing (50.00 %)"),
            # 3 of the 4 samples have one class: always naming it is 75 % correct.
            (
                {"percents": (75.0, 75.0), "labels": np.array([0, 0, 0, 1])},
                "no better than guessing (75.00 %)",
            ),
        ],
    )
    def test_where_something_is_missing(
        self, changes: dict[str, Any], words: str
    ) -> None:
        network = inputs((baseline(10, [6] * 4),))
        validation, test = changes.pop("percents", (88.0, 90.0))
        known = replace(
            network.variant, validation_percent=validation, test_percent=test
        )
        changes["variants"] = (known,)
        found = analysis(replace(network, **changes))
        assert words in answer(found)[0]
        assert found.verdict is None
        assert "ratio" not in headline(found)


def test_an_end_that_rounds_to_one_decides_nothing() -> None:
    assert outcome_of(0.4, 1 - 1e-8) == "snn"
    assert outcome_of(0.4, 1 - 1e-12) == "undecided"


def counted_networks() -> tuple[Variant, ...]:
    """Return spiking networks, one with early exit, and two conventional ones."""
    images = np.array([[255, 0, 9], [0, 0, 0], [1, 2, 3]], dtype=np.uint8)
    encoder = Poisson(time_window=3, max_rate=80.0)
    exits = np.array([1, 2, 3])
    relu = baseline(10, [1, 2, 3])
    quantised = baseline(7, [3, 3, 3], "8 bits", weight_bits=8)
    runs = counted_runs(measured(3, pruned=True), encoder, images, exits)
    percents = {WHOLE_WINDOW: 98.0, EARLY_EXIT: 97.5}
    ours = [
        replace(
            spiking_variant(run),
            network="ours",
            validation_percent=percents[method_of(run)],
            test_percent=percents[method_of(run)] - 0.1,
        )
        for run in runs
    ]
    unknown = [
        replace(spiking_variant(run), network="unknown")
        for run in counted_runs(measured(3), encoder, None)
    ]
    conventional = [
        replace(variant, weights_sha256=64 * "0")
        for variant in baseline_variants((relu, quantised), 3)
    ]
    return (*ours, *unknown, *conventional)
