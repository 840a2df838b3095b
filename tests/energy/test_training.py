"""The energy of training: hand-worked counts and energies."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import pytest

from spikejoule.baselines.counts import TrainingRun
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy import TrainingRecord, count_operations, load_profiles
from spikejoule.energy.estimates import energy_words, joules
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.outputs import headline
from spikejoule.energy.terms import TERMS
from spikejoule.energy.training import count_conventional_training, count_training
from spikejoule.energy.training.counting import Variant
from spikejoule.energy.training.history import (
    TrainingSetup,
    joules_by_epoch,
    record_of_epochs,
)
from spikejoule.energy.training.kinds import pj_by_kind
from spikejoule.network.checkpoint import EpochRecord, TrainingConfigSection
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.surrogates import SURROGATES
from spikejoule.report.page import energy_text
from tests.energy.by_hand import (
    TRAINING,
    analysis,
    baseline,
    inputs,
    measured,
    training,
)
from tests.tools.tiny_network import NETWORK

BACKWARD_PJ = 16 * 0.9 + 12 * 0.9 + 12 * 4.6 + 24 * 3.7 + 12 * 0.9
# Arctangent, 12 neurons and steps: 2 multiplications, 2 additions, a division
SURROGATE_PJ = np.array(
    [24 * 3.7 + 24 * 0.9 + 12 * division for division in (3.7, 32.2)]
)
OPTIMIZER_PJ = np.array(
    [
        126 * 3.7 + 84 * 0.9 + 42 * division + 14 * root
        for division, root in ((3.7, 3.7), (32.2, 46.0))
    ]
)
EPOCH_PJ = 69.6 + BACKWARD_PJ + SURROGATE_PJ + OPTIMIZER_PJ


def counts_of(
    record: TrainingRecord, variant: Variant = "event"
) -> dict[tuple[str, str, str], list[int]]:
    """Return the counts of each epoch by phase, term and place."""
    return by_key(count_training(record, variant))


def by_key(counted: OperationCounts) -> dict[tuple[str, str, str], list[int]]:
    """Return the counts of each row by phase, term and place."""
    return {
        (column.phase, column.term, column.place): counts.tolist()
        for column, counts in zip(counted.columns, counted.counts.T, strict=True)
    }


def first_epoch(**counts: Any) -> EpochRecord:
    """The record of an epoch with these counts."""
    return EpochRecord(
        epoch=1,
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy_percent=50.0,
        validation_accuracy_percent=50.0,
        **counts,
    )


def test_counts_by_hand() -> None:
    counts = counts_of(TRAINING)
    # one sample of the network by hand an epoch; 8 and 6 parameters, a step an epoch
    expected = {
        ("data", "data_read", "input"): 3,
        ("forward", "synaptic_event", "input_to_hidden"): 10,
        ("forward", "leak_multiplication", "output"): 6,
        ("forward", "spike_counted", "output"): 2,
        ("forward", "decision_comparison", "output"): 1,
        ("forward", "trace_write", "hidden"): 6,
        ("backward", "trace_read", "hidden"): 6,
        ("backward", "gradient_accumulation", "input_to_hidden"): 10,
        ("backward", "gradient_accumulation", "hidden_to_output"): 6,
        ("backward", "gradient_access", "input_to_hidden"): 20,
        ("backward", "gradient_access", "hidden"): 4,
        ("backward", "bias_gradient_accumulation", "hidden"): 6,
        ("backward", "backpropagation_mac", "hidden_to_output"): 12,
        ("backward", "weight_read", "hidden_to_output"): 12,
        ("backward", "address_mac", "hidden_to_output"): 12,
        ("backward", "address_unit", "hidden_to_output"): 12,
        ("backward", "address_event", "input_to_hidden"): 10,
        # 6 for the events, 3 steps of 2 deltas to pass back
        ("backward", "delta_read", "hidden_to_output"): 12,
        ("backward", "spike_read", "input"): 5,
        ("backward", "delta_multiplication", "hidden"): 12,
        ("backward", "delta_addition", "output"): 6,
        ("backward", "delta_write", "output"): 6,
        ("backward", "surrogate_multiplication", "output"): 12,
        ("backward", "surrogate_addition", "output"): 12,
        ("backward", "surrogate_division", "output"): 6,
        ("optimizer", "optimizer_multiplication", "input_to_hidden"): 8 * 9,
        ("optimizer", "optimizer_addition", "hidden_to_output"): 6 * 6,
        ("optimizer", "optimizer_division", "input_to_hidden"): 8 * 3,
        ("optimizer", "optimizer_root", "hidden_to_output"): 6,
        ("optimizer", "moment_access", "input_to_hidden"): 8 * 4,
        # the norm, Adam, and clearing
        ("optimizer", "gradient_access", "input_to_hidden"): 8 * 3,
        ("optimizer", "weight_read", "input_to_hidden"): 8,
        ("optimizer", "weight_write", "input_to_hidden"): 8,
    }
    assert {key: counts[key] for key in expected} == {
        key: [count] * 2 for key, count in expected.items()
    }
    assert not any(
        place == "input_to_hidden" for _, term, place in counts if "mac" in term
    )


def test_the_optimizer_reads_the_gradients_that_a_batch_reached() -> None:
    reached = training(gradients_reached=np.array([(4, 4), (6, 2)]))
    counts = counts_of(reached)
    # 2 biases; the norm, Adam, and clearing
    accesses = counts["optimizer", "gradient_access", "input_to_hidden"]
    assert accesses == [3 * (4 + 2), 3 * (6 + 2)]
    # 5 for each parameter, 1 for the decay; 3 for each gradient that is clipped
    multiplications = counts["optimizer", "optimizer_multiplication", "input_to_hidden"]
    assert multiplications == [8 * 7 + 2 * 6, 8 * 7 + 2 * 8]
    moments = counts["optimizer", "moment_access", "input_to_hidden"]
    assert moments == [8 * 4] * 2
    assert counts_of(reached, "dense") == counts_of(TRAINING, "dense")
    upper_bound = "The optimizer reads every gradient, an upper bound"
    for record, is_bound in ((reached, False), (TRAINING, True)):
        assert is_bound == any(
            line.startswith(upper_bound) for line in record.assumptions
        )


def test_a_sampled_backward_pass_multiplies_only_what_it_keeps() -> None:
    network = Network.of_layers(6, (5, 4, 3), 2)
    epoch = first_epoch(
        spikes=(9, 8, 7, 6, 5),
        synaptic_events=(45, 32, 21, 12),
        samples=10,
    )
    config = TrainingConfigSection(batch_size=5)
    setup = TrainingSetup(
        network, Poisson(time_window=7, max_rate=80.0), config, "event"
    )

    def counts(**fields: Any) -> dict[tuple[str, str, str], list[int]]:
        record = record_of_epochs(setup, [epoch.model_copy(update=fields)])
        assert record is not None
        return counts_of(record)

    exact = counts()
    sampled = counts(kept_deltas=(0, 11, 13, 0))
    changed = {key for key in exact if exact[key] != sampled[key]}
    layers = network.layer_names[2:4]
    into = [connection.name for connection in network.connections[1:3]]
    terms = ("backpropagation_mac", "weight_read", "address_mac", "delta_read")
    of_layers = ("delta_multiplication", "delta_addition", "delta_write")
    assert changed == {
        ("backward", term, place) for term in terms for place in into
    } | {("backward", term, layer) for term in of_layers for layer in layers}
    # Each kept delta times a row of weights; each delta read to choose, the kept again
    assert exact["backward", "backpropagation_mac", into[0]] == [10 * 7 * 5 * 4]
    assert sampled["backward", "backpropagation_mac", into[0]] == [11 * 5]
    assert sampled["backward", "backpropagation_mac", into[1]] == [13 * 4]
    key = ("backward", "delta_read", into[0])
    assert sampled[key] == [exact[key][0] + 11]
    key = ("backward", "delta_write", layers[0])
    assert sampled[key] == [exact[key][0] + 11]


def test_memories_by_hand() -> None:
    """3 steps, 2 neurons a layer, 6 and 4 weights, words of 32 bits."""
    columns = {
        (column.phase, column.term, column.place): column
        for column in count_training(TRAINING).columns
    }
    assert len(columns) == len(count_training(TRAINING).columns)
    expected = {
        ("data", "data_read", "input"): 8 * 3,
        # addresses of 2 bits and 1 bit, for the spikes of all steps
        ("forward", "spike_read", "input"): 3 * 3 * 2,
        ("backward", "spike_read", "hidden"): 3 * 2 * 1,
        ("forward", "trace_write", "hidden"): 3 * 2 * 32,
        ("backward", "delta_read", "hidden_to_output"): 3 * 2 * 32,
        ("backward", "gradient_access", "input_to_hidden"): (6 + 2) * 32,
        ("backward", "gradient_access", "hidden"): (6 + 2) * 32,
        ("optimizer", "moment_access", "hidden_to_output"): 2 * (4 + 2) * 32,
    }
    assert {key: columns[key].memory_bits for key in expected} == expected


def test_dense_steps_by_hand() -> None:
    counts = counts_of(TRAINING, "dense")
    expected = {
        ("forward", "mac", "input_to_hidden"): 3 * 6,
        ("forward", "weight_read", "hidden_to_output"): 3 * 4,
        ("forward", "activation_read", "input_to_hidden"): 3 * 3,
        ("forward", "address_unit", "input_to_hidden"): 3 * (3 + 2),
        ("forward", "activation_write", "hidden"): 3 * 2,
        ("forward", "trace_write", "hidden"): 3 * 2,
        ("forward", "reset", "hidden"): 3,
        ("backward", "gradient_mac", "input_to_hidden"): 3 * 6,
        # a delta for each product of the gradient, and 3 steps of 2 to pass back
        ("backward", "delta_read", "hidden_to_output"): 3 * 4 + 3 * 2,
        ("backward", "address_mac", "hidden_to_output"): 3 * 4 + 3 * 4,
        ("backward", "activation_read", "hidden_to_output"): 3 * 2,
        # written once per batch
        ("backward", "gradient_access", "input_to_hidden"): 6,
        ("backward", "gradient_access", "hidden"): 2,
        # the norm and Adam
        ("optimizer", "gradient_access", "input_to_hidden"): 8 * 2,
    }
    assert {key: counts[key] for key in expected} == {
        key: [count] * 2 for key, count in expected.items()
    }
    assert not any("spike_read" in key or "synaptic_event" in key for key in counts)
    twice = counts_of(TRAINING, "dense_recompute")
    assert twice["backward", "mac", "input_to_hidden"] == [18, 18]
    assert twice["backward", "trace_write", "hidden"] == [6, 6]
    assert ("forward", "trace_write", "hidden") not in twice


@pytest.mark.parametrize(
    ("variant", "kept_samples"), [("event", 1), ("dense", 4), ("dense_recompute", 1)]
)
def test_potentials_are_kept_for_a_sample_or_a_batch(
    variant: Variant, kept_samples: int
) -> None:
    counted = count_training(training(batch_size=4), variant)
    memories = {
        column.memory_bits
        for column in counted.columns
        if column.term.startswith("trace") and column.place == "hidden"
    }
    assert memories == {3 * 2 * kept_samples * 32}


def test_conventional_training_by_hand() -> None:
    """3-2-2 on 6 images in 4 batches; half of the hidden products are not zero."""
    run = TrainingRun(epochs=2, samples=3, batch_size=2, weight_decay=True)
    network = baseline(10, [8, 8], training=run)
    dense = count_conventional_training(network, TRAINING, "dense")
    skipping = count_conventional_training(network, TRAINING, "zero_skipping")
    assert dense is not None
    assert skipping is not None
    found = [by_key(dense), by_key(skipping)]
    expected = {
        ("data", "data_read", "input"): (6 * 3, 6 * 3),
        ("forward", "mac", "hidden_to_output"): (6 * 4, 6 * 2),
        ("forward", "activation_write", "hidden"): (6 * 2, 6 * 2),
        ("backward", "trace_read", "hidden"): (6 * 2, 6 * 2),
        ("backward", "delta_write", "hidden"): (6 * 2, 6 * 2),
        ("backward", "bias_gradient_accumulation", "hidden"): (6 * 2, 6),
        ("backward", "gradient_mac", "hidden_to_output"): (6 * 4, 6 * 2),
        ("backward", "backpropagation_mac", "hidden_to_output"): (6 * 4, 6 * 2),
        ("backward", "gradient_access", "input_to_hidden"): (4 * 6, 4 * 6),
        ("optimizer", "moment_access", "input_to_hidden"): (4 * 8 * 4, 4 * 8 * 4),
        ("optimizer", "gradient_access", "input_to_hidden"): (4 * 8, 4 * 8),
    }
    for key, (of_dense, of_skipping) in expected.items():
        assert [counts[key] for counts in found] == [[of_dense], [of_skipping]]
    assert found[1]["forward", "zero_comparison", "input"] == [6 * 3]
    # Trained in float32 and quantised afterwards, it is the training of another one.
    quantised = baseline(10, [8, 8], training=run, weight_bits=8)
    assert count_conventional_training(quantised, TRAINING, "dense") is None


def test_the_report_compares_both_sides_training() -> None:
    run = TrainingRun(epochs=2, samples=1, batch_size=1, weight_decay=True)
    result = analysis(inputs((baseline(10, [8] * 4, training=run),)))
    found = result.conventional_training
    assert found is not None
    variant, energy = found
    assert (variant.network, variant.method) == ("ReLU", "zero-skipping")
    numbers = headline(result)
    assert numbers["training_conventional_low_mj"] == pytest.approx(energy.low_pj / 1e9)
    assert result.training is not None
    assert list(result.training.other_ways) == [
        "densely",
        "densely, computing potentials twice",
    ]
    (sentence,) = [
        line for line in result.says("amortised") if "is cheapest to train" in line
    ]
    assert f"all its epochs take {energy_words(energy)}" in sentence
    unknown = dataclasses.replace(result.inputs.variant, accuracies=None)
    inputs_without = dataclasses.replace(result.inputs, variants=(unknown,))
    said = " ".join(analysis(inputs_without).says("amortised"))
    assert "accuracy is not recorded; the most accurate conventional network" in said


@pytest.mark.parametrize(("epochs", "is_clear"), [(2, False), (20, True)])
def test_training_is_recovered_only_from_a_clear_difference(
    epochs: int, is_clear: bool
) -> None:
    run = TrainingRun(epochs=epochs, samples=1, batch_size=1, weight_decay=True)
    result = analysis(inputs((baseline(10, [8] * 4, training=run),)))
    said = " ".join(result.says("amortised"))
    assert ("within the price ranges, either network" in said) != is_clear
    assert ("Counting training and inference" in said) == is_clear


def test_the_report_says_which_steps_were_run() -> None:
    dense = training(engine="dense")
    assert any("dense products" in sentence for sentence in dense.assumptions)
    assert not any("dense products" in sentence for sentence in TRAINING.assumptions)
    result = analysis(dataclasses.replace(inputs(), training=dense))
    assert result.training is not None
    assert result.training.way == "densely"
    assert "event by event" in result.training.other_ways


def test_kinds_and_epochs_add_up_to_the_total() -> None:
    result = analysis(inputs(), "lemaire-complete")
    found = result.training
    assert found is not None
    assert found.total is not None
    by_kind = pj_by_kind(found.ledger, 0, found.prices.id)
    kinds_pj = sum(sum(phases.values()) for phases in by_kind.values())
    assert kinds_pj == pytest.approx(found.total.middle_pj)
    ends = [found.total.low_pj, found.total.high_pj]
    assert 1e12 * found.so_far_j[:, -1] == pytest.approx(ends)
    assert 1e12 * found.so_far_j[:, 0] == pytest.approx(np.array(ends) / 2)


def test_energies_by_hand() -> None:
    result = analysis(inputs())
    found = result.training
    assert found is not None
    phases = {
        phase: (energy.low_pj, energy.high_pj)
        for phase, energy in found.priced(found.prices.id).items()
    }
    expected = {
        "forward": (69.6, 69.6),
        "backward": BACKWARD_PJ + SURROGATE_PJ,
        "optimizer": OPTIMIZER_PJ,
    }
    assert phases.keys() == expected.keys()
    for phase, ends in expected.items():
        assert phases[phase] == pytest.approx(2 * np.array(ends))
    total = found.total
    assert total is not None
    assert (total.low_pj, total.high_pj) == pytest.approx(2 * EPOCH_PJ)
    # of two classes, guessing gets 50 %
    assert found.per_point is not None
    assert found.per_point.low_pj == pytest.approx(2 * EPOCH_PJ[0] / 40)
    assert found.in_inferences == pytest.approx(2 * EPOCH_PJ.mean() / 69.6)
    ends = " to ".join(joules(2 * end / 40) for end in EPOCH_PJ)
    per_point = f"takes {ends} per percentage point"
    assert per_point in energy_text("by hand", result)


def test_the_headline_prices_every_term_of_training() -> None:
    """A chip's own units of work are what other terms consist of."""
    taught = training(
        teacher_macs=np.array([[100, 30]] * 2),
        pruned=True,
        augmented="mapped",
        average_pixels=2,
        encoder=Poisson(time_window=3, max_rate=80.0),
        network=dataclasses.replace(
            NETWORK, neuron=LeakyIntegrateAndFire(learned="both")
        ),
    )
    terms = {(column.term, column.phase) for column in count_training(taught).columns}
    terms |= {
        (term.name, "backward") for term in TERMS.values() if term.side == "training"
    }
    for name in (
        "lemaire-complete",
        "lemaire-complete-dram",
        "lemaire-complete-floored",
    ):
        prices = load_profiles()[name]
        unpriced = {
            term for term, phase in terms if prices.status_of(term, phase) != "priced"
        }
        assert unpriced == {
            "neuron_update_active",
            "neuron_update_inactive",
            "spike_routed",
        }


