"""The energy of training: hand-worked counts and energies."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from spikejoule.energy import TrainingRecord, count_operations, load_profiles
from spikejoule.energy.estimates import joules
from spikejoule.energy.operations import Column
from spikejoule.energy.training import count_training
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.report.page import energy_text
from tests.energy.by_hand import TRAINING, analysis, inputs, measured, training
from tests.tools.tiny_network import NETWORK

BACKWARD_PJ = 16 * 0.9 + 12 * 0.9 + 12 * 4.6 + 24 * 3.7 + 12 * 0.9
OPTIMIZER_PJ = 126 * 3.7 + 84 * 0.9
EPOCH_PJ = 69.6 + BACKWARD_PJ + OPTIMIZER_PJ


def counts_of(record: TrainingRecord) -> dict[tuple[str, str, str], list[int]]:
    """Return the counts of each epoch by phase, term and place."""
    counted = count_training(record)
    return {
        (column.phase, column.term, column.place): counts.tolist()
        for column, counts in zip(counted.columns, counted.counts.T, strict=True)
    }


def test_counts_by_hand() -> None:
    counts = counts_of(TRAINING)
    # one sample of the network by hand an epoch; 14 parameters, a step an epoch
    expected = {
        ("forward", "synaptic_event", "input_to_hidden"): 10,
        ("forward", "leak_multiplication", "output"): 6,
        ("forward", "spike_counted", "output"): 2,
        ("forward", "decision_comparison", "output"): 1,
        ("backward", "gradient_accumulation", "input_to_hidden"): 10,
        ("backward", "gradient_accumulation", "hidden_to_output"): 6,
        ("backward", "bias_gradient_accumulation", "hidden"): 6,
        ("backward", "backpropagation_mac", "hidden_to_output"): 12,
        ("backward", "delta_multiplication", "hidden"): 12,
        ("backward", "delta_addition", "output"): 6,
        ("backward", "surrogate_evaluation", "output"): 6,
        ("optimizer", "optimizer_multiplication", "parameters"): 14 * 9,
        ("optimizer", "optimizer_addition", "parameters"): 14 * 6,
        ("optimizer", "optimizer_division", "parameters"): 14 * 3,
        ("optimizer", "optimizer_root", "parameters"): 14,
    }
    assert {key: counts[key] for key in expected} == {
        key: [count] * 2 for key, count in expected.items()
    }
    assert not any(
        place == "input_to_hidden" for _, term, place in counts if "mac" in term
    )


def test_energies_by_hand() -> None:
    result = analysis(inputs())
    found = result.training
    assert found is not None
    phases = {
        phase: energy.value_pj
        for phase, energy in found.priced(found.prices.id).items()
    }
    expected = {"forward": 69.6, "backward": BACKWARD_PJ, "optimizer": OPTIMIZER_PJ}
    assert phases == pytest.approx({name: 2 * pj for name, pj in expected.items()})
    assert found.total is not None
    assert found.total.value_pj == pytest.approx(2 * EPOCH_PJ)
    # of two classes, guessing gets 50 %
    assert found.per_point is not None
    assert found.per_point.value_pj == pytest.approx(2 * EPOCH_PJ / 40)
    assert found.in_inferences == pytest.approx(2 * EPOCH_PJ / 69.6)
    per_point = f"takes {joules(2 * EPOCH_PJ / 40)} per percentage point"
    assert per_point in energy_text("by hand", result)


def test_a_teacher_costs_its_forward_passes() -> None:
    taught = training(teacher_macs=np.array([[100, 30]] * 2))
    with_teacher = analysis(dataclasses.replace(inputs(), training=taught)).training
    without = analysis(inputs()).training
    assert with_teacher is not None
    assert without is not None
    added = set(counts_of(taught)) - set(counts_of(TRAINING))
    assert added == {("forward", "teacher_mac", "teacher")}
    for name, entry in load_profiles().items():
        extra = 200 * np.nan_to_num(entry.price_at(Column("teacher_mac", "teacher"))[1])
        after = with_teacher.totals[name].high_pj
        before = without.totals[name].high_pj
        assert after - before == pytest.approx(extra, abs=1e-3)
    assert "200 multiply-accumulates, 60 of them" in taught.assumptions[-1]


@pytest.mark.parametrize(
    ("neuron", "expected"),
    [
        # six updates of the hidden layer an epoch; 14 parameters with biases
        ({"decay": 1.0, "bias": False}, (0, 6, 6, 10)),
        ({"learned": "both"}, (6, 24, 18, 18)),
    ],
)
def test_training_counts_what_other_neurons_do(
    neuron: dict[str, Any], expected: tuple[int, ...]
) -> None:
    network = dataclasses.replace(NETWORK, neuron=LeakyIntegrateAndFire(**neuron))
    counts = counts_of(training(network=network, weight_decay=False))
    terms = ("bias_gradient_accumulation", "delta_multiplication", "delta_addition")
    assert [counts["backward", term, "hidden"][0] for term in terms] == [*expected[:3]]
    assert counts["optimizer", "optimizer_root", "parameters"][0] == expected[3]
    # 6 of Adam and 2 of clipping
    assert (
        counts["optimizer", "optimizer_multiplication", "parameters"][0]
        == 8 * expected[3]
    )


def test_counted_events_replace_spikes_times_fan_out() -> None:
    counted = training(
        pruned=True, counted={"events": np.array([(7, 4)] * 2)}, events_counted=True
    )
    upper_bound = "which is an upper bound."
    assert not counted.assumptions[-1].endswith(upper_bound)
    assert training(pruned=True).assumptions[-1].endswith(upper_bound)
    counts = counts_of(counted)
    for key in (("forward", "synaptic_event"), ("backward", "gradient_accumulation")):
        found = [
            counts[*key, place][0] for place in ("input_to_hidden", "hidden_to_output")
        ]
        assert found == [7, 4]


@pytest.mark.parametrize(("products", "macs"), [("once", 4), ("every_step", 12)])
def test_products_of_constant_currents_occur_in_both_passes(
    products: str, macs: int
) -> None:
    counted = {
        "events": np.array([(0, 2)] * 2),
        "macs": np.array([macs] * 2),
        "products": products,
    }
    counts = counts_of(training([(0, 1, 1)] * 2, counted=counted))
    assert counts["forward", "input_mac", "input_to_hidden"] == [macs] * 2
    assert counts["backward", "input_gradient_mac", "input_to_hidden"] == [macs] * 2
    assert counts["backward", "gradient_accumulation", "input_to_hidden"] == [0, 0]


def test_an_epoch_is_the_sum_of_its_samples() -> None:
    found = count_training(training([(35, 21, 14)], samples=7))
    forward = [column.phase == "forward" for column in found.columns]
    inference = count_operations(measured())
    assert found.counts[0, forward].tolist() == (7 * inference.counts[0]).tolist()
