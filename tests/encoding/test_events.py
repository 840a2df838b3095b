"""Event lists: the layout against dense tensors; broken layouts are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import write_npz
from spikejoule.encoding.events import (
    EVENTS,
    EventList,
    concatenate_samples,
    load_events,
    save_events,
)

shapes = st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 7))
dense_spikes = hnp.arrays(np.uint8, shapes, elements=st.integers(0, 1))


def same(events: EventList, other: EventList) -> bool:
    return (
        events.sources.tobytes() == other.sources.tobytes()
        and events.offsets.tobytes() == other.offsets.tobytes()
        and (events.n_samples, events.n_steps, events.n_inputs)
        == (other.n_samples, other.n_steps, other.n_inputs)
    )


# Two samples of three steps: [1, 3], [], [0], [], [2], [0, 1, 4].
EXAMPLE = EventList(
    np.array([1, 3, 0, 2, 0, 1, 4], np.uint16), np.array([0, 2, 2, 3, 3, 4, 7]), 2, 3, 5
)


class TestDense:
    @given(dense_spikes)
    def test_round_trip(self, dense: np.ndarray) -> None:
        events = EventList.from_dense(dense)
        events.check()
        rows = dense.reshape(-1, dense.shape[2])
        assert events.sources.tolist() == np.nonzero(rows)[1].tolist()
        assert events.offsets.tolist() == [0, *rows.sum(axis=1).cumsum()]
        assert (events.sources.dtype, events.offsets.dtype) == (np.uint16, np.int64)
        assert np.array_equal(events.to_dense(np.uint8), dense)
        assert events.density == pytest.approx(dense.mean() if dense.size else 0.0)

    def test_wide_layers(self) -> None:
        for n_units, dtype in ((65_536, np.uint16), (65_537, np.uint32)):
            events = EventList.from_dense(np.ones((1, 1, n_units), dtype=np.uint8))
            assert events.sources.tolist() == [*range(n_units)]
            assert events.sources.dtype == dtype


class TestSelect:
    @given(dense_spikes, st.data())
    def test_indices_against_dense(
        self, dense: np.ndarray, data: st.DataObject
    ) -> None:
        events = EventList.from_dense(dense)
        n = dense.shape[0]
        indices = data.draw(st.lists(st.integers(-n, n - 1), max_size=8)) if n else []
        for chosen in (np.array(indices, dtype=np.int64), np.arange(n) % 3 != 1):
            assert same(events.select(chosen), EventList.from_dense(dense[chosen]))

    @given(dense_spikes, st.integers(0, 5))
    def test_parts_make_the_whole(self, dense: np.ndarray, cut: int) -> None:
        events = EventList.from_dense(dense)
        parts = [events.select(slice(None, cut)), events.select(slice(cut, None))]
        assert same(concatenate_samples(parts), events)


class TestInvariants:
    @pytest.mark.parametrize(
        ("changes", "needle"),
        [
            ({"sources": EXAMPLE.sources.astype(np.int32)}, "sources are int32"),
            ({"n_samples": -2, "n_steps": -3}, "-2 samples"),
            ({"n_inputs": 2**24 + 1}, "16777217 inputs"),
            ({"n_inputs": 4}, "source 4 in a layer of 4"),
        ],
    )
    def test_broken_ones_are_refused(
        self, changes: dict[str, Any], needle: str
    ) -> None:
        with pytest.raises(ArtifactError, match=needle):
            replace(EXAMPLE, **changes).check()

    def test_dense_values_are_zeros_and_ones(self) -> None:
        for value in (2, np.nan):
            with pytest.raises(ArtifactError, match="must be 0 or 1"):
                EventList.from_dense(np.full((1, 2, 3), value))

    @given(dense_spikes.filter(lambda dense: dense.sum() >= 2), st.data())
    def test_a_changed_number_is_refused_or_gives_a_valid_list(
        self, dense: np.ndarray, data: st.DataObject
    ) -> None:
        """A list that passes check() equals its way to dense and back."""
        good = EventList.from_dense(dense)
        changed = good.sources.copy()
        changed[data.draw(st.integers(0, changed.size - 1))] = data.draw(
            st.integers(0, 65_535)
        )
        moved = good.offsets.copy()
        moved[data.draw(st.integers(0, moved.size - 1))] = data.draw(
            st.integers(-(2**63), 2**63 - 1) | st.integers(-1, good.n_events + 1)
        )
        for events in (
            EventList(changed, good.offsets, *dense.shape),
            EventList(good.sources, moved, *dense.shape),
        ):
            try:
                events.check()
            except ArtifactError:
                continue
            assert same(EventList.from_dense(events.to_dense()), events)


class TestFiles:
    ENCODING: ClassVar = {"type": "ü, \n", "seed": np.int64(1), "rate": 0.1, "n": -0.0}

    @pytest.mark.parametrize("events", [EXAMPLE, EXAMPLE.select(slice(0))])
    def test_round_trip(self, tmp_path: Path, events: EventList) -> None:
        save_events(tmp_path / "a", events, self.ENCODING)
        loaded, encoding = load_events(tmp_path / "a")
        assert same(loaded, events)
        assert encoding == self.ENCODING
        save_events(tmp_path / "b", loaded, dict(reversed(encoding.items())))
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"shape": np.array([2, 4, 5])}, "there must be 9"),
            ({"row_lengths": np.full(6, 2**63 - 1, np.uint64)}, "at most"),
            ({"encoding_values": np.array(["x"])}, "events.npz"),
        ],
    )
    def test_arrays_that_make_no_list(
        self, tmp_path: Path, changes: dict[str, np.ndarray], words: str
    ) -> None:
        path = tmp_path / "events.npz"
        save_events(path, EXAMPLE, {"seed": 1})
        write_npz(path, EVENTS.schema, EVENTS.read(path) | changes)
        with pytest.raises(ArtifactError, match=words) as error:
            load_events(path)
        assert "events.npz" in str(error.value)
