"""Counts of spikes against loops over every sample, step and neuron."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.encoding.counting import class_counts, count_spikes, predict
from spikejoule.encoding.events import EventList
from tests import naive

dense_spikes = hnp.arrays(
    np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 1)
)


@given(dense_spikes, st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_counts_and_predictions_against_loops(
    dense: np.ndarray, n_units: int, seed: int
) -> None:
    other = np.random.default_rng(seed).integers(0, 2, (*dense.shape[:2], n_units))
    layers = {
        "input": EventList.from_dense(dense),
        "output": EventList.from_dense(other),
    }
    counts = count_spikes([*layers.values()], [*layers])
    by_sample, by_step, by_unit, by_class = zip(
        naive.count(dense), naive.count(other), strict=True
    )
    assert counts.layer_names == ("input", "output")
    assert counts.per_sample.T.tolist() == [*by_sample]
    assert counts.per_step.tolist() == [*by_step]
    assert [units.tolist() for units in counts.per_neuron] == [*by_unit]
    totals = {
        name: sum(of_layer) for name, of_layer in zip(layers, by_step, strict=True)
    }
    assert counts.totals == totals
    n_samples = len(dense)
    assert counts.n_samples == n_samples
    assert counts.means == {name: total / n_samples for name, total in totals.items()}
    for layer, of_samples in zip(layers.values(), by_class, strict=True):
        assert class_counts(layer).tolist() == of_samples
        assert class_counts(layer).dtype == np.int64
        assert predict(layer).tolist() == [row.index(max(row)) for row in of_samples]
