"""The analysis on hand-worked numbers: intervals, ratios, headline, names."""

import math
from dataclasses import replace

import numpy as np
import pytest

from spikejoule.compare.outputs import COLUMNS, energy_rows, headline
from spikejoule.counts.measurement import Measurement
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.ledger import Ledger, spiking_variant
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.prices import load_profiles
from spikejoule.evaluation.runs import counted_runs
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.report.names import named
from spikejoule.report.statements import answer
from tests.energy.by_hand import (
    analysis,
    baseline,
    inputs,
    measured,
    profile,
    variant,
)
from tests.energy.test_training import EPOCH_PJ
from tests.energy.tiny_network import NETWORK, STATE


def test_intervals_are_the_normal_ones_for_many_images() -> None:
    additions = np.random.default_rng(3).poisson(900, (4000, 1))
    operations = OperationCounts((Column("addition", "x"),), additions)
    prices = profile({"addition": 0.9})
    ledger = Ledger.of([variant(operations)], [prices], BootstrapSettings(4000))
    total = ledger.total(0, "p")
    energies = 0.9 * additions
    deviation = energies.std(ddof=1)
    assert total.value_pj == pytest.approx(energies.mean(), rel=1e-13)
    assert total.standard_deviation_pj == pytest.approx(deviation, rel=1e-10)
    error = deviation / math.sqrt(4000)
    interval = (total.lowest_pj, total.highest_pj)
    expected = energies.mean() + np.array([-1.96, 1.96]) * error
    assert interval == pytest.approx(expected, abs=0.1 * error)


def test_one_image_has_no_interval() -> None:
    alone = analysis(inputs((baseline(10, [6]),), images=1))
    assert alone.total().interval_low_pj is None
    assert "(mean, 1 images, no interval)" in " ".join(answer(alone))


def test_classes_are_their_images() -> None:
    given = inputs(labels=[1, 0, 1, 1])
    operations = given.operations
    varied = operations.counts.copy()
    varied[1, 0] += 100  # the image of class 0 has 100 events more
    assert operations.columns[0].term == "synaptic_event"
    own = variant(replace(operations, counts=varied))
    found = analysis(replace(given, variants=(own,)))
    assert [(row.label, found.n_images_of(row.label)) for row in found.classes] == [
        (0, 1),
        (1, 3),
    ]
    energies = [row.energy.value_pj for row in found.classes if row.energy]
    assert energies == pytest.approx([159.6, 69.6])


def test_brackets_have_ends_and_no_value() -> None:
    numbers = headline(analysis(inputs(), "45nm-memory"))
    assert "energy_nj" not in numbers
    assert (numbers["energy_low_nj"], numbers["energy_high_nj"]) == (0.325, 79.7)


def test_ratios_verdicts_and_headline_by_hand() -> None:
    """100 products, or 15 of them, and 4 biases."""
    other = baseline(5000, [4000] * 4, "large", equal_size=False)
    result = analysis(inputs((baseline(100, [10, 20, 10, 20]), other)))
    found = {named(verdict.conventional): verdict for verdict in result.of_chosen}
    assert set(found) == {"ReLU, dense", "ReLU, zero-skipping"}
    assert found["ReLU, dense"].outcome == "snn"
    skipping = found["ReLU, zero-skipping"]
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
        "training_arithmetic_low_mj": pytest.approx(2 * EPOCH_PJ[0] / 1e9),
        "training_high_mj": pytest.approx(2 * EPOCH_PJ[1] / 1e9),
    }
    assert {name: numbers[name] for name in expected} == expected


def test_neuron_updates_where_no_bias_forces_them() -> None:
    assert inputs().neuron_updates == (3 * 4, 3 * 4)
    network = replace(NETWORK, neuron=LeakyIntegrateAndFire(bias=False))
    unbiased = Measurement(STATE, network, measured().layers)
    encoder = Poisson(time_window=3, max_rate=80.0)
    variants = [*map(spiking_variant, counted_runs(unbiased, encoder, None))]
    given = replace(inputs(), activity=unbiased.activity(), variants=variants)
    assert given.neuron_updates == (12, unbiased.lazy_updates.sum())


def test_the_rows_add_up_under_every_profile() -> None:
    result = analysis(inputs((baseline(100, [10] * 4),), labels=[0, 0, 1, 1]))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in energy_rows(result)]
    assert {row["profile"] for row in rows} == set(load_profiles())
    for name in load_profiles():
        inference = (name, "snn", "inference")
        own = [
            row
            for row in rows
            if (row["profile"], row["network"], row["phase"]) == inference
        ]
        (total,) = [row for row in own if row["term"] == "total" and row["class"] == ""]
        priced = [
            row for row in own if row["term"] != "total" and row["status"] == "priced"
        ]
        for end in ("pj_low", "pj_high"):
            assert sum(row[end] for row in priced) == pytest.approx(total[end])
        assert sorted(row["class"] for row in own if row["class"] != "") == [0, 1]
