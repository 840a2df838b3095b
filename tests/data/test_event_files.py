"""Event files: a file returns what was written, and is refused if it is not valid."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.npz import write_npz
from spikejoule.data import events as module
from spikejoule.data.dataset import load_samples
from spikejoule.data.events import (
    EVENT_FILE,
    EventSamples,
    EventSetting,
    LabelledEvents,
    offsets_of,
    open_event_file,
)
from spikejoule.data.subject import Subject

SETTING = EventSetting(
    "Gestures", Subject("gesture", ("left", "right", "up")), (2, 3, 4), 90_000
)


def samples(n_samples: int) -> LabelledEvents:
    random = np.random.default_rng(0)
    lengths = random.integers(0, 9, n_samples)
    events = EventSamples(
        random.integers(0, 100_000, lengths.sum()).astype(np.uint32),
        random.integers(0, 24, lengths.sum()).astype(np.uint16),
        offsets_of(lengths),
    )
    labels = random.integers(0, 3, n_samples).astype(np.uint8)
    return LabelledEvents(events, labels, np.arange(100, 100 + n_samples), SETTING)


def arrays() -> dict[str, np.ndarray]:
    """The arrays of a file, as the page on the format states them."""
    content = samples(4)
    return {
        "times": content.events.times,
        "units": content.events.units,
        "offsets": content.events.offsets,
        "labels": content.labels,
        "index": content.index,
        "shape": np.array([2, 3, 4]),
        "duration_us": np.array(90_000),
        "title": np.array("Gestures"),
        "noun": np.array("gesture"),
        "class_names": np.array(["left", "right", "up"]),
    }


def equal(events: EventSamples, other: EventSamples) -> bool:
    return all(
        np.array_equal(getattr(events, name), getattr(other, name))
        for name in ("times", "units", "offsets")
    )


def test_selected_samples_return_with_their_identities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = samples(20)
    chosen = whole.select(np.array([3, 19, 4])).select(slice(1, 3))
    assert chosen.labels.tolist() == whole.labels[[19, 4]].tolist()
    chosen.save(tmp_path / "a.npz")
    read = load_samples(tmp_path / "a.npz")
    assert isinstance(read, LabelledEvents)
    assert read.index.tolist() == [119, 104]
    assert equal(read.events, whole.events.select(np.array([19, 4])))
    assert read.setting == SETTING
    assert read.sha256 == chosen.sha256 != whole.sha256
    assert read.subject.samples == "samples"
    monkeypatch.setattr(module, "EVENTS_PER_BLOCK", 12)
    blocks = list(whole.events.blocks())
    assert len(blocks) > 4
    times = np.concatenate([block.times for block in blocks])
    np.testing.assert_array_equal(times, whole.events.times)


def test_the_bytes_are_those_of_numpys_format(tmp_path: Path) -> None:
    content = arrays()
    write_npz(tmp_path / "plain.npz", EVENT_FILE.schema, content)
    samples(4).save(tmp_path / "own.npz")
    assert (tmp_path / "own.npz").read_bytes() == (tmp_path / "plain.npz").read_bytes()
    del content["index"]
    np.savez(tmp_path / "numpy.npz", schema=np.array(EVENT_FILE.schema), **content)
    read = open_event_file(tmp_path / "numpy.npz")
    assert equal(read.events, samples(4).events)
    assert read.index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        (
            "labels",
            np.array([0, 1, 3, 0], np.uint8),
            "position 2 is 3, but there are 3 classes",
        ),
        ("offsets", np.array([0, 5, 4, 6, 7]), "rise from 0"),
        ("times", np.zeros(3, np.float32), "must have the type 'uint32'"),
        ("units", np.zeros(0, np.uint64), "E is"),
        ("shape", np.array([2, 3, 3]), "is not one of the 18 units"),
        ("n_train", np.array(4), "must leave some"),
        ("index", np.array([1, 1, 2, 3]), "two samples have the same index"),
    ],
)
def test_what_breaks_the_format_is_refused(
    tmp_path: Path, name: str, array: np.ndarray, problem: str
) -> None:
    write_npz(tmp_path / "a.npz", EVENT_FILE.schema, arrays() | {name: array})
    with pytest.raises(ArtifactError, match=f"a.npz: .*{problem}"):
        open_event_file(tmp_path / "a.npz")


def test_a_writer_refuses_what_a_reader_would_and_cuts_no_fraction(
    tmp_path: Path,
) -> None:
    whole = samples(3)
    halves: Any = np.array([0, 1, 2.5])
    beyond = replace(whole.events, units=whole.events.units + 24)
    for changes in (
        {"labels": whole.labels[:2]},
        {"labels": whole.labels + 3},
        {"labels": halves},
        {"labels": np.array(["left", "right", "left"])},
        {"index": halves},
        {"events": beyond},
        {"setting": replace(SETTING, duration_us=halves[2])},
    ):
        with pytest.raises(DataError):
            replace(whole, **changes).save(tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []
