"""Whose counts are whose, and counts that cannot be: axes that look alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikejoule.core.errors import DataError
from tests.pricing.lif import LIF, price_model

C = 5

Layer = Callable[[Tensor], Tensor]

JOINS: dict[str, Callable[[Layer, Tensor], Tensor]] = {
    "not joined": lambda f, x: f(x),
    "samples first": lambda f, x: f(x.reshape(-1, C)).reshape(*x.shape[:2], -1),
    "flattened": lambda f, x: f(x.flatten(0, 1)).unflatten(0, x.shape[:2]),
    "tokens first": lambda f, x: (
        f(x.transpose(0, 1).reshape(-1, C))
        .reshape(x.shape[1], x.shape[0], -1)
        .transpose(0, 1)
    ),
    "permuted": lambda f, x: (
        f(x.permute(1, 0, 2).contiguous().view(-1, C))
        .view(x.shape[1], x.shape[0], -1)
        .permute(1, 0, 2)
    ),
    "an axis of tokens first": lambda f, x: f(x.transpose(0, 1)).transpose(0, 1),
    "token by token": lambda f, x: torch.stack([f(one) for one in x.unbind(1)], 1),
    "sample by sample": lambda f, x: torch.stack([f(one) for one in x]),
    "tokens in a row": lambda f, x: torch.stack(
        f(torch.cat(x.unbind(1))).chunk(x.shape[1]), 1
    ),
    "samples in a row": lambda f, x: torch.stack(
        f(torch.cat(x.unbind(0))).chunk(x.shape[0])
    ),
}


class Tokens(nn.Module):
    """A layer that sees N tokens of each sample, joined in some way."""

    def __init__(self, join: Callable[[Layer, Tensor], Tensor], n_tokens: int) -> None:
        super().__init__()
        self.join = join
        self.n_tokens = n_tokens
        self.layer = nn.Linear(C, 6)
        self.lif = LIF()
        self.out = nn.Linear(6 * n_tokens, 3)
        self.last = LIF()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(len(x), self.n_tokens, C)
        currents = self.join(self.layer, tokens).reshape(len(x), -1)
        out: Tensor = self.last(self.out(self.lif(currents)))
        return out


def events_of(model: nn.Module, x: Tensor) -> Any:
    return price_model(model, x, loop="price").activity.events


# Steps, samples, tokens: with equal numbers, sizes tell no axes apart.
@pytest.mark.parametrize("sizes", [(5, 4, 3), (4, 4, 3), (5, 4, 4), (2, 4, 8)], ids=str)
@pytest.mark.parametrize("join", JOINS)
def test_a_split_by_sample_is_right_or_absent(
    join: str, sizes: tuple[int, int, int]
) -> None:
    n_steps, n_samples, n_tokens = sizes
    torch.manual_seed(0)
    model = Tokens(JOINS[join], n_tokens).eval()
    rates = torch.linspace(0.1, 0.9, n_samples)[None, :, None]
    x = (torch.rand(n_steps, n_samples, n_tokens * C) < rates).float()
    alone = [int(events_of(model, x[:, n : n + 1])[0]) for n in range(n_samples)]
    if join == "sample by sample" and n_tokens % n_samples:
        with pytest.raises(DataError, match="no axis has the size"):
            events_of(model, x)
        return
    found = events_of(model, x)
    if len(found) == 1:
        assert join in (
            "tokens first",
            "permuted",
            "tokens in a row",
            "sample by sample",
            "an axis of tokens first",
        )
        assert found[0] == pytest.approx(np.mean(alone))
    else:
        assert found.tolist() == alone


def test_without_a_split_there_are_no_intervals() -> None:
    model = Tokens(JOINS["tokens first"], 3).eval()
    x = (torch.rand(5, 4, 3 * C) < torch.tensor([0.1, 0.4, 0.6, 0.9])[:, None]).float()
    report = price_model(model, x, loop="price")
    assert report.table["pj_interval_low"].isna().all()
    assert "there are no intervals" in str(report)


class OwnSteps(nn.Module):
    """A model that makes steps itself, as in tutorials of simulators."""

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        self.n_steps = n_steps
        self.first = nn.Linear(C, 8)
        self.lif = LIF()
        self.second = nn.Linear(8, 3)
        self.last = LIF()

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for _ in range(self.n_steps):
            outputs.append(self.last(self.second(self.lif(self.first(x)))))
        return torch.stack(outputs)


@pytest.mark.parametrize("loop", ["auto", "model", "price"])
@pytest.mark.parametrize("time_axis", [0, 1])
@pytest.mark.parametrize("n_steps", [6, 10])
def test_steps_inside_the_model_and_in_the_samples_are_refused(
    n_steps: int, time_axis: int, loop: str
) -> None:
    shape = (6, 4, C) if time_axis == 0 else (4, 6, C)
    x = (torch.rand(*shape) < 0.4).float()
    with pytest.raises(DataError, match="6 steps"):
        price_model(
            OwnSteps(n_steps).eval(),
            x,
            labels=[0, 1, 2, 0],
            time_axis=time_axis,
            loop=loop,
        )


def test_labels_that_cannot_be_used_are_named() -> None:
    class Several(OwnSteps):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[..., None, None]

    x = (torch.rand(4, C) < 0.4).float()
    model = Several(6).eval()
    report = price_model(model, x, labels=[0, 1, 2, 0], time_axis="none")
    assert "the labels were not used: the output" in str(report)
    assert "(6, 4, 3, 1, 1)" in str(report)


@pytest.mark.parametrize("is_active", [True, False])
def test_active_functional_dropout_is_named(is_active: bool) -> None:
    class Dropping(OwnSteps):
        def forward(self, x: Tensor) -> Tensor:
            x = functional.dropout(x, 0.5, training=is_active)
            return super().forward(x)

    x = (torch.rand(4, C) < 0.4).float()
    report = price_model(Dropping(6).eval(), x, time_axis="none")
    assert any("dropout" in words for words in report.not_counted) == is_active
