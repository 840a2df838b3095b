"""The analysis: statistics, what it selects from the ledger, its tables; hand-worked numbers."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    BootstrapSettings,
    count_operations,
    load_profiles,
    mean_operations,
)
from spikejoule.energy.estimates import Estimate, count_statistics, estimate_of, joules
from spikejoule.energy.prices import Price
from spikejoule.energy.tables import COLUMNS, EnergyMetrics, energy_rows, headline
from spikejoule.energy.words import energy_text, verdict_lines
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from tests.energy.by_hand import analysis, baseline, comparisons, inputs, profile
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE


def estimated(counts: NDArray[np.int64], settings: BootstrapSettings, *prices: float) -> Estimate:
    """The sum of columns under prices, with its spread."""
    (statistics,) = count_statistics([counts], settings)
    return estimate_of(statistics.spread(np.array([prices], dtype=float))[:, 0])


class TestStatistics:
    def counts(self, images: int = 4000) -> NDArray[np.int64]:
        generator = np.random.default_rng(3)
        first = generator.poisson(900, images)
        return np.stack([first, 2 * first + generator.poisson(50, images), 0 * first + 7], axis=1)

    def test_mean_and_deviation_are_those_of_the_sums(self) -> None:
        counts, prices = self.counts(), (0.9, 3.7, 11.0)
        found, energies = estimated(counts, BootstrapSettings(), *prices), counts @ prices
        assert found.mean == pytest.approx(energies.mean(), rel=1e-13)
        assert found.standard_deviation == pytest.approx(energies.std(ddof=1), rel=1e-10)

    def test_the_interval_is_the_normal_one_for_many_images(self) -> None:
        counts = self.counts()
        found = estimated(counts, BootstrapSettings(4000), 1, 0, 0)
        error = counts[:, 0].std(ddof=1) / math.sqrt(len(counts))
        assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.1 * error)
        assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.1 * error)

    def test_every_resample_is_a_mean_of_the_same_images_in_every_column(self) -> None:
        counts = np.array([[0, 10], [1, 20]], dtype=np.int64)
        (found,) = count_statistics([counts], BootstrapSettings(300))
        resampled = found.resampled_sums(np.eye(2)).T
        assert {tuple(row) for row in resampled.tolist()} == {(0, 10), (0.5, 15), (1, 20)}

    def test_counts_that_never_vary_have_no_spread(self) -> None:
        found = estimated(np.full((9, 1), 7), BootstrapSettings(100), 1)
        assert found == Estimate(7, 0, 7, 7)

    def test_one_image(self) -> None:
        assert estimated(np.array([[3]]), BootstrapSettings(100), 1) == Estimate(
            3, None, None, None
        )
        alone = analysis(inputs((baseline(10, [6]),), images=1))
        assert not alone.has_intervals
        assert "a mean, 1 images: no interval" in " ".join(verdict_lines(alone))


class TestInference:
    def test_classes_are_their_images(self) -> None:
        given = inputs(labels=[1, 0, 1, 1])
        counts = given.operations
        varied = counts.counts.copy()
        varied[1, 0] += 100  # the image of class 0 has 100 events more
        assert counts.columns[0].term == "synaptic_event"
        given = dataclasses.replace(given, operations=dataclasses.replace(counts, counts=varied))
        classes = analysis(given).chosen_inference.by_class
        assert [(item.label, item.n_images) for item in classes] == [(0, 1), (1, 3)]
        values = [item.energy.value for item in classes]
        assert [value.mean for value in values if value] == pytest.approx([159.6, 69.6])

    def test_brackets_have_ends_and_no_value(self) -> None:
        result = analysis(inputs(), "45nm-memory")
        total = result.chosen_inference.total
        assert total.value is None
        assert (total.lowest_pj, total.highest_pj) == (325.0, 79_700.0)
        assert "energy_per_inference_pj" not in headline(result)
        assert headline(result)["energy_per_inference_low_pj"] == 325.0


def test_totals_are_sums_of_the_long_table() -> None:
    result = analysis(inputs((baseline(100, [10, 20, 10, 20]),)))
    ledger = result.ledger
    n_rows = [len(one.operations.columns) for one in ledger.variants]
    assert ledger.price_pj.shape == (len(load_profiles()), 3, sum(n_rows))
    for place, entry in enumerate(result.inference):
        for variant, total in ((0, entry.total), *((1, one.ann) for one in entry.comparisons[:1])):
            own = ledger.variant == variant
            low, value, high = np.nansum(ledger.price_pj[place][:, own] * ledger.count[0, own], 1)
            assert (low, high) == pytest.approx((total.low.mean, total.high.mean))
            assert total.value is None or total.value.mean == pytest.approx(value)


class TestComparison:
    def test_ratios_and_verdicts_by_hand(self) -> None:
        result = analysis(inputs((baseline(100, [10, 20, 10, 20]),)))
        found = comparisons(result)
        # 100 products, or 15 of them, and 4 biases
        assert found["dense"].ratio.value == pytest.approx(69.6 / 463.6)
        assert found["dense"].verdict == "snn"
        skipping = found["zero-skipping"]
        assert skipping.macs == 15
        assert skipping.ratio.value == pytest.approx(69.6 / 72.6)
        assert skipping.ratio.low == pytest.approx(69.6 / 95.6)
        assert skipping.ratio.high == pytest.approx(69.6 / 49.6)
        assert skipping.verdict == "undecided"
        assert result.chosen_inference.wins == "undecided"

    def test_a_lost_comparison_is_said_first(self) -> None:
        result = analysis(inputs((baseline(10, [6] * 4),)))
        assert result.chosen_inference.wins == "ann"
        lines = verdict_lines(result)
        assert lines[0] == (
            "The spiking network loses at equal accuracy (88.00 % on validation images) under "
            "45nm-fp32: 69.6 pJ per inference, 2.23 (2.23 to 2.23) times the 31.2 pJ of ReLU, "
            "zero-skipping (95.00 % validation, 94.00 % test), the cheapest of at least that "
            "accuracy among 1 conventional network (of this run alone)."
        )
        assert any(line.startswith("Equal size, not accuracy: 1.4 ") for line in lines)

    def test_a_baseline_of_another_size_is_compared_at_equal_accuracy_alone(self) -> None:
        other = baseline(100, [2] * 4, "small", equal_size=False)
        result = analysis(inputs((baseline(10, [6] * 4), other)))
        assert {item.baseline.network for item in result.chosen_inference.comparisons} == {"ReLU"}
        assert result.equal_accuracy is not None
        assert result.equal_accuracy.name == "small, zero-skipping"
        assert "small, zero-skipping" in verdict_lines(result)[0]

    def test_brackets_widen_the_ratio(self) -> None:
        bracket = profile({"mac": Price(1.0, None, 2.0), "addition": Price(1.0, 1.0, 4.0)})
        found = comparisons(analysis(inputs((baseline(24, [24] * 4),)), "p", bracket))["dense"]
        # 16 events and 12 biases, the leak has no price: 28 to 112 pJ over 28 to 64 pJ
        assert found.ratio.value is None
        assert (found.ratio.low, found.ratio.high) == (28 / 64, 4.0)
        assert found.verdict == "undecided"
        assert found.break_even is None

    def test_too_few_images_of_a_baseline(self) -> None:
        with pytest.raises(ArtifactError, match=r"counted on 3 test images, but the network on 4"):
            analysis(inputs((baseline(10, [6] * 3),)))


class TestMeansAlone:
    def test_no_interval_is_invented(self) -> None:
        given = inputs((baseline(100, [10, 20, 10, 20]),))
        operations = mean_operations(given.spikes_per_inference, ARCHITECTURE, 3)
        result = analysis(dataclasses.replace(given, operations=operations, labels=None))
        total = result.chosen_inference.total
        assert total.value is not None
        assert (total.value.mean, total.value.low) == (pytest.approx(69.6), None)
        assert total.value.standard_deviation is None
        assert not result.has_intervals
        ratio = comparisons(result)["zero-skipping"].ratio
        assert ratio.low == ratio.high == pytest.approx(69.6 / 72.6)
        assert "no interval" in energy_text("T", result)


class TestTables:
    def test_the_headline_is_a_handful_of_numbers(self) -> None:
        numbers = headline(analysis(inputs((baseline(100, [10, 20, 10, 20]),))))
        assert numbers["profile"] == "45nm-fp32"
        assert numbers["energy_per_inference_pj"] == pytest.approx(69.6)
        assert numbers["ratio_to_dense_ann"] == pytest.approx(69.6 / 463.6)
        assert numbers["ratio_to_zero_skipping_ann"] == pytest.approx(69.6 / 72.6)
        assert numbers["equal_accuracy_ratio"] == pytest.approx(69.6 / 72.6)
        assert numbers["equal_accuracy_baseline"] == "ReLU, zero-skipping"
        EnergyMetrics.model_validate(numbers)
        assert numbers["synaptic_events_per_inference"] == 16.0
        assert numbers["dense_operations_per_inference"] == 30
        assert numbers["training_energy_mj"] == pytest.approx(2 * 791.4e-9)
        assert len(numbers) < 30

    def test_neuron_updates(self) -> None:
        with_biases = inputs()
        numbers = headline(analysis(with_biases))
        assert numbers["neuron_updates_per_inference"] == 3 * 4
        assert numbers["neuron_updates_lazy_per_inference"] == 3 * 4
        told = energy_text("by hand", analysis(with_biases))
        assert "12, on event-driven hardware as many, since every neuron has a bias" in told
        architecture = dataclasses.replace(ARCHITECTURE, neuron=LeakyIntegrateAndFire(bias=False))
        layers = tuple(EventList.from_dense([spikes]) for spikes in (INPUT, HIDDEN, OUTPUT))
        measured = Measurement(STATE, architecture, layers)
        given = dataclasses.replace(
            with_biases,
            architecture=architecture,
            operations=count_operations(measured),
            n_images=1,
        )
        numbers = headline(analysis(given))
        assert numbers["neuron_updates_per_inference"] == 3 * 4
        lazy = numbers["neuron_updates_lazy_per_inference"]
        assert lazy == measured.lazy_updates.sum() <= 12
        EnergyMetrics.model_validate(numbers)
        with pytest.raises(ValueError, match="no interval"):
            EnergyMetrics.model_validate({**numbers, "neuron_updates_lazy_per_inference": 12.5})
        told = energy_text("by hand", analysis(given))
        assert f"12, on event-driven hardware {lazy:,.1f}" in told
        spikes, proxies = given.spikes_per_inference, given.proxies
        events = [one.synaptic_events_per_inference for one in proxies.connections]
        of_means = mean_operations(spikes, architecture, 3, events)
        given = dataclasses.replace(given, operations=of_means)
        assert given.neuron_updates == (12, None)
        assert "12, on event-driven hardware not recorded" in given.updates_in_words

    def test_the_rows_add_up_and_name_everything(self) -> None:
        result = analysis(inputs((baseline(100, [10] * 4),), labels=[0, 0, 1, 1]))
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in energy_rows(result)]
        assert {row["profile"] for row in rows} == set(load_profiles())
        for name in load_profiles():
            own = [
                row
                for row in rows
                if row["profile"] == name
                and row["network"] == "snn"
                and row["phase"] == "inference"
            ]
            (total,) = [row for row in own if row["term"] == "total" and row["class"] == ""]
            priced = [row for row in own if row["term"] != "total" and row["status"] == "priced"]
            for end in ("pj_low", "pj_high"):
                assert sum(row[end] for row in priced) == pytest.approx(total[end])
            assert sorted(row["class"] for row in own if row["class"] != "") == [0, 1]
            for row in own:
                assert (row["status"] == "priced") == (row["pj_low"] != "")
        training = [row for row in rows if row["phase"] == "optimizer" and row["count"] != ""]
        assert {row["count"] for row in training if row["term"] == "optimizer_root"} == {28}
        macs = [row for row in rows if row["term"] == "mac"]
        assert {(row["network"], row["count"]) for row in macs} == {
            ("ReLU, dense", 96.0), ("ReLU, dense", 4.0),
            ("ReLU, zero-skipping", 10.0), ("ReLU, zero-skipping", 0.0),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("energy_pj", "text"),
        [(0.0, "0 pJ"), (3.24, "3.24 pJ"), (69_600, "69.6 nJ"), (2.5e9, "2.5 mJ"), (4e12, "4 J")],
    )
    def test_units(self, energy_pj: float, text: str) -> None:
        assert joules(energy_pj) == text
