"""All encoders, and those without randomness against loops and other simulators.

Tests of the Poisson encoding are in `test_encoding.py`.
"""

import numba
import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.binary import Binary
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Curve, Latency
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.encoders.regular import Regular
from spikejoule.encoding.events import EventList
from tests import naive

EVERY_LEVEL = np.arange(256, dtype=np.uint8)[None]
WITHOUT_CHANCE = [
    Binary(time_window=5, binary_threshold=0.45),
    Latency(time_window=20, latency_threshold=0.2),
    Latency(time_window=20, latency_threshold=0.0, latency_curve="logarithmic"),
    Regular(time_window=50, max_rate=80.0),
    Regular(time_window=9, max_rate=1000.0),
]
EVERY = [
    *WITHOUT_CHANCE,
    Poisson(time_window=25, max_rate=300.0),
    Direct(time_window=4),
]
KEY = np.uint64(0)


def same(one: EventList, other: EventList) -> bool:
    if one.currents is not None and other.currents is not None:
        mine = one.currents.to_dense(one.n_inputs)
        return np.array_equal(mine, other.currents.to_dense(one.n_inputs))
    return np.array_equal(one.to_dense(), other.to_dense())


def loops(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    """Dense spikes of 8-bit images [N, P] from the plain loops."""
    intensities = (images / 255).tolist()
    steps = encoder.time_window
    if isinstance(encoder, Binary):
        level = encoder.binary_threshold
        return np.array([naive.binary(image, steps, level) for image in intensities])
    if isinstance(encoder, Latency):
        curve = (encoder.latency_threshold, encoder.latency_curve)
        return np.array([naive.latency(image, steps, *curve) for image in intensities])
    assert isinstance(encoder, Regular)
    rate = encoder.max_rate
    return np.array([naive.regular(image, steps, rate) for image in intensities])


@pytest.mark.parametrize("encoder", EVERY, ids=lambda encoder: encoder.name)
class TestEveryEncoder:
    def test_only_an_image_and_its_identity_decide(
        self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not the batch, the order, the chunks, the memory layout, or the threads."""
        images = np.random.default_rng(0).integers(0, 256, (33, 6, 5)).astype(np.uint8)
        samples = np.random.default_rng(1).permutation(1_000_000)[:33]
        key = encoder.draw_key(7, "train", 3)
        whole = encoder.events(images, key, samples)
        some = np.random.default_rng(2).permutation(33)[:20]
        part = encoder.events(images[some], key, samples[some])
        assert same(part, whole.select(some))
        assert same(encoder.events(np.asfortranarray(images), key, samples), whole)
        before = numba.get_num_threads()
        for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            numba.set_num_threads(threads)
            assert same(encoder.events(images, key, samples), whole)
        numba.set_num_threads(before)
        for chunk_bytes in (1, 2 * 30 * encoder.time_window * 4):
            monkeypatch.setattr("spikejoule.encoding.kernels.CHUNK_BYTES", chunk_bytes)
            assert same(encoder.events(images, key, samples), whole)

    def test_images_that_are_refused(self, encoder: Encoder) -> None:
        for images in (
            np.array([[0.5, 1.0]]),
            np.zeros(4, np.uint8),
            np.zeros((1, 65_536), "u1"),
        ):
            with pytest.raises(ParameterError, match=f"images are {images.dtype}"):
                encoder.operations(images)
            with pytest.raises(ParameterError, match="of 1 to 65535 pixels"):
                encoder.events(images, KEY)

    def test_no_image_and_no_spike(self, encoder: Encoder) -> None:
        events = encoder.events(np.zeros((0, 4, 3), np.uint8), KEY)
        events.check()
        shape = (events.n_samples, events.n_steps, events.n_inputs)
        assert shape == (0, encoder.time_window, 12)
        assert encoder.events(np.zeros((3, 4), np.uint8), KEY).n_events == 0


def test_every_image_needs_an_identity() -> None:
    with pytest.raises(ParameterError, match="samples name 3 images, but there are 2"):
        Poisson(time_window=4, max_rate=80.0).events(
            np.zeros((2, 4), np.uint8), KEY, np.arange(3)
        )


@pytest.mark.parametrize(
    "encoder",
    WITHOUT_CHANCE,
    ids=lambda encoder: f"{encoder.name}-{encoder.time_window}",
)
def test_every_spike_is_that_of_plain_loops(encoder: Encoder) -> None:
    longest = encoder.model_copy(update={"time_window": 10_000})
    for each, levels in ((encoder, EVERY_LEVEL), (longest, EVERY_LEVEL[:, ::15])):
        events = each.events(levels, KEY)
        events.check()
        assert np.array_equal(events.to_dense(np.uint8), loops(each, levels))


@pytest.mark.slow
class TestLatencyInOtherSimulators:
    def test_snntorch(self) -> None:
        torch = pytest.importorskip("torch")
        spikegen = pytest.importorskip("snntorch.spikegen")
        # No level is at this threshold: 0.2 is 51 / 255.
        encoder = Latency(time_window=1000, latency_threshold=0.2001)
        levels = torch.tensor(EVERY_LEVEL / 255, dtype=torch.float32)
        how = {"normalize": True, "linear": True, "clip": True}
        theirs = spikegen.latency(levels, num_steps=1000, threshold=0.2001, **how)
        ours = encoder.events(EVERY_LEVEL, KEY).to_dense(np.uint8)
        assert np.array_equal(theirs.numpy().swapaxes(0, 1), ours)

    @pytest.mark.parametrize(
        ("curve", "name"), [("linear", "linear"), ("logarithmic", "log")]
    )
    def test_spikingjelly(self, curve: Curve, name: str) -> None:
        torch = pytest.importorskip("torch")
        encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
        encoder = Latency(time_window=50, latency_threshold=0.0, latency_curve=curve)
        other = encoding.LatencyEncoder(50, enc_function=name)
        levels = torch.tensor(EVERY_LEVEL / 255, dtype=torch.float32)
        theirs = np.stack([other(levels).numpy() for _ in range(50)], axis=1)
        theirs[:, :, 0] = 0  # black fires there
        ours = encoder.events(EVERY_LEVEL, KEY).to_dense(np.uint8)
        assert np.array_equal(theirs, ours)
