"""Accuracy, its interval, and confusions against SciPy and hand counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.evaluation import evaluate_predictions


@pytest.mark.parametrize(
    ("n_correct", "n_samples"), [(9858, 10_000), (843, 1000), (1, 3), (0, 50), (50, 50)]
)
@pytest.mark.parametrize("confidence", [0.95, 0.9])
def test_wilson_interval(n_correct: int, n_samples: int, confidence: float) -> None:
    found = accuracy(n_correct, n_samples, confidence)
    theirs = stats.binomtest(n_correct, n_samples).proportion_ci(confidence, "wilson")
    assert found.percent == 100 * n_correct / n_samples
    assert found.low_percent == pytest.approx(100 * theirs.low, abs=1e-9)
    assert found.high_percent == pytest.approx(100 * theirs.high, abs=1e-9)


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
