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
def test_counts_against_loops(dense: np.ndarray, n_units: int, seed: int) -> None:
    other = np.random.default_rng(seed).integers(0, 2, (*dense.shape[:2], n_units))
    counts = count_spikes(
        [EventList.from_dense(dense), EventList.from_dense(other)], ["input", "output"]
    )
    expected = [naive.count(dense), naive.count(other)]
    assert counts.layer_names == ("input", "output")
    assert counts.n_samples == dense.shape[0]
    assert counts.per_sample.tolist() == [
        list(row) for row in zip(*(e[0] for e in expected), strict=True)
    ]
    assert counts.per_step.tolist() == [e[1] for e in expected]
    assert [neuron.tolist() for neuron in counts.per_neuron] == [e[2] for e in expected]
    assert counts.totals == {
        "input": sum(expected[0][0]),
        "output": sum(expected[1][0]),
    }
    assert counts.means == {
        name: total / dense.shape[0] for name, total in counts.totals.items()
    }


@given(dense_spikes)
def test_class_counts_and_prediction(dense: np.ndarray) -> None:
    output = EventList.from_dense(dense)
    by_unit = naive.count(dense)[3]
    assert class_counts(output).tolist() == by_unit
    assert class_counts(output).dtype == np.int64
    assert predict(output).tolist() == [row.index(max(row)) for row in by_unit]