def test_a_complete_list_leaves_nothing_of_training_out() -> None:
    text = energy_text("by hand", analysis(inputs(), "lemaire-complete"))
    (said,) = [line for line in text.splitlines() if "other terms that are" in line]
    assert said.endswith("neuron update inactive, spike routed.")
    assert "Not included" not in said


def test_training_is_priced_in_floating_point_and_inference_as_before() -> None:
    prices = load_profiles()["lemaire-complete"]
    event = Column("synaptic_event", "x")
    assert prices.price_at(event)[1] == 0.1
    in_training = dataclasses.replace(event, phase="forward")
    assert prices.price_at(in_training)[1] == 0.9
    address = Column("address_event", "x", phase="backward")
    assert prices.price_at(address)[1] == 0.1
    # 1 MB and 1 byte of DRAM, per word
    beyond = Column("gradient_access", "x", 32, 8 * (2**20 + 1), phase="backward")
    assert prices.price_at(beyond)[1] == 100
    low, value, high = load_profiles()["lemaire-complete-dram"].price_at(beyond)
    assert (low, high) == (650, 1300)
    assert np.isnan(value)


class CountingLanes:
    """Counts the instructions that a surrogate emits."""

    OPERATIONS: ClassVar[dict[str, dict[str, int]]] = {
        "add": {"addition": 1},
        "subtract": {"addition": 1},
        "multiply": {"multiplication": 1},
        "multiply_add": {"multiplication": 1, "addition": 1},
        "divide": {"division": 1},
        "maximum": {"comparison": 1},
        "where_below": {"comparison": 1},
        "exponential": {"exponential": 1},
        "absolute": {},
        "negate": {},
        "constant": {},
    }

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        def emit(*operands: Any) -> str:
            for operation, number in self.OPERATIONS[name].items():
                self.counted[operation] = self.counted.get(operation, 0) + number
            return name

        return emit


