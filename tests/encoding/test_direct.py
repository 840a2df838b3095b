"""The direct encoder: constant currents by hand, their layout, and their files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoded_files import EncodedImages, load_encoded_images
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.events import Currents, EventList, save_events

KEY = np.uint64(0)
IMAGES = np.array([[0, 51, 255], [0, 0, 0], [102, 0, 0]], dtype=np.uint8)


def currents_of(events: EventList) -> Currents:
    assert events.currents is not None
    return events.currents


def test_files_return_currents_worked_out_by_hand(tmp_path: Path) -> None:
    encoder = Direct(time_window=4, direct_products="every_step")
    header = EncodedImages(
        encoder=encoder, seed=1, split="test", images_sha256="ab" * 32
    )
    save_events(tmp_path / "e.npz", encoder.events(IMAGES, KEY), header.entry())
    events, images = load_encoded_images(tmp_path / "e.npz")
    currents = currents_of(events)
    assert currents.sources.tolist() == [1, 2, 0]
    assert currents.values.tolist() == [np.float32(0.2), 1.0, np.float32(0.4)]
    assert currents.offsets.tolist() == [0, 2, 2, 3]
    assert currents.products == "every_step"
    assert (events.n_samples, events.n_steps, events.n_inputs) == (3, 4, 3)
    assert events.n_events == events.density == 0
    assert np.array_equal(currents.to_dense(3), (IMAGES / 255).astype(np.float32))
    assert images.encoder == encoder
    assert images.entry()["direct_products"] == "every_step"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": np.zeros(3, np.float32)}, "none of them 0"),
        ({"offsets": np.array([0, 2, 1, 3])}, "offsets must rise"),
        ({"sources": np.array([2, 1, 0], np.uint16)}, "ascending order"),
    ],
)
def test_broken_layouts_are_refused(change: dict[str, Any], words: str) -> None:
    currents = currents_of(Direct(time_window=4).events(IMAGES, KEY))
    currents.check(3, 3)
    with pytest.raises(ArtifactError, match=words):
        replace(currents, **change).check(3, 3)
