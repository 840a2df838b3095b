"""Accuracy, its interval, and confusions against hand counts and closed formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.evaluation import evaluate_predictions


def wilson(n_correct: int, n_samples: int, z: float) -> tuple[float, float]:
    """Wilson's interval in percent, as the textbook writes it."""
    p = n_correct / n_samples
    width = 1 + z**2 / n_samples
    centre = (p + z**2 / (2 * n_samples)) / width
    half = z / width * math.sqrt(p * (1 - p) / n_samples + (z / (2 * n_samples)) ** 2)
    return 100 * (centre - half), 100 * (centre + half)


@pytest.mark.parametrize(
    ("n_correct", "n_samples"), [(9858, 10_000), (843, 1000), (1, 3), (0, 50), (50, 50)]
)
@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959964), (0.9, 1.644854)])
def test_wilson_interval(
    n_correct: int, n_samples: int, confidence: float, z: float
) -> None:
    found = accuracy(n_correct, n_samples, confidence)
    low, high = wilson(n_correct, n_samples, z)
    assert found.percent == 100 * n_correct / n_samples
    assert found.low_percent == pytest.approx(low, abs=1e-4)
    assert found.high_percent == pytest.approx(high, abs=1e-4)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60)
)
def test_confusion_is_a_naive_count(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = (np.array(column) for column in zip(*pairs, strict=True))
    found = evaluate_predictions(labels, predictions, 10)
    for pair in np.ndindex(10, 10):
        assert found.confusion[pair] == pairs.count(pair)
    for label, entry in enumerate(found.per_class):
        of_class = [predicted for actual, predicted in pairs if actual == label]
        assert (entry.n_samples, entry.n_correct) == (
            len(of_class),
            of_class.count(label),
        )
        assert (entry.percent is None) == (entry.low_percent is None) == (not of_class)
    right = sum(actual == predicted for actual, predicted in pairs)
    assert found.overall.percent == 100 * right / len(pairs)