@pytest.mark.parametrize("name", SURROGATES)
def test_the_arithmetic_of_a_surrogate_is_what_its_kernel_computes(name: str) -> None:
    lanes: Any = CountingLanes()
    SURROGATES[name].emit(lanes, "x", "a", "b")
    assert lanes.counted == SURROGATES[name].operations
    operations = training(surrogate=name).surrogate_operations
    assert operations is not None
    distance = operations.get("addition", 0) - lanes.counted.get("addition", 0)
    assert distance == (name != "constant")


def test_a_teacher_costs_its_forward_passes() -> None:
    taught = training(teacher_macs=np.array([[100, 30]] * 2))
    with_teacher = analysis(dataclasses.replace(inputs(), training=taught)).training
    without = analysis(inputs()).training
    assert with_teacher is not None
    assert without is not None
    added = set(counts_of(taught)) - set(counts_of(TRAINING))
    # 100 weights are not those of 3-2-2, so the teacher's layers are unknown.
    assert added == {
        ("forward", term, "teacher")
        for term in ("teacher_mac", "address_mac", "weight_read")
    }
    columns = [
        Column("teacher_mac", "teacher", phase="forward"),
        Column("address_mac", "teacher", phase="forward"),
        Column("weight_read", "teacher", 32, 3200, 3200, phase="forward"),
    ]
    for name, prices in load_profiles().items():
        extra = 200 * sum(np.nan_to_num(prices.price_at(of)[2]) for of in columns)
        after = with_teacher.totals[name].high_pj
        before = without.totals[name].high_pj
        assert after - before == pytest.approx(extra, abs=1e-3)
    same_sizes = counts_of(training(teacher_macs=np.array([[10, 3]] * 2)))
    assert same_sizes["forward", "activation_read", "teacher"] == [5, 5]
    assert same_sizes["forward", "activation_write", "teacher"] == [4, 4]
    assert same_sizes["forward", "bias_read", "teacher"] == [4, 4]
    assert same_sizes["forward", "activation_comparison", "teacher"] == [2, 2]
    assert "200 multiply-accumulates, 60 of them" in taught.assumptions[-1]


