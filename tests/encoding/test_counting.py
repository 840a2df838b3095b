"""Counts of spikes against sums over dense arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.encoding.counting import best_class, class_counts, count_spikes
from spikejoule.encoding.events import EventList

dense_spikes = hnp.arrays(
    np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 1)
)


@given(dense_spikes)
def test_counts_and_predictions_are_sums(dense: np.ndarray) -> None:
    arrays = [dense.astype(np.int64), 1 - dense[..., :1].astype(np.int64)]
    layers = [EventList.from_dense(array) for array in arrays]
    counts = count_spikes(layers, ["input", "output"])
    assert (counts.layer_names, counts.n_samples) == (("input", "output"), len(dense))
    totals = {"input": arrays[0].sum(), "output": arrays[1].sum()}
    assert counts.totals == totals
    assert counts.means == {name: n / len(dense) for name, n in totals.items()}
    for number, array in enumerate(arrays):
        per_sample = counts.per_sample[:, number]
        np.testing.assert_array_equal(per_sample, array.sum(axis=(1, 2)))
        np.testing.assert_array_equal(counts.per_step[number], array.sum(axis=(0, 2)))
        np.testing.assert_array_equal(counts.per_neuron[number], array.sum(axis=(0, 1)))
    by_class = arrays[0].sum(axis=1)
    assert class_counts(layers[0]).dtype == np.int64
    np.testing.assert_array_equal(class_counts(layers[0]), by_class)
    first_largest = [row.index(max(row)) for row in by_class.tolist()]
    assert best_class(by_class).tolist() == first_largest
