"""Event files: what is written is read, in any parts, and what breaks the format is
refused.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.npz import write_npz
from spikejoule.data.events import (
    EVENT_SAMPLES_SCHEMA,
    EventBlock,
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
    open_event_file,
    write_event_file,
)
from spikejoule.data.images import load_samples
from spikejoule.data.subject import Subject

SETTING = EventSetting(
    "Gestures", Subject("gesture", ("left", "right", "up")), (2, 3, 4), 90_000
)


def samples(n_samples: int, seed: int = 0) -> tuple[EventSamples, np.ndarray]:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 9, n_samples)
    events = EventSamples(
        random.integers(0, 100_000, lengths.sum()).astype(np.uint32),
        random.integers(0, 24, lengths.sum()).astype(np.uint16),
        offsets_of(lengths),
    )
    return events, random.integers(0, 3, n_samples)


def arrays() -> dict[str, np.ndarray]:
    """The arrays of a file, as the page of the format states them."""
    events, labels = samples(4)
    return {
        "times": events.times,
        "units": events.units,
        "offsets": events.offsets,
        "labels": labels.astype(np.uint8),
        "shape": np.array([2, 3, 4]),
        "duration_us": np.array(90_000),
        "title": np.array("Gestures"),
        "noun": np.array("gesture"),
        "class_names": np.array(["left", "right", "up"]),
    }


def equal(one: EventSamples, other: EventSamples) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("times", "units", "offsets")
    )


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
def test_what_is_written_in_blocks_is_read_in_parts(
    tmp_path_factory: pytest.TempPathFactory, n_samples: int, block: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("events") / "a.npz"
    events, labels = samples(n_samples, seed)
    parts = [slice(first, first + block) for first in range(0, n_samples, block)]
    write_event_file(
        path, SETTING, [EventBlock(events.read(p), labels[p]) for p in parts]
    )
    file = open_event_file(path)
    chosen = np.random.default_rng(seed).integers(0, n_samples, 7)
    assert equal(file.read(chosen), events.read(chosen))
    assert equal(file.read(), events)
    assert file.labels.tolist() == labels.tolist()
    assert file.setting == SETTING
    whole = np.concatenate([part.times for part in file.inputs.blocks()])
    np.testing.assert_array_equal(whole, events.times)


def test_the_bytes_are_those_of_numpys_format(tmp_path: Path) -> None:
    content = arrays()
    write_npz(tmp_path / "plain.npz", EVENT_SAMPLES_SCHEMA, content)
    np.savez(tmp_path / "numpy.npz", schema=np.array(EVENT_SAMPLES_SCHEMA), **content)
    events = EventSamples(content["times"], content["units"], content["offsets"])
    block = EventBlock(events, content["labels"])
    write_event_file(tmp_path / "own.npz", SETTING, [block])
    assert (tmp_path / "own.npz").read_bytes() == (tmp_path / "plain.npz").read_bytes()
    assert equal(open_event_file(tmp_path / "numpy.npz").read(), events)
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        (
            "labels",
            np.array([0, 1, 3, 0], np.uint8),
            "position 2 is 3, but there are 3 classes",
        ),
        ("offsets", np.array([0, 5, 4, 6, 7]), "rise from 0"),
        ("times", np.zeros(3, np.float32), "times must be uint32"),
        ("n_train", np.array(4), "must leave some"),
        ("index", np.array([1, 1, 2, 3]), "given to two samples"),
    ],
)
def test_what_breaks_the_format_is_refused(
    tmp_path: Path, name: str, array: np.ndarray, problem: str
) -> None:
    write_npz(tmp_path / "a.npz", EVENT_SAMPLES_SCHEMA, arrays() | {name: array})
    with pytest.raises(ArtifactError, match=f"a.npz: .*{problem}"):
        open_event_file(tmp_path / "a.npz")


def test_a_unit_too_many_and_a_changed_byte_are_found(tmp_path: Path) -> None:
    content = arrays()
    content["units"][-1] = 24
    write_npz(tmp_path / "a.npz", EVENT_SAMPLES_SCHEMA, content)
    with pytest.raises(ArtifactError, match="unit 24 is none of the 24"):
        open_event_file(tmp_path / "a.npz")
    damaged = bytearray((tmp_path / "a.npz").read_bytes())
    damaged[damaged.index(content["times"].tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(damaged)
    with pytest.raises(ArtifactError, match="damaged"):
        open_event_file(tmp_path / "a.npz")


def test_a_writer_refuses_what_a_reader_would_and_cuts_no_fraction(
    tmp_path: Path,
) -> None:
    events, labels = samples(3)
    beyond = EventSamples(events.times, events.units + 24, events.offsets)
    halves: Any = np.array([0, 1, 2.5])
    for setting, block in (
        (SETTING, EventBlock(events, labels[:2])),
        (SETTING, EventBlock(events, labels + 3)),
        (SETTING, EventBlock(beyond, labels)),
        (SETTING, EventBlock(events, labels, halves)),
        (replace(SETTING, duration_us=halves[2]), EventBlock(events, labels)),
    ):
        with pytest.raises(DataError):
            write_event_file(tmp_path / "a.npz", setting, [block])
    assert list(tmp_path.iterdir()) == []


def test_selected_samples_are_saved_with_their_identities(tmp_path: Path) -> None:
    events, labels = samples(20)
    numbers = np.arange(100, 120)
    whole = LabelledEvents(
        events, np.arange(20), labels.astype(np.uint8), numbers, SETTING
    )
    chosen = whole.select(np.array([3, 19, 4])).select(slice(1, 3))
    chosen.save(tmp_path / "a.npz")
    read = load_samples(tmp_path / "a.npz")
    assert isinstance(read, LabelledEvents)
    assert read.index.tolist() == [119, 104]
    assert equal(read.read(), events.read(np.array([19, 4])))
    assert read.sha256 == chosen.sha256
    assert read.subject.samples == "samples"