@pytest.mark.parametrize(
    ("neuron", "expected"),
    [
        # six updates of the hidden layer an epoch; 14 parameters with biases
        ({"decay": 1.0, "bias": False}, (0, 6, 6, 10)),
        ({"learned": "both"}, (6, 24, 24, 18)),
        # 3 of the potentials were reset
        ({"learned": "decay", "reset": "subtract"}, (6, 18, 15, 16)),
        ({"learned": "threshold", "decay": 1.0}, (6, 6, 18, 16)),
    ],
)
def test_training_counts_what_other_neurons_do(
    neuron: dict[str, Any], expected: tuple[int, ...]
) -> None:
    network = dataclasses.replace(NETWORK, neuron=LeakyIntegrateAndFire(**neuron))
    counts = counts_of(training(network=network, weight_decay=False))
    terms = ("bias_gradient_accumulation", "delta_multiplication", "delta_addition")
    assert [counts["backward", term, "hidden"][0] for term in terms] == [*expected[:3]]
    places = ("input_to_hidden", "hidden_to_output")
    roots = [counts["optimizer", "optimizer_root", place][0] for place in places]
    assert sum(roots) == expected[3]
    # 6 of Adam and 2 of clipping
    multiplications = counts["optimizer", "optimizer_multiplication", places[0]]
    assert multiplications[0] == 8 * roots[0]


