"""Counts of spikes against sums over dense arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.encoding.counting import class_counts, count_spikes, predict
from spikejoule.encoding.events import EventList

dense_spikes = hnp.arrays(
    np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 1)
)


@given(dense_spikes, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_counts_and_predictions_are_sums(
    dense: np.ndarray, n_units: int, seed: int
) -> None:
    other = np.random.default_rng(seed).integers(0, 2, (*dense.shape[:2], n_units))
    arrays = [dense.astype(np.int64), other]
    layers = [EventList.from_dense(array) for array in arrays]
    counts = count_spikes(layers, ["input", "output"])
    assert (counts.layer_names, counts.n_samples) == (("input", "output"), len(dense))
    totals = dict(zip(counts.layer_names, (a.sum() for a in arrays), strict=True))
    assert counts.totals == totals
    assert counts.means == {name: n / len(dense) for name, n in totals.items()}
    for number, (array, layer) in enumerate(zip(arrays, layers, strict=True)):
        assert counts.per_sample[:, number].tolist() == array.sum(axis=(1, 2)).tolist()
        assert counts.per_step[number].tolist() == array.sum(axis=(0, 2)).tolist()
        assert counts.per_neuron[number].tolist() == array.sum(axis=(0, 1)).tolist()
        by_class = array.sum(axis=1).tolist()
        assert class_counts(layer).tolist() == by_class
        assert class_counts(layer).dtype == np.int64
        assert predict(layer).tolist() == [row.index(max(row)) for row in by_class]
