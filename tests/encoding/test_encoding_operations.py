"""What encoding takes, against a count in plain loops."""

import dataclasses

import numpy as np
import pytest

from spikejoule.data.images import Dataset
from spikejoule.encoding import EncodingOperations
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.encoders.regular import Regular
from tests import naive

ENCODERS_HERE: list[Encoder] = [
    Poisson(time_window=6, max_rate=80.0),
    Regular(time_window=6, max_rate=80.0),
    Latency(time_window=6, latency_threshold=0.2),
    Latency(time_window=6, latency_threshold=0.0, latency_curve="logarithmic"),
    Direct(time_window=6),
]
KINDS = [field.name for field in dataclasses.fields(EncodingOperations)]


def loops(encoder: Encoder, images: np.ndarray) -> dict[str, list[int]]:
    own = {}
    if isinstance(encoder, Latency):
        own = {"threshold": encoder.latency_threshold, "curve": encoder.latency_curve}
    counts = [
        naive.encoding_operations(encoder.name, image.tolist(), encoder.time_window, **own)
        for image in images
    ]
    return {kind: [count[kind] for count in counts] for kind in KINDS}


def test_every_code_that_says_it_is_counted_here() -> None:
    saying = {name for name, kind in ENCODERS.items() if kind.operations != Encoder.operations}
    assert {encoder.name for encoder in ENCODERS_HERE} == saying


@pytest.mark.parametrize("encoder", ENCODERS_HERE, ids=lambda encoder: encoder.name)
def test_as_counted_one_by_one(encoder: Encoder, mnist5k: Dataset) -> None:
    digits = mnist5k.test.images[:10]
    for images in (digits, np.array([[0, 0, 0], [0, 51, 52], [1, 254, 255]], np.uint8)):
        expected = loops(encoder, images.reshape(len(images), -1) / 255)
        for given in (images, images / 255):
            found = encoder.operations(given)
            assert found is not None
            for kind in KINDS:
                counts = getattr(found, kind)
                assert counts.dtype == np.int64
                assert counts.tolist() == expected[kind], kind
            assert found.totals == {kind: sum(counts) for kind, counts in expected.items()}