def test_counted_events_replace_spikes_times_fan_out() -> None:
    counted = training(
        pruned=True, counted={"events": np.array([(7, 4)] * 2)}, events_counted=True
    )
    upper_bound = "in place: an upper bound."
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
    assert ("backward", "gradient_accumulation", "input_to_hidden") not in counts
    changes = counts["backward", "gradient_access", "input_to_hidden"]
    assert changes == [2 * macs] * 2
    assert counts["backward", "activation_read", "input"] == [3, 3]


def test_an_epoch_is_the_sum_of_its_samples() -> None:
    found = count_training(training([(35, 21, 14)], samples=7))
    forward = [
        column.phase == "forward" and column.term != "trace_write"
        for column in found.columns
    ]
    inference = count_operations(measured())
    assert found.counts[0, forward].tolist() == (7 * inference.counts[0]).tolist()


def test_masks_are_read_from_where_pruning_starts() -> None:
    removed = np.array([0.0, 0.5])
    counts = counts_of(training(pruned=True, removed_fractions=removed))
    assert counts["optimizer", "mask_read", "input_to_hidden"] == [0, 8]
    unknown = counts_of(training(pruned=True))
    assert unknown["optimizer", "mask_read", "input_to_hidden"] == [8, 8]


@pytest.mark.parametrize("spikes", [[(5, 3, 2)] * 2, [(10, 6, 4)]])
def test_the_addresses_of_event_data_are_stored_once(
    spikes: list[tuple[int, ...]],
) -> None:
    """Whether epochs are recorded, or all of them in one row."""
    given = training(spikes, n_epochs=2, encoder=NoEncoding(time_window=3))
    (column,) = [
        column for column in count_training(given).columns if column.term == "data_read"
    ]
    assert column.memory_bits == 5 * column.bits


