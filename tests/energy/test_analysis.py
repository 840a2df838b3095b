"""The analysis: statistics, what it selects from the ledger, its tables; hand-worked numbers."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.energy.ledger import Ledger, spiking_variants
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.outputs import COLUMNS, energy_rows, headline
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests.energy.by_hand import analysis, baseline, comparisons, inputs, measured, profile, variant
from tests.tools.tiny_network import NETWORK, STATE

TERMS = ("mac", "addition", "multiplication")


def spread(counts: NDArray[np.int64], settings: BootstrapSettings, *prices: float) -> list[Any]:
    """Mean, standard deviation and interval of the sum of columns under prices."""
    columns = tuple(Column(term, "x") for term in TERMS[: len(prices)])
    under = profile(dict(zip(TERMS, prices, strict=False)))
    ledger = Ledger.of([variant(OperationCounts(columns, counts))], [under], settings)
    total = ledger.total(0, under.id)
    return [total.value_pj, *total.numbers[3:]]


ENCODER = Poisson(time_window=3, max_rate=80.0)


class TestStatistics:
    def test_are_those_of_the_sums_and_for_many_images_the_normal_ones(self) -> None:
        generator = np.random.default_rng(3)
        first = generator.poisson(900, 4000)
        counts = np.stack([first, 2 * first + generator.poisson(50, 4000), 0 * first + 7], axis=1)
        prices = (0.9, 3.7, 11.0)
        energies = counts @ prices
        mean, deviation, low, high = spread(counts, BootstrapSettings(4000), *prices)
        assert mean == pytest.approx(energies.mean(), rel=1e-13)
        assert deviation == pytest.approx(energies.std(ddof=1), rel=1e-10)
        error = energies.std(ddof=1) / math.sqrt(len(counts))
        assert low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
        assert high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)

    def test_counts_that_never_vary_have_no_spread_and_one_image_has_none(self) -> None:
        assert spread(np.full((9, 1), 7), BootstrapSettings(100), 1) == [7, 0, 7, 7]
        alone = analysis(inputs((baseline(10, [6]),), images=1))
        assert not alone.has_intervals
        assert "a mean, 1 images: no interval" in " ".join(alone.answer)


class TestInference:
    def test_classes_are_their_images(self) -> None:
        given = inputs(labels=[1, 0, 1, 1])
        counts = given.operations
        varied = counts.counts.copy()
        varied[1, 0] += 100  # the image of class 0 has 100 events more
        assert counts.columns[0].term == "synaptic_event"
        operations = dataclasses.replace(counts, counts=varied)
        given = dataclasses.replace(given, variants=(variant(operations),))
        found = analysis(given)
        classes = found.classes
        assert [(row.label, found.n_images_of(row.label)) for row in classes] == [(0, 1), (1, 3)]
        assert [row.energy.value_pj for row in classes] == pytest.approx([159.6, 69.6])

    def test_means_of_squares_are_charged_to_every_baseline(self) -> None:
        """Those of the network itself are in its variants, as a checkpoint's are."""
        given = inputs((baseline(10, [6, 6, 6, 6]),))
        for side, expected in ((1, 0), (2, 4 * given.network.n_input)):
            found = analysis(dataclasses.replace(given, average_pixels=side))
            for one in found.ledger.variants:
                pixels = [
                    count
                    for column, count in zip(
                        one.operations.columns, one.operations.means, strict=True
                    )
                    if column.term == "code_addition" and column.place == "image"
                ]
                assert sum(pixels) == (expected if one.side == "conventional" else 0)

    def test_brackets_have_ends_and_no_value(self) -> None:
        result = analysis(inputs(), "45nm-memory")
        total = result.total()
        assert total.value_pj is None
        assert (total.lowest_pj, total.highest_pj) == (325.0, 79_700.0)
        assert "energy_nj" not in headline(result)
        assert headline(result)["energy_low_nj"] == 0.325


class TestComparison:
    def test_ratios_verdicts_and_headline_by_hand(self) -> None:
        result = analysis(inputs((baseline(100, [10, 20, 10, 20]),)))
        found = comparisons(result)
        # 100 products, or 15 of them, and 4 biases
        assert found["dense"].ratio == pytest.approx(69.6 / 463.6)
        assert found["dense"].outcome == "snn"
        skipping = found["zero-skipping"]
        assert skipping.ratio == pytest.approx(69.6 / 72.6)
        assert skipping.ratio_low == pytest.approx(69.6 / 95.6)
        assert skipping.ratio_high == pytest.approx(69.6 / 49.6)
        assert skipping.outcome == "undecided"
        numbers = headline(result)
        expected = {
            "profile": "45nm-fp32",
            "energy_nj": pytest.approx(0.0696),
            "arithmetic_nj": pytest.approx(0.0696),
            "equal_size_dense_ratio": pytest.approx(69.6 / 463.6),
            "equal_size_zero_skipping_ratio": pytest.approx(69.6 / 72.6),
            "ratio": pytest.approx(69.6 / 72.6),
            "ratio_bound": "at least",
            "conventional": "ReLU, zero-skipping",
            "synaptic_events_per_inference": 16.0,
            "dense_operations_per_inference": 30,
            "training_arithmetic_mj": pytest.approx(2 * 791.4e-9),
        }
        assert {name: numbers[name] for name in expected} == expected

    def test_a_baseline_of_another_size_is_compared_at_equal_accuracy_alone(self) -> None:
        other = baseline(100, [2] * 4, "small", equal_size=False)
        result = analysis(inputs((baseline(10, [6] * 4), other)))
        assert {one.conventional for one in result.of_chosen} == {
            "ReLU, dense", "ReLU, zero-skipping",
        }  # fmt: skip
        assert "small, zero-skipping" in " ".join(result.answer[:2])


class TestTables:
    def test_neuron_updates_where_no_bias_forces_them(self) -> None:
        given = inputs()
        assert given.neuron_updates == (3 * 4, 3 * 4)
        network = dataclasses.replace(NETWORK, neuron=LeakyIntegrateAndFire(bias=False))
        unbiased = Measurement(STATE, network, measured().layers)
        variants = spiking_variants("n", unbiased, ENCODER, None, None)
        given = dataclasses.replace(given, network=network, variants=variants)
        numbers = headline(analysis(given))
        lazy = numbers["neuron_updates_lazy_per_inference"]
        assert numbers["neuron_updates_per_inference"] == 12
        assert lazy == unbiased.lazy_updates.sum() <= 12

    def test_the_rows_add_up_under_every_profile(self) -> None:
        result = analysis(inputs((baseline(100, [10] * 4),), labels=[0, 0, 1, 1]))
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in energy_rows(result)]
        assert {row["profile"] for row in rows} == set(load_profiles())
        for name in load_profiles():
            of_network = (name, "snn", "inference")
            own = [
                row for row in rows if (row["profile"], row["network"], row["phase"]) == of_network
            ]
            (total,) = [row for row in own if row["term"] == "total" and row["class"] == ""]
            priced = [row for row in own if row["term"] != "total" and row["status"] == "priced"]
            for end in ("pj_low", "pj_high"):
                assert sum(row[end] for row in priced) == pytest.approx(total[end])
            assert sorted(row["class"] for row in own if row["class"] != "") == [0, 1]
