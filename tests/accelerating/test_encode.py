"""`spikejoule.encode`: the spikes, and what takes them."""

import numpy as np
import pytest
import torch
from torch import nn

import spikejoule
from spikejoule.core.errors import DataError, ParameterError, SpikejouleError
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.encoders.poisson import Poisson

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 2, 5, 4), dtype=np.uint8)


def test_the_spikes_are_the_encoders() -> None:
    encoder = Poisson(time_window=9, max_rate=300.0)
    events = encoder.events(IMAGES, encoder.draw_key(7, "test", 0))
    ours = spikejoule.encode(IMAGES, "poisson", steps=9, seed=7, max_rate=300)
    dense = ours.to_dense()
    assert dense.shape == (9, 6, 2, 5, 4)
    flat = dense.reshape(9, 6, 40).swapaxes(0, 1)
    np.testing.assert_array_equal(flat, events.to_dense())
    other = spikejoule.encode(IMAGES, "poisson", steps=9, seed=8, max_rate=300)
    assert (other.to_dense() != dense).any()


def test_intensities_are_bytes() -> None:
    """As `ToTensor` makes them, in float32."""
    intensities = torch.from_numpy(IMAGES).float() / 255
    ours = spikejoule.encode(intensities, "latency", steps=9, latency_threshold=0.5)
    encoder = Latency(time_window=9, latency_threshold=0.5)
    events = encoder.events(IMAGES, np.uint64(0))
    np.testing.assert_array_equal(ours.events.sources, events.sources)


def test_samples_are_chosen_by_position_and_drawn_by_identity() -> None:
    whole = spikejoule.encode(IMAGES, steps=9, seed=1)
    assert len(whole) == 6
    part = whole[np.array([4, 1])]
    np.testing.assert_array_equal(part.to_dense(), whole.to_dense()[:, [4, 1]])
    chosen = np.array([4, 1])
    again = spikejoule.encode(IMAGES[chosen], steps=9, seed=1, samples=chosen)
    np.testing.assert_array_equal(again.to_dense(), part.to_dense())


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"encoding": "rate"}, ParameterError, "latency, poisson, regular"),
        ({"encoding": "direct"}, ParameterError, "latency, poisson, regular"),
        ({"steps": 0}, ParameterError, "steps is 0"),
        ({"seed": -1}, ParameterError, "seed is -1"),
        ({"max_rate": 2000}, ParameterError, "max_rate is 2000"),
        ({"rate": 20}, ParameterError, "rate is unknown"),
        ({"images": IMAGES / 100}, DataError, "from 0 to 2.5"),
        ({"images": IMAGES.astype(np.int64)}, DataError, "int64"),
    ],
)
def test_what_is_refused(
    settings: dict, error: type[SpikejouleError], said: str
) -> None:
    arguments = {"images": IMAGES, "steps": 9, **settings}
    with pytest.raises(error, match=said) as refusal:
        spikejoule.encode(arguments.pop("images"), **arguments)
    assert str(refusal.value).endswith(".")


class Threshold(nn.Module):
    """Neurons that keep no potential."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x > 0.5).float()


@pytest.mark.parametrize("time_axis", [0, 1])
def test_price_takes_events(time_axis: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(40, 7), Threshold(), nn.Linear(7, 3), Threshold()
    )
    for layer in (model[1], model[3]):
        layer.weight.data.mul_(5)
    events = spikejoule.encode(IMAGES, steps=9, seed=1)
    settings = {
        "loop": "price",
        "neurons": {Threshold: spikejoule.Population()},
        "progress": False,
    }
    by_events = spikejoule.price(
        model.eval(), events, time_axis=time_axis, batch_size=4, **settings
    )
    dense = torch.from_numpy(events.to_dense())
    by_tensor = spikejoule.price(model.eval(), dense, time_axis=0, **settings)
    np.testing.assert_array_equal(by_events.activity.events, by_tensor.activity.events)