def test_there_is_no_curve_where_there_is_no_total() -> None:
    setup = TrainingSetup(
        NETWORK,
        Poisson(time_window=3, max_rate=80.0),
        TrainingConfigSection(batch_size=1),
        "event",
    )
    epoch = first_epoch(
        spikes=(5, 3, 2),
        samples=1,
    )
    lengths = {
        name: len(joules_by_epoch(setup, [epoch], load_profiles()[name]))
        for name in ("lemaire-complete", "45nm-fp32", "truenorth")
    }
    assert lengths == {"lemaire-complete": 1, "45nm-fp32": 1, "truenorth": 0}


def test_encoding_in_training_is_that_of_white_images() -> None:
    encoder = Poisson(time_window=3, max_rate=80.0)
    counts = counts_of(training([(35, 21, 14)], samples=7, encoder=encoder))
    white = encoder.operations(np.full((1, 3), 255, np.uint8))
    assert counts["data", "random_draw", "input"] == [7 * white.random_draws[0]]
    assert counts["data", "pixel_read", "input"] == [7 * 3]


def test_images_are_averaged_once_and_augmented_in_every_epoch() -> None:
    counts = counts_of(training(samples=7, augmented="mapped", average_pixels=2))
    assert counts["data", "data_read", "input"] == [21, 21]
    assert counts["data", "pixel_read", "image"] == [7 * 4 * 3, 0]
    assert counts["data", "pixel_read", "augmentation"] == [7 * 4 * 3] * 2
    assert counts["data", "augmentation_multiplication", "augmentation"][0] == 12 * 21
    shifted = counts_of(training(samples=7, augmented="shifted"))
    assert shifted["data", "pixel_read", "augmentation"] == [21, 21]
    assert ("data", "augmentation_addition", "augmentation") not in shifted


def test_integer_networks_also_round_their_parameters() -> None:
    network = dataclasses.replace(
        NETWORK, quantisation=Quantisation(8, 16, (3, 3)), neuron=NETWORK.neuron
    )
    counts = counts_of(training(network=network))
    first = "input_to_hidden"
    assert counts["optimizer", "optimizer_multiplication", first][0] == 8 * (9 + 2)
    assert counts["optimizer", "optimizer_comparison", first][0] == 8 * 2
    assert counts["optimizer", "weight_write", first][0] == 8 * 2
    widths = {
        column.bits for column in count_training(training(network=network)).columns
    }
    # addresses, bytes of the data set, and words of 32 bits
    assert widths == {1, 2, 8, 32}
