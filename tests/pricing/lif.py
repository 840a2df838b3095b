"""A neuron of one's own, in plain torch."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

import spikejoule
from spikejoule import Population


class LIF(nn.Module):
    """v = 0.9 v + x; a spike where v >= 1, and v = 0 behind it; one step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget the potential."""
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of a step."""
        v = 0.9 * self.v + x
        spikes = (v >= 1).to(x.dtype)
        self.v = torch.where(spikes > 0, 0, v)
        return spikes


def price_model(model: nn.Module, x: Tensor, **arguments: Any) -> spikejoule.Report:
    """Price a model with these neurons on samples [T, N, ...], without warnings."""
    settings = {"neurons": {LIF: Population()}, "progress": False, "time_axis": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spikejoule.price(model, x, **{**settings, **arguments})
