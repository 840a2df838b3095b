"""Cascades: the limit of the lead, answers and counts, against plain loops."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.baselines.counts import load_baseline, load_network, save_baseline
from spikejoule.baselines.measuring import measure_baseline, scores_of
from spikejoule.baselines.quantised import Widths, in_integers
from spikejoule.core.errors import ParameterError
from spikejoule.data.dataset import Dataset
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    SideName,
    Variant,
)
from spikejoule.energy.operations import block, joined
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.params import load_params
from studies.verdict.cascades import Answers, Entrant, cascade, lowest_limit
from studies.verdict.entrants import Split, Splits
from tests.tools.committed import REPOSITORY

leads = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def answers(seed: int, of: list[int], share: float) -> Answers:
    generator = np.random.default_rng(seed)
    return Answers(generator.random(len(of)) < share, np.array(of))


def entrant(side: SideName, answered: Answers, events: int, name: str) -> Entrant:
    n_images = len(answered.correct)
    counts = np.arange(n_images)[:, None] + events
    operations = joined([block("mac", ["a"], counts)], n_images)
    variant = Variant(
        side=side,
        network=name,
        method="zero-skipping",
        validation_percent=answered.accuracy_percent,
        test_percent=answered.accuracy_percent,
        weight_bits=4,
        operations=operations,
        weights_sha256=name,
    )
    return Entrant(variant, 10, answered, answered)


@given(leads, st.integers(0, 99), st.sampled_from([0.0, 5.0, 50.0]))
def test_the_lowest_limit_that_is_accurate_enough(
    of: list[int], seed: int, tolerance: float
) -> None:
    first = answers(seed, of, 0.6)
    second = answers(seed + 1, of, 0.9)
    needed = int(second.correct.sum()) - int(tolerance / 100 * len(of) + 1e-9)
    for limit in [*sorted(set(of)), np.inf]:
        right = 0
        for image, lead in enumerate(of):
            answering = second if lead < limit else first
            right += int(answering.correct[image])
        if right >= needed:
            assert lowest_limit(first, second, tolerance) == limit
            return
    raise AssertionError("the second network alone is accurate enough")


def test_counts_what_ran() -> None:
    """The second network and its costs, only for images with a small lead."""
    first = Answers(np.array([True, False, True, False]), np.array([5, 1, 3, 2]))
    second = Answers(np.array([True, True, False, True]), np.array([9, 9, 9, 9]))
    joined_up = cascade(
        entrant(SPIKING, first, 100, "small"),
        entrant(SPIKING, second, 1000, "large"),
        tolerance_percent=0,
    )
    # Limit 2 corrects the second image; more is not needed for 3 of 4.
    macs = joined_up.variant.operations.of("mac").sum(axis=1)
    assert macs.tolist() == [100, 101 + 1001, 102, 103]
    comparisons = joined_up.variant.operations.of("decision_comparison")
    assert comparisons.sum(axis=1).tolist() == [9, 9, 9, 9]
    assert joined_up.validation.correct.tolist() == [True, True, True, False]
    assert joined_up.test.leads.tolist() == [5, 9, 3, 2]
    assert joined_up.variant.network == "small, then large"
    assert joined_up.variant.validation_percent == 75
    assert joined_up.variant.test_percent == 75
    assert joined_up.n_networks == 2


def test_sides_do_not_mix() -> None:
    one = answers(0, [1, 2], 0.5)
    with pytest.raises(ParameterError, match="networks of one side, but"):
        cascade(entrant(SPIKING, one, 1, "a"), entrant(CONVENTIONAL, one, 1, "b"), 0.1)


def test_leads_of_scores() -> None:
    read = Answers.of(np.array([[3, 9, 4], [7, 7, 1]]), np.array([1, 1]))
    assert read.leads.tolist() == [5, 0]
    assert read.correct.tolist() == [True, False], "the first of equals answers"


def test_one_bit_pixels_cost_additions(mnist5k: Dataset, tmp_path: Path) -> None:
    """Neither multiplications of pixels nor requantisations; a file keeps both."""
    shapes = ConventionalNetwork.of_layers(784, [12], 10).parameter_shapes()
    generator = np.random.default_rng(0)
    state = {
        key: generator.normal(0, 0.1, shape).astype(np.float32)
        for key, shape in shapes.items()
    }
    network = in_integers(state, [0.05, 0.05], [0.4], Widths(4, 4, 16), 114)
    test = mnist5k.test.select(slice(20))
    assert isinstance(test, LabelledImages)
    samples = {"validation": test, "test": test}
    measured = measure_baseline("ReLU", network, False, False, samples)
    assert measured.counts.network.shifts, "0.4 is 8 times 0.05"
    file = tmp_path / "networks.npz"
    save_baseline(file, [measured], test.labels)
    (read,) = load_baseline(file)
    assert (read.network.has_binary_input, read.network.shifts) == (True, True)
    again = load_network(file, read.name)
    assert np.array_equal(
        scores_of(again, test.images), scores_of(network, test.images)
    )
    encoder: Encoder = load_params(REPOSITORY / "params.yaml").encode.encoder
    splits = Splits(Split(test), Split(test), encoder, 0.1)
    dense, skipping = splits.of_baseline("ReLU", network, False)
    assert dense.variant.operations.of("accumulation").sum(axis=1)[0] == 784 * 12
    bright = (test.images > 114).reshape(20, -1).sum(axis=1)
    added = skipping.variant.operations.of("accumulation").sum(axis=1)
    assert added.tolist() == (12 * bright).tolist()
    for absent in ("requantisation", "code_multiplication", "code_addition"):
        assert not dense.variant.operations.of(absent).size
