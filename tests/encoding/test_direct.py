"""The direct encoder: constant currents by hand, their layout, and their files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoded_files import EncodedImages, load_encoded_images
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.events import (
    PRODUCTS,
    Currents,
    EventList,
    Products,
    concatenate_samples,
    save_events,
)

KEY = np.uint64(0)
IMAGES = np.array([[0, 51, 255], [0, 0, 0], [102, 0, 0]], dtype=np.uint8)
DIRECT = Direct(time_window=4)


def currents_of(events: EventList) -> Currents:
    assert events.currents is not None
    return events.currents


def same(one: EventList, other: EventList) -> bool:
    mine, theirs = currents_of(one), currents_of(other)
    return (
        mine.sources.tobytes() == theirs.sources.tobytes()
        and mine.values.tobytes() == theirs.values.tobytes()
        and mine.offsets.tobytes() == theirs.offsets.tobytes()
        and mine.products == theirs.products
        and (one.n_samples, one.n_steps, one.n_inputs)
        == (other.n_samples, other.n_steps, other.n_inputs)
    )


class TestImages:
    def test_by_hand(self) -> None:
        events = DIRECT.events(IMAGES, KEY)
        currents = currents_of(events)
        assert currents.sources.tolist() == [1, 2, 0]
        assert currents.values.tolist() == [np.float32(0.2), 1.0, np.float32(0.4)]
        assert currents.offsets.tolist() == [0, 2, 2, 3]
        assert (events.n_samples, events.n_steps, events.n_inputs) == (3, 4, 3)
        assert events.n_events == events.density == 0
        assert np.array_equal(currents.to_dense(3), (IMAGES / 255).astype(np.float32))
        events.check()

    @pytest.mark.parametrize("products", PRODUCTS)
    def test_how_often_a_source_is_used(self, products: Products) -> None:
        events = Direct(time_window=4, direct_products=products).events(IMAGES, KEY)
        times = 4 if products == "every_step" else 1
        assert events.uses_per_source().tolist() == [times, times, times]
        spikes = EventList.from_dense([[[1, 0], [1, 1]]])
        assert spikes.uses_per_source().tolist() == spikes.counts_per_source().tolist()
        fan_out = np.array([7, 5, 2])
        assert currents_of(events).sum_per_sample(fan_out).tolist() == [7, 0, 7]

    def test_are_not_joined(self) -> None:
        events = DIRECT.events(IMAGES, KEY)
        with pytest.raises(ArtifactError, match="encoded at once"):
            concatenate_samples([events, events])


BROKEN: list[tuple[str, Callable[[Currents], dict[str, Any]]]] = [
    ("uint16, float64", lambda good: {"values": good.values.astype(np.float64)}),
    ("products twice", lambda good: {"products": "twice"}),
    ("2 values of 3 sources", lambda good: {"values": good.values[:-1]}),
    ("offsets decrease", lambda good: {"offsets": np.array([0, 2, 1, 3])}),
    ("zero or not finite", lambda good: {"values": 0 * good.values}),
    ("ascending order", lambda good: {"sources": np.array([2, 1, 0], np.uint16)}),
]


class TestLayout:
    @pytest.mark.parametrize(("words", "change"), BROKEN)
    def test_what_breaks_it(self, words: str, change: Callable[[Currents], dict[str, Any]]) -> None:
        currents = currents_of(DIRECT.events(IMAGES, KEY))
        currents.check(3, 3)
        broken = replace(currents, **change(currents))
        with pytest.raises(ArtifactError, match=words):
            broken.check(3, 3)

    def test_spikes_and_currents_exclude_each_other(self) -> None:
        spikes = EventList.from_dense(np.ones((3, 4, 3)))
        both = replace(spikes, currents=currents_of(DIRECT.events(IMAGES, KEY)))
        with pytest.raises(ArtifactError, match="holds spikes too"):
            both.check()


class TestFiles:
    def header(self, encoder: Any) -> dict[str, Any]:
        return EncodedImages(encoder=encoder, seed=1, split="test", images_sha256="ab" * 32).entry()

    @pytest.mark.parametrize("products", PRODUCTS)
    def test_come_back(self, tmp_path: Path, products: Products) -> None:
        encoder = Direct(time_window=4, direct_products=products)
        events = encoder.events(IMAGES, KEY)
        save_events(tmp_path / "e.npz", events, self.header(encoder))
        found, images = load_encoded_images(tmp_path / "e.npz")
        assert same(found, events)
        assert images.encoder == encoder
        assert images.entry()["direct_products"] == products

    @pytest.mark.parametrize(
        ("stated", "held"),
        [
            (Latency(time_window=4), DIRECT),
            (DIRECT, Direct(time_window=4, direct_products="every_step")),
        ],
    )
    def test_of_another_code_than_stated(self, tmp_path: Path, stated: Any, held: Any) -> None:
        save_events(tmp_path / "e.npz", held.events(IMAGES, KEY), self.header(stated))
        with pytest.raises(ArtifactError, match="run the encode stage again"):
            load_encoded_images(tmp_path / "e.npz")
