"""The energy of training: hand-worked counts, and what they add up to."""

import dataclasses
from typing import Any

import pytest

from spikejoule.encoding.events import EventList
from spikejoule.energy import EpochSpikes, count_operations
from spikejoule.energy.counting import Column
from spikejoule.energy.tables import energy_rows
from spikejoule.energy.training import count_training
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from tests.energy.by_hand import TRAINING, analysis, baseline, inputs
from tests.tools.tiny_network import ARCHITECTURE, HIDDEN, INPUT, OUTPUT, STATE


class TestTraining:
    def test_counts_by_hand(self) -> None:
        training = analysis(inputs()).training
        assert training is not None
        counts = {(item.phase, item.term, item.place): item.count for item in training.terms}
        # two epochs of one sample of the network by hand; 14 parameters, two steps
        expected = {
            ("forward", "synaptic_event", "input_to_hidden"): 20,
            ("forward", "leak_multiplication", "output"): 12,
            ("forward", "spike_counted", "output"): 4,
            ("forward", "decision_comparison", "output"): 2,
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
            mac = amount.profile.price_at(Column("teacher_mac", "teacher"))
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
        saving = 463.6 - 69.6
        assert training.inferences_to_amortise == {
            "ReLU, dense": pytest.approx(training.total.value_pj / saving),
            "ReLU, zero-skipping": None,
        }

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
            (phase, column.term, column.place): place
            for place, (phase, column) in enumerate(
                zip(counted.phases, counted.columns, strict=True)
            )
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


def test_counted_training_events_take_the_place_of_spikes_times_fan_out() -> None:
    counted = dataclasses.replace(
        TRAINING,
        pruned=True,
        epochs=tuple(
            dataclasses.replace(epoch, synaptic_events=(7, 4)) for epoch in TRAINING.epochs
        ),
    )
    upper_bound = "which is an upper bound."
    assert not counted.assumptions[-1].endswith(upper_bound)
    assert dataclasses.replace(TRAINING, pruned=True).assumptions[-1].endswith(upper_bound)
    counts = count_training(counted, ARCHITECTURE)
    events = [
        counts.counts[0, place]
        for place, column in enumerate(counts.columns)
        if column.term in ("synaptic_event", "gradient_accumulation")
    ]
    assert events == [7, 4, 7, 4]


def test_an_epoch_of_many_samples_is_the_sum_of_them() -> None:
    """Rows of epochs hold what all samples take: so many times what one of them takes."""
    one = dataclasses.replace(TRAINING, epochs=TRAINING.epochs[:1], samples=1, n_epochs=1)
    many = dataclasses.replace(
        one, epochs=(EpochSpikes(1, 7, (35, 21, 14), 70.0),), samples=7, batch_size=7
    )
    found, of_one = (count_training(record, ARCHITECTURE) for record in (many, one))
    assert found.columns == of_one.columns
    forward = [phase == "forward" for phase in found.phases]
    assert found.counts[0, forward].tolist() == (7 * of_one.counts[0, forward]).tolist()
    inference = count_operations(
        Measurement(
            STATE, ARCHITECTURE, [EventList.from_dense([one]) for one in (INPUT, HIDDEN, OUTPUT)]
        )
    )
    assert of_one.counts[0, forward].tolist() == inference.counts[0].tolist()
