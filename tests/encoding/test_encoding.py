"""The Poisson encoding against the Bernoulli law and plain loops, and its keys.

Tests of randomness draw from fixed seeds, so their outcome repeats. Their bounds are at
a level of 1 in 1000 per test, split over its comparisons (Bonferroni).
"""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests import naive
from tests.tools.settings import draw_key, encode

LEVEL = 1e-3
EVERY_LEVEL = np.arange(256, dtype=np.uint8)


def two_sided(counts: np.ndarray, trials: int, p: np.ndarray) -> np.ndarray:
    """Exact p-value of each binomial count."""
    lower = stats.binom.cdf(counts, trials, p)
    upper = stats.binom.sf(counts - 1, trials, p)
    return np.minimum(1.0, 2 * np.minimum(lower, upper))


class TestBernoulliLaw:
    @pytest.mark.parametrize("max_rate_hz", [80.0, 1000.0])
    def test_rate_of_every_level(self, max_rate_hz: float) -> None:
        n_samples = 600
        n_steps = 50
        images = np.tile(EVERY_LEVEL, (n_samples, 1))
        events = encode(images, n_steps, max_rate_hz, draw_key(0, "train", 1))
        events.check()
        p = EVERY_LEVEL / 255 * max_rate_hz / 1000
        counts = events.counts_per_source()
        random = (p > 0) & (p < 1)
        values = two_sided(counts[random], n_samples * n_steps, p[random])
        assert values.min() > LEVEL / random.sum()
        assert counts[0] == 0
        if max_rate_hz == 1000:
            assert counts[255] == n_samples * n_steps

    def test_steps_pixels_samples_and_keys_are_independent(self) -> None:
        images = np.full((200, 100), 255, np.uint8)
        p = 0.08

        def noise_of(*key: Any) -> np.ndarray:
            events = encode(images, 60, 80.0, draw_key(*key))
            return (events.to_dense(np.float64) - p) / np.sqrt(p * (1 - p))

        noise = noise_of(5, "train", 1)
        pairs = {
            "lag 1": (noise[:, 1:], noise[:, :-1]),
            "lag 2": (noise[:, 2:], noise[:, :-2]),
            "next pixel": (noise[:, :, 1:], noise[:, :, :-1]),
            "next sample": (noise[1:], noise[:-1]),
            "next pixel a step later": (noise[:, 1:, 1:], noise[:, :-1, :-1]),
            "next seed": (noise, noise_of(6, "train", 1)),
            "next epoch": (noise, noise_of(5, "train", 2)),
            "other split": (noise, noise_of(5, "test", 1)),
        }
        bound = stats.norm.isf(LEVEL / 2 / len(pairs))
        for name, (one, other) in pairs.items():
            correlation = (one * other).mean() * np.sqrt(one.size)
            assert abs(correlation) < bound, name


@pytest.mark.parametrize("max_rate_hz", [80.0, 1000.0])
def test_every_spike_is_that_of_plain_loops(max_rate_hz: float) -> None:
    """The random stream is part of the format: it must never change."""
    generator = np.random.default_rng(8)
    images = generator.choice(np.array([0, 1, 99, 254, 255], np.uint8), (4, 90))
    samples = [0, 1, 69_999, 2**31]
    key = draw_key(11, "validation", 3)
    events = encode(images, 40, max_rate_hz, key, np.array(samples))
    p = (images / 255 * max_rate_hz / 1000).tolist()
    for number, dense in enumerate(events.to_dense(np.uint8)):
        expected = naive.poisson(p[number], 40, int(key), samples[number])
        assert np.array_equal(dense, expected)
