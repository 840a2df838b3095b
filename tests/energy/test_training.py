"""The energy of training: hand-worked counts and energies."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.outputs import headline
from spikejoule.counts.training import TrainingRecord, TrainingSetup, record_of_epochs
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.dataflow import DENSE, TRAINING_RANGE, Dataflow
from spikejoule.energy.operations import Column
from spikejoule.energy.prices import load_profiles
from spikejoule.energy.terms import TERMS
from spikejoule.energy.training.by_epoch import joules_by_epoch
from spikejoule.energy.training.counting import count_training
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.sections import EpochRecord, TrainingConfigSection
from spikejoule.report.kinds import pj_by_kind
from spikejoule.report.page import energy_text
from spikejoule.report.statements import says, training_assumptions
from spikejoule.report.units import energy_words, joules
from tests.energy.by_hand import (
    TRAINING,
    analysis,
    baseline,
    conventional_training,
    inputs,
    training,
)
from tests.energy.tiny_network import NETWORK

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


def counts_of(record: TrainingRecord) -> dict[tuple[str, str, str], list[int]]:
    """Return the counts of each epoch by phase, term and place."""
    counted = count_training(record)
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
        pruned_fraction=0.0,
        **counts,
    )


def trained_baseline(products: int = 6) -> CountedBaseline:
    """A conventional network that learned in two batches of a sample each."""
    counted = baseline(10, [8] * 4)
    record = conventional_training(
        counted.network,
        [products, 4],
        [products, 4],
        samples=2,
        n_epochs=2,
        batch_size=1,
        weight_decay=True,
    )
    return dataclasses.replace(counted, training=record)


def test_a_sampled_backward_pass_multiplies_only_what_it_keeps() -> None:
    network = Network.of_layers(6, (5, 4, 3), 2)
    epoch = first_epoch(
        spikes=(9, 8, 7, 6, 5),
        synaptic_events=(45, 32, 21, 12),
        synapses_touched=(30, 20, 12, 8),
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


def test_the_report_compares_both_sides_training() -> None:
    result = analysis(inputs((trained_baseline(),)))
    assert result.training is not None
    found = result.training.conventional
    assert found is not None
    relu = found.conventional
    assert relu.network == "ReLU"
    numbers = headline(result)
    low_mj = pytest.approx(relu.energy.low_pj / 1e9)
    assert numbers["training_conventional_low_mj"] == low_mj
    assert numbers["training_ratio_low"] == pytest.approx(found.ratio_low)
    (sentence,) = [
        line for line in says(result, "amortised") if "is cheapest to train" in line
    ]
    assert f"all its epochs take {energy_words(relu.energy)}" in sentence
    assert "in the same dataflows" in sentence
    unknown = dataclasses.replace(
        result.inputs.variant, validation_percent=None, test_percent=None
    )
    inputs_without = dataclasses.replace(result.inputs, variants=(unknown,))
    said = " ".join(says(analysis(inputs_without), "amortised"))
    assert "accuracy is not recorded; the most accurate conventional network" in said


def test_both_sides_are_counted_in_the_same_dataflows() -> None:
    """The ratio is that of each dataflow, and a dense training has a single one."""
    result = analysis(inputs((trained_baseline(),)), "lemaire-complete").training
    assert result is not None
    dataflows = {"spiking": [], "conventional": []}
    for variant in result.ledger.variants:
        dataflows[variant.side].append(variant.dataflow)
    assert dataflows["spiking"] == dataflows["conventional"]
    assert set(dataflows["spiking"]) == {*TRAINING_RANGE, DENSE}
    assert result.conventional is not None
    totals = {
        side: [
            result.ledger.total(number, "lemaire-complete")
            for number, variant in enumerate(result.ledger.variants)
            if variant.side == side and variant.dataflow in TRAINING_RANGE
        ]
        for side in dataflows
    }
    ratios = [
        getattr(own, end) / getattr(their, end)
        for own, their in zip(totals["spiking"], totals["conventional"], strict=True)
        for end in ("low_pj", "high_pj")
    ]
    assert result.conventional.ratio_low == min(ratios)
    assert result.conventional.ratio_high == max(ratios)


def test_networks_of_the_same_name_are_not_confused() -> None:
    """A family may hold a network like that of equal size."""
    cheap, dear = trained_baseline(4), trained_baseline(6)
    assert cheap.name == dear.name
    both = analysis(inputs((dear, cheap))).training
    alone = analysis(inputs((cheap,))).training
    assert both is not None
    assert alone is not None
    assert both.conventional is not None
    assert alone.conventional is not None
    cheapest = both.conventional.conventional
    assert cheapest.energy == alone.conventional.conventional.energy
    assert both.conventional.ratio_low == alone.conventional.ratio_low


def test_gradients_over_a_batch_need_every_product() -> None:
    with pytest.raises(ValueError, match="skips_zeros=False"):
        Dataflow(gradients="batch")


def test_the_report_says_which_steps_were_run() -> None:
    dense = training(engine="dense")
    assert any("dense products" in sentence for sentence in training_assumptions(dense))
    assert not any(
        "dense products" in sentence for sentence in training_assumptions(TRAINING)
    )
    result = analysis(dataclasses.replace(inputs(), training=dense))
    assert result.training is not None
    assert next(iter(result.training.by_dataflow)) == DENSE
    assert set(result.training.by_dataflow) == {DENSE, *TRAINING_RANGE}
    said = " ".join(says(result, "amortised"))
    assert "every product computed, gradients summed over a batch" in said


def test_kinds_and_epochs_add_up_to_the_total() -> None:
    result = analysis(inputs(), "lemaire-complete")
    found = result.training
    assert found is not None
    assert found.total is not None
    by_kind = pj_by_kind(found.ledger, 0, found.prices.id)
    kinds_pj = sum(sum(phases.values()) for phases in by_kind.values())
    first = found.ledger.total(0, found.prices.id)
    assert kinds_pj == pytest.approx(first.middle_pj)
    ends = [found.total.low_pj, found.total.high_pj]
    assert 1e12 * found.so_far_j[:, -1] == pytest.approx(ends)
    assert 1e12 * found.so_far_j[:, 0] == pytest.approx(np.array(ends) / 2)


def test_energies_by_hand() -> None:
    result = analysis(inputs())
    found = result.training
    assert found is not None
    total = found.total
    assert total is not None
    assert (total.low_pj, total.high_pj) == pytest.approx(2 * EPOCH_PJ)
    # of two classes, guessing gets 50 %
    assert found.per_point is not None
    assert found.per_point.low_pj == pytest.approx(2 * EPOCH_PJ[0] / 40)
    assert found.in_inferences == pytest.approx(2 * EPOCH_PJ / 69.6)
    ends = " to ".join(joules(2 * end / 40) for end in EPOCH_PJ)
    per_point = f"takes {ends} per percentage point"
    assert per_point in energy_text("by hand", result)


def test_the_headline_prices_every_term_of_training() -> None:
    """A chip's own units of work are what other terms consist of."""
    taught = training(
        pruned=True,
        augmented="mapped",
        encoder=Poisson(time_window=3, max_rate=80.0),
        network=dataclasses.replace(
            NETWORK, neuron=LeakyIntegrateAndFire(learned="both")
        ),
    )
    terms = {(column.term, column.phase) for column in count_training(taught).columns}
    terms |= {
        (term.name, "backward") for term in TERMS.values() if term.side == "training"
    }
    prices = load_profiles()["lemaire-complete"]
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
    # A memory larger than 1 MB, per word
    beyond = Column("gradient_access", "x", 32, 8 * (2**20 + 1), phase="backward")
    assert prices.price_at(beyond)[1] == 100


def test_masks_are_read_from_where_pruning_starts() -> None:
    removed = np.array([0.0, 0.5])
    counts = counts_of(training(pruned=True, removed_fractions=removed))
    assert counts["optimizer", "mask_read", "input_to_hidden"] == [0, 6]
    assert counts["optimizer", "mask_read", "hidden"] == [0, 2]
    unknown = counts_of(training(pruned=True))
    assert unknown["optimizer", "mask_read", "input_to_hidden"] == [6, 6]


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
        synaptic_events=(10, 6),
        synapses_touched=(8, 4),
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


def test_images_are_augmented_in_every_epoch() -> None:
    counts = counts_of(training(samples=7, augmented="mapped"))
    assert counts["data", "data_read", "input"] == [21, 21]
    assert counts["data", "pixel_read", "augmentation"] == [7 * 4 * 3] * 2
    assert counts["data", "augmentation_multiplication", "augmentation"][0] == 12 * 21
    shifted = counts_of(training(samples=7, augmented="shifted"))
    assert shifted["data", "pixel_read", "augmentation"] == [21, 21]
    assert ("data", "augmentation_addition", "augmentation") not in shifted
