"""Statistics, comparisons, break-even and training: closed forms and hand-worked numbers."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from spikejoule.energy import (
    AnalysisInputs,
    BaselineCounts,
    BootstrapSettings,
    EnergyAnalysis,
    EpochSpikes,
    HardwareProfile,
    OperationCounts,
    RecordedAccuracy,
    TrainingRecord,
    analyse,
    count_operations,
    energy_proxies,
    load_profiles,
    mean_operations,
    terms,
)
from spikejoule.energy.break_even import OperatingPoint, solve_break_even
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.estimates import Estimate
from spikejoule.energy.operations import Column
from spikejoule.energy.profiles import Price
from spikejoule.energy.statistics import count_statistics
from spikejoule.energy.summary import energy_text, joules, verdict_lines
from spikejoule.energy.tables import COLUMNS, EnergyMetrics, energy_rows, headline
from spikejoule.energy.training_counts import count_training
from spikejoule.foundation.errors import ArtifactError
from spikejoule.measure.measurement import Measurement
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation
from spikejoule.spikes.encoders.poisson import Poisson
from spikejoule.spikes.events import EventList
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE

TRAINING = TrainingRecord(
    epochs=(EpochSpikes(1, 1, (5, 3, 2), 70.0), EpochSpikes(2, 1, (5, 3, 2), 90.0)),
    samples=2,
    spikes=(10, 6, 4),
    n_epochs=2,
    time_window=3,
    batch_size=1,
    weight_decay=True,
    clipping=True,
    best_epoch=2,
    best_validation_accuracy_percent=90.0,
)
SAMPLES = 4


def baseline(macs_dense: int, nonzero: list[int], name: str = "ReLU") -> BaselineCounts:
    return BaselineCounts(name, 95.0, macs_dense, np.array(nonzero, dtype=np.int64), 32)


def inputs(
    baselines: tuple[BaselineCounts, ...] = (),
    labels: list[int] | None = None,
    images: int = SAMPLES,
) -> AnalysisInputs:
    layers = tuple(EventList.from_dense([spikes] * images) for spikes in (INPUT, HIDDEN, OUTPUT))
    means = {"input": 5.0, "hidden": 3.0, "output": 2.0}
    return AnalysisInputs(
        title="by hand",
        architecture=ARCHITECTURE,
        encoder=Poisson(time_window=3, max_rate=80.0),
        accuracy=RecordedAccuracy(90.0, 85.0, 94.0),
        spikes_per_inference=means,
        proxies=energy_proxies(ARCHITECTURE, means, 3),
        operations=count_operations(Measurement.of(STATE, ARCHITECTURE, layers)),
        n_images=images,
        labels=None if labels is None else np.array(labels),
        baselines=baselines,
        training=TRAINING,
    )


def analysis(
    given: AnalysisInputs, profile: str = "45nm-fp32", extra: HardwareProfile | None = None
) -> EnergyAnalysis:
    profiles = load_profiles()
    if extra is not None:
        profiles[extra.id] = extra
    return analyse(given, profiles, profiles[profile], BootstrapSettings(200))


def comparisons(result: EnergyAnalysis) -> dict[str, Comparison]:
    return {item.method: item for item in result.chosen_inference.comparisons}


class TestStatistics:
    def counts(self, images: int = 4000) -> np.ndarray:
        generator = np.random.default_rng(3)
        first = generator.poisson(900, images)
        return np.stack([first, 2 * first + generator.poisson(50, images), 0 * first + 7], axis=1)

    def test_mean_and_deviation_are_those_of_the_sums(self) -> None:
        counts, prices = self.counts(), np.array([0.9, 3.7, 11.0])
        found = count_statistics(counts, BootstrapSettings()).estimate(prices)
        energies = counts @ prices
        assert found.mean == pytest.approx(energies.mean(), rel=1e-13)
        assert found.standard_deviation == pytest.approx(energies.std(ddof=1), rel=1e-10)

    def test_the_interval_is_the_normal_one_for_many_images(self) -> None:
        counts, prices = self.counts(), np.array([1.0, 0.0, 0.0])
        found = count_statistics(counts, BootstrapSettings(4000)).estimate(prices)
        error = counts[:, 0].std(ddof=1) / math.sqrt(len(counts))
        assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.1 * error)
        assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.1 * error)

    def test_the_same_seed_and_no_other_gives_the_same_interval(self) -> None:
        counts, prices = self.counts(300), np.ones(3)
        one, again, other = (
            count_statistics(counts, BootstrapSettings(500, 0.95, seed)).estimate(prices)
            for seed in (1, 1, 2)
        )
        assert one == again
        assert one.low != other.low

    def test_blocks_of_draws_make_no_difference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counts = self.counts(50)
        whole = count_statistics(counts, BootstrapSettings(300)).resampled
        monkeypatch.setattr("spikejoule.energy.statistics._DRAWS_AT_ONCE", 1000)
        parts = count_statistics(counts, BootstrapSettings(300)).resampled
        assert whole is not None
        np.testing.assert_array_equal(whole, parts)

    def test_every_resample_is_a_mean_of_images(self) -> None:
        counts = np.array([[0, 10], [1, 20]], dtype=np.int64)
        resampled = count_statistics(counts, BootstrapSettings(300)).resampled
        assert resampled is not None
        assert {tuple(row) for row in resampled.tolist()} == {(0, 10), (0.5, 15), (1, 20)}

    def test_counts_that_never_vary_have_no_spread(self) -> None:
        found = count_statistics(np.full((9, 1), 7), BootstrapSettings(100)).column(0)
        assert (found.mean, found.standard_deviation, found.low, found.high) == (7, 0, 7, 7)

    def test_one_image(self) -> None:
        found = count_statistics(np.array([[3]]), BootstrapSettings(100)).column(0)
        assert found == Estimate(3, None, None, None)
        alone = analysis(inputs((baseline(10, [6]),), images=1))
        assert not alone.has_intervals
        assert "no interval" in verdict_lines(alone)[1]


class TestInference:
    def test_energies_of_the_network_by_hand(self) -> None:
        result = analysis(inputs())
        total = result.chosen_inference.total
        assert total.value is not None
        assert total.value.mean == pytest.approx(69.6, rel=1e-14)
        by_term = {
            (item.term, item.place): item.energy.value for item in result.chosen_inference.by_term
        }
        means = {key: value.mean for key, value in by_term.items() if value is not None}
        assert means == pytest.approx(
            {
                ("synaptic_event", "input_to_hidden"): 9.0,
                ("synaptic_event", "hidden_to_output"): 5.4,
                ("leak_multiplication", "hidden"): 22.2,
                ("leak_multiplication", "output"): 22.2,
                ("bias_addition", "hidden"): 5.4,
                ("bias_addition", "output"): 5.4,
            }
        )
        assert result.image_energy_pj == pytest.approx([69.6] * SAMPLES)

    def test_classes_are_their_images(self) -> None:
        given = inputs(labels=[1, 0, 1, 1])
        counts = given.operations
        assert isinstance(counts, OperationCounts)
        varied = counts.counts.copy()
        varied[1, 0] += 100  # the image of class 0 has 100 events more
        given = dataclasses.replace(given, operations=dataclasses.replace(counts, counts=varied))
        classes = analysis(given).chosen_inference.by_class
        assert [(item.label, item.n_images) for item in classes] == [(0, 1), (1, 3)]
        values = [item.energy.value for item in classes]
        assert [value.mean for value in values if value] == pytest.approx([159.6, 69.6])

    def test_brackets_have_ends_and_no_value(self) -> None:
        result = analysis(inputs(), "45nm-memory")
        total = result.chosen_inference.total
        assert total.value is None
        assert (total.lowest_pj, total.highest_pj) == (200.0, 47_200.0)
        assert result.image_energy_pj == pytest.approx([47_200.0] * SAMPLES)
        assert "energy_per_inference_pj" not in headline(result)
        assert headline(result)["energy_per_inference_low_pj"] == 200.0


class TestComparison:
    def test_ratios_and_verdicts_by_hand(self) -> None:
        result = analysis(inputs((baseline(100, [10, 20, 10, 20]),)))
        found = comparisons(result)
        assert found["dense"].ratio.value == pytest.approx(69.6 / 460)
        assert found["dense"].verdict == "snn"
        assert found["zero_skipping"].macs.mean == 15
        assert found["zero_skipping"].ratio.value == pytest.approx(69.6 / 69)
        assert found["zero_skipping"].ratio.low == pytest.approx(69.6 / 92)
        assert found["zero_skipping"].ratio.high == pytest.approx(69.6 / 46)
        assert found["zero_skipping"].verdict == "undecided"
        assert result.chosen_inference.wins == "undecided"

    def test_a_lost_comparison_is_said_first(self) -> None:
        result = analysis(inputs((baseline(10, [6] * 4),)))
        assert result.chosen_inference.wins == "ann"
        assert verdict_lines(result)[0].startswith(
            "Some baseline needs less energy under 45nm-fp32"
        )
        assert any("THE SPIKING NETWORK NEEDS MORE" in line for line in verdict_lines(result))

    def test_a_narrow_rival_is_told_at_the_price_of_its_own_width(self) -> None:
        wide = baseline(100, [10] * 4)
        narrow = dataclasses.replace(baseline(100, [10] * 4, "quantised"), bits=6)
        said = " ".join(verdict_lines(analysis(inputs((wide, narrow)))))
        # 10 MACs of 0.23 pJ
        assert "quantised, zero-skipping (6 bits) would need 2.3 pJ (45nm-int8)" in said
        assert "would need" not in " ".join(verdict_lines(analysis(inputs((wide,)))))
        assert "would need" not in " ".join(
            verdict_lines(analysis(inputs((wide, narrow)), "45nm-int8"))
        )

    def test_images_are_paired(self) -> None:
        # Where the MACs are in proportion to the energy of each image, the ratio has no spread.
        given = inputs(images=6)
        counts = given.operations
        assert isinstance(counts, OperationCounts)
        events = np.array([10, 20, 30, 40, 50, 60])
        varied = np.zeros_like(counts.counts)
        varied[:, 0] = events
        given = dataclasses.replace(
            given,
            operations=dataclasses.replace(counts, counts=varied),
            baselines=(baseline(1000, (2 * events).tolist()),),
        )
        ratio = comparisons(analysis(given))["zero_skipping"].ratio
        assert ratio.value == pytest.approx(0.9 / 9.2)
        assert (ratio.low, ratio.high) == pytest.approx((0.9 / 9.2, 0.9 / 9.2))

    def test_a_chip_without_a_mac_has_none(self) -> None:
        result = analysis(inputs((baseline(10, [6] * 4),)), "loihi-1")
        assert result.chosen_inference.comparisons == ()
        assert result.chosen_inference.wins is None

    def test_brackets_widen_the_ratio(self) -> None:
        profile = HardwareProfile(
            "b", "b", "b", 2020, "doi:10.1/1", "arithmetic", "estimate",
            {"mac": Price(1.0, None, 2.0), "addition": Price(1.0, 1.0, 4.0)},
        )  # fmt: skip
        found = comparisons(analysis(inputs((baseline(28, [28] * 4),)), "b", profile))["dense"]
        # 16 events and 12 biases, the leak has no price: 28 to 112 pJ over 28 to 56 pJ
        assert found.ratio.value is None
        assert (found.ratio.low, found.ratio.high) == (0.5, 4.0)
        assert found.verdict == "undecided"
        assert found.break_even is None

    def test_too_few_images_of_a_baseline(self) -> None:
        with pytest.raises(ArtifactError, match=r"counted on 3 test images, but the network on 4"):
            analysis(inputs((baseline(10, [6] * 3),)))

    def test_more_images_of_a_baseline_are_left_out(self) -> None:
        found = comparisons(analysis(inputs((baseline(10, [6, 6, 6, 6, 0, 0]),))))
        assert found["zero_skipping"].macs.mean == 6


class TestBreakEven:
    def test_limits_by_hand(self) -> None:
        limits = comparisons(analysis(inputs((baseline(100, [50] * 4),))))["dense"].break_even
        assert limits is not None
        # 460 pJ against 14.4 pJ of events and 55.2 pJ of leaks and biases, at 5/3 spikes an input
        factor = (460 - 55.2) / 14.4
        assert limits.spikes_per_input == pytest.approx(5 / 3 * factor)
        assert limits.max_rate_hz == pytest.approx(80 * factor)
        assert limits.time_window == pytest.approx(3 * 460 / 69.6)
        assert limits.compute_only_spikes_per_input == pytest.approx(4.6 / 0.9)

    def test_at_the_limit_the_energies_are_equal(self) -> None:
        limits = comparisons(analysis(inputs((baseline(100, [50] * 4),))))["dense"].break_even
        assert limits is not None
        assert limits.spikes_per_input is not None
        x, y = limits.curve_spikes_per_input, limits.curve_snn_pj
        assert x[0] < limits.measured_spikes_per_input < limits.spikes_per_input < x[-1]
        assert np.interp(limits.spikes_per_input, x, y) == pytest.approx(limits.ann_pj)
        assert np.interp(limits.measured_spikes_per_input, x, y) == pytest.approx(69.6)

    def test_an_active_update_takes_the_place_of_an_inactive_one(self) -> None:
        """10 events, 2 active, 4 inactive updates; three times the spikes leave none inactive."""
        places = ((terms.SYNAPTIC_EVENT, "input_to_hidden"),)
        places += ((terms.NEURON_UPDATE_ACTIVE, "hidden"), (terms.NEURON_UPDATE_INACTIVE, "hidden"))
        columns = [Column(*place) for place in places]
        prices = np.array([1.0, 5.0, 3.0])
        baseline_pj = float(np.array([30.0, 6.0, 0.0]) @ prices)
        operation = OperatingPoint(n_input=5, time_window=3, max_rate_hz=80, input_spikes=10)
        means = np.array([10.0, 2.0, 4.0])
        limits = solve_break_even(means, columns, prices, baseline_pj, 1.0, operation)
        assert limits is not None
        assert limits.spikes_per_input == pytest.approx(3 * 10 / 5)

    @pytest.mark.parametrize(
        ("means", "step_price", "baseline_pj", "window"),
        [
            # 10 pJ of spikes, and 4 of steps over a window of 3
            ([10.0, 4.0], 1.0, 18.0, 3 * (18 - 10) / 4),
            ([10.0, 4.0], 1.0, 9.0, None),  # the spikes alone cost more
            ([10.0, 4.0], 0.0, 18.0, None),  # steps cost nothing
        ],
    )
    def test_the_window_of_a_code_without_a_rate(
        self, means: list[float], step_price: float, baseline_pj: float, window: float | None
    ) -> None:
        """More steps bring no more spikes."""
        columns = [
            Column(terms.SYNAPTIC_EVENT, "input_to_hidden"),
            Column(terms.LEAK_MULTIPLICATION, "hidden"),
        ]
        operation = OperatingPoint(n_input=5, time_window=3, max_rate_hz=None, input_spikes=10)
        limits = solve_break_even(
            np.array(means), columns, np.array([1.0, step_price]), baseline_pj, 1.0, operation
        )
        assert limits is not None
        assert limits.max_rate_hz is None
        assert limits.time_window == (window if window is None else pytest.approx(window))

    def test_no_rate_wins_if_updates_alone_cost_more(self) -> None:
        limits = comparisons(analysis(inputs((baseline(10, [6] * 4),))))["dense"].break_even
        assert limits is not None
        assert limits.spikes_per_input is None
        assert limits.max_rate_hz is None
        assert limits.time_window == pytest.approx(3 * 46 / 69.6)

    @pytest.mark.parametrize(
        ("profile", "limit"),
        [("45nm-fp32", 5.11), ("45nm-fp16", 3.75), ("45nm-int8", 7.67), ("45nm-int32", 32.0)],
    )
    def test_compute_only_limits_of_the_literature(self, profile: str, limit: float) -> None:
        found = comparisons(analysis(inputs((baseline(100, [50] * 4),)), profile))["dense"]
        assert found.break_even is not None
        assert found.break_even.compute_only_spikes_per_input == pytest.approx(limit, abs=5e-3)

    def test_the_compute_only_limit_of_a_baseline_that_skips_zeros(self) -> None:
        found = comparisons(analysis(inputs((baseline(100, [20] * 4),))))["zero_skipping"]
        assert found.break_even is not None
        # A fifth of the MACs: a fifth of the spikes.
        assert found.break_even.compute_only_spikes_per_input == pytest.approx(4.6 / 0.9 / 5)

    def test_the_price_of_a_narrow_baseline_is_said(self) -> None:
        said = " ".join(analysis(inputs()).assumptions)
        assert "narrow activations save nothing" in said
        assert "comparison with the threshold" in said
        assert "although its weights have 32" in said

    def test_the_widths_of_a_network_of_integers_are_said(self) -> None:
        integers = Quantisation(weight_bits=4, state_bits=16, exponents=(3, 3))
        architecture = dataclasses.replace(ARCHITECTURE, quantisation=integers)
        given = dataclasses.replace(inputs(), architecture=architecture)
        said = analysis(given).assumptions
        assert "reads one weight of 4 bits; every potential, of 16 bits" in " ".join(said)
        assert "weights of 4 bits, potentials of 16" in " ".join(said)
        assert "have 32" not in " ".join(said)
        assert len(said) == len(analysis(inputs()).assumptions)


class TestTraining:
    def test_counts_by_hand(self) -> None:
        training = analysis(inputs()).training
        assert training is not None
        counts = {(item.phase, item.term, item.place): item.count for item in training.terms}
        # two epochs of one sample of the network by hand; 14 parameters, two steps
        expected = {
            ("forward", "synaptic_event", "input_to_hidden"): 20,
            ("forward", "leak_multiplication", "output"): 12,
            ("backward", "gradient_accumulation", "input_to_hidden"): 20,
            ("backward", "gradient_accumulation", "hidden_to_output"): 12,
            ("backward", "bias_gradient_accumulation", "hidden"): 12,
            ("backward", "backpropagation_mac", "hidden_to_output"): 24,
            ("backward", "delta_multiplication", "hidden"): 24,
            ("backward", "delta_addition", "output"): 12,
            ("backward", "surrogate_evaluation", "output"): 12,
            ("optimizer", "optimizer_multiplication", "parameters"): 2 * 14 * 9,
            ("optimizer", "optimizer_addition", "parameters"): 2 * 14 * 6,
            ("optimizer", "optimizer_division", "parameters"): 2 * 14 * 3,
            ("optimizer", "optimizer_root", "parameters"): 2 * 14,
        }
        assert {key: counts[key] for key in expected} == expected
        assert not any(place == "input_to_hidden" for _, term, place in counts if "mac" in term)
        assert (training.samples, training.optimizer_steps) == (2, 2)

    def test_energies_by_hand(self) -> None:
        training = analysis(inputs()).chosen_training
        assert training is not None
        first, second = training.epochs
        phases = {name: amount.value_pj for name, amount in first.by_phase.items()}
        backward = 16 * 0.9 + 12 * 0.9 + 12 * 4.6 + 24 * 3.7 + 12 * 0.9
        optimizer = 126 * 3.7 + 84 * 0.9
        assert phases == pytest.approx(
            {"forward": 69.6, "backward": backward, "optimizer": optimizer}
        )
        epoch = 69.6 + backward + optimizer
        assert first.cumulative.value_pj == pytest.approx(epoch)
        assert second.cumulative.value_pj == pytest.approx(2 * epoch)
        assert training.total.value_pj == pytest.approx(2 * epoch)
        assert training.per_percentage_point is not None
        # of two classes, guessing gets 50 %
        assert training.per_percentage_point.value_pj == pytest.approx(2 * epoch / 40)
        assert training.inferences_of_the_same_energy == pytest.approx(2 * epoch / 69.6)

    def test_a_teacher_costs_its_forward_passes(self) -> None:
        taught = dataclasses.replace(
            TRAINING,
            epochs=tuple(
                dataclasses.replace(epoch, teacher_macs=100, teacher_macs_nonzero=30)
                for epoch in TRAINING.epochs
            ),
        )
        with_one = analysis(dataclasses.replace(inputs(), training=taught))
        without = analysis(inputs())
        training, before = with_one.training, without.training
        assert training is not None
        assert before is not None
        added = set(training.terms) - set(before.terms)
        assert [(item.phase, item.term, item.place, item.count) for item in added] == [
            ("forward", "teacher_mac", "teacher", 200)
        ]
        for amount, other in zip(training.profiles, before.profiles, strict=True):
            mac = amount.profile.price_of("mac")
            extra = 0 if mac is None or mac.value_pj is None else 200 * mac.value_pj
            assert amount.total.high_pj - other.total.high_pj == pytest.approx(extra, abs=1e-3)
        assert "200 multiply-accumulates, of which 60 would be left" in training.assumptions[-1]
        assert training.assumptions[:-1] == before.assumptions
        assert len(list(energy_rows(with_one))) == len(list(energy_rows(without))) + len(
            training.profiles
        )

    def test_a_saving_pays_for_it(self) -> None:
        training = analysis(inputs((baseline(100, [10] * 4),))).chosen_training
        assert training is not None
        assert training.total.value_pj is not None
        saving = 460 - 69.6
        assert training.inferences_to_amortise == {
            "ReLU, dense": pytest.approx(training.total.value_pj / saving),
            "ReLU, zero-skipping": None,
        }

    def test_chips_price_the_forward_pass_alone(self) -> None:
        training = analysis(inputs(), "truenorth").chosen_training
        assert training is not None
        assert training.by_phase["forward"].value_pj == 32 * 26
        assert training.by_phase["backward"].value_pj == 0
        assert "gradient_accumulation" in training.unpriced
        assert "optimizer_addition" in training.unpriced
        assert "leak_multiplication" in training.covered

    def test_terms_add_up_to_phases_and_phases_to_the_total(self) -> None:
        result = analysis(inputs())
        assert result.training is not None
        for training in result.training.profiles:
            for end in ("low_pj", "high_pj"):
                terms = sum(getattr(amount, end) for _, amount in training.by_term)
                phases = sum(getattr(amount, end) for amount in training.by_phase.values())
                assert terms == pytest.approx(phases) == pytest.approx(getattr(training.total, end))

    @pytest.mark.parametrize(("changes", "operations"), [
        ({"weight_decay": False}, (8, 5)), ({"clipping": False}, (7, 5)),
    ])  # fmt: skip
    def test_what_is_switched_off_is_not_counted(
        self, changes: dict[str, bool], operations: tuple[int, int]
    ) -> None:
        record = dataclasses.replace(TRAINING, **changes)  # type: ignore[arg-type]
        training = analysis(dataclasses.replace(inputs(), training=record)).training
        assert training is not None
        counts = {item.term: item.count for item in training.terms if item.phase == "optimizer"}
        assert counts["optimizer_multiplication"] == 28 * operations[0]
        assert counts["optimizer_addition"] == 28 * operations[1]

    def test_without_epochs_the_totals_are_the_same(self) -> None:
        whole = analysis(inputs()).chosen_training
        record = dataclasses.replace(TRAINING, epochs=())
        parts = analysis(dataclasses.replace(inputs(), training=record)).chosen_training
        assert whole is not None
        assert parts is not None
        assert parts.epochs == ()
        assert parts.total == whole.total
        assert parts.by_term == whole.by_term

    def test_the_last_batch_may_be_smaller(self) -> None:
        record = dataclasses.replace(TRAINING, samples=210, n_epochs=2, batch_size=50)
        assert record.optimizer_steps == 2 * 3


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
        assert result.image_energy_pj is None
        ratio = comparisons(result)["zero_skipping"].ratio
        assert ratio.low == ratio.high == pytest.approx(69.6 / 69)
        assert "no interval" in energy_text("T", result)


class TestOtherNeurons:
    @pytest.mark.parametrize(
        ("neuron", "expected"),
        [
            # twelve updates of the hidden layer in two epochs; 14 parameters with biases
            ({}, {"bias": 12, "multiplications": 24, "additions": 12, "roots": 28}),
            (
                {"decay": 1.0, "bias": False},
                {"bias": 0, "multiplications": 12, "additions": 12, "roots": 20},
            ),
            (
                {"decay": (1.0, 0.5), "learned": "threshold"},
                {"bias": 12, "multiplications": 24, "additions": 24, "roots": 32},
            ),
            (
                {"learned": "both"},
                {"bias": 12, "multiplications": 48, "additions": 36, "roots": 36},
            ),
        ],
    )
    def test_training_counts_what_they_do(
        self, neuron: dict[str, Any], expected: dict[str, int]
    ) -> None:
        architecture = dataclasses.replace(ARCHITECTURE, neuron=LeakyIntegrateAndFire(**neuron))
        counted = count_training(TRAINING, architecture)
        places = {
            (column.phase, column.column.term, column.column.place): place
            for place, column in enumerate(counted.columns)
        }
        found = {
            name: counted.counts[:, places[key]].sum()
            for name, key in {
                "bias": ("backward", "bias_gradient_accumulation", "hidden"),
                "multiplications": ("backward", "delta_multiplication", "hidden"),
                "additions": ("backward", "delta_addition", "hidden"),
                "roots": ("optimizer", "optimizer_root", "parameters"),
            }.items()
        }
        assert found == expected


class TestTables:
    def test_the_headline_is_a_handful_of_numbers(self) -> None:
        numbers = headline(analysis(inputs((baseline(100, [10, 20, 10, 20]),))))
        assert numbers["profile"] == "45nm-fp32"
        assert numbers["energy_per_inference_pj"] == pytest.approx(69.6)
        assert numbers["ratio_to_dense_ann"] == pytest.approx(69.6 / 460)
        assert numbers["ratio_to_zero_skipping_ann"] == pytest.approx(69.6 / 69)
        assert numbers["synaptic_events_per_inference"] == 16.0
        assert numbers["dense_operations_per_inference"] == 30
        assert numbers["training_energy_mj"] == pytest.approx(2 * 791.4e-9)
        assert len(numbers) < 20

    def test_neuron_updates(self) -> None:
        with_biases = inputs()
        numbers = headline(analysis(with_biases))
        assert numbers["neuron_updates_per_inference"] == 3 * 4
        assert numbers["neuron_updates_lazy_per_inference"] == 3 * 4
        told = energy_text("by hand", analysis(with_biases))
        assert "12, on event-driven hardware as many, since every neuron has a bias" in told
        architecture = dataclasses.replace(ARCHITECTURE, neuron=LeakyIntegrateAndFire(bias=False))
        layers = tuple(EventList.from_dense([spikes]) for spikes in (INPUT, HIDDEN, OUTPUT))
        measured = Measurement.of(STATE, architecture, layers)
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
        for profile in load_profiles():
            own = [
                row
                for row in rows
                if row["profile"] == profile
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
            ("ReLU, dense", 100.0), ("ReLU, zero-skipping", 10.0),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("energy_pj", "text"),
        [(0.0, "0 pJ"), (3.24, "3.24 pJ"), (69_600, "69.6 nJ"), (2.5e9, "2.5 mJ"), (4e12, "4 J")],
    )
    def test_units(self, energy_pj: float, text: str) -> None:
        assert joules(energy_pj) == text


class TestBaselineCounts:
    @pytest.mark.parametrize(("macs_dense", "nonzero"), [(10, []), (10, [11]), (10, [-1])])
    def test_impossible_counts(self, macs_dense: int, nonzero: list[int]) -> None:
        with pytest.raises(ValueError, match="macs_nonzero"):
            baseline(macs_dense, nonzero)


def test_counted_training_events_take_the_place_of_spikes_times_fan_out() -> None:
    counted = dataclasses.replace(
        TRAINING,
        pruned=True,
        epochs=tuple(
            dataclasses.replace(epoch, synaptic_events=(7, 4)) for epoch in TRAINING.epochs
        ),
    )
    assert not counted.fewer_events
    assert dataclasses.replace(TRAINING, pruned=True).fewer_events
    counts = count_training(counted, ARCHITECTURE)
    events = [
        counts.counts[0, place]
        for place, column in enumerate(counts.columns)
        if column.column.term in (terms.SYNAPTIC_EVENT, terms.GRADIENT_ACCUMULATION)
    ]
    assert events == [7, 4, 7, 4]
