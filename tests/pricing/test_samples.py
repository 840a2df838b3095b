"""Whose counts are whose, and counts that cannot be: axes that look alike."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikejoule import Population
from spikejoule.core.errors import DataError
from tests.pricing.lif import LIF, price_model
from tests.tools.counted import by_kind

C = 5

Layer = Callable[[Tensor], Tensor]


def joined_at_random(draw: random.Random, layer: Layer, x: Tensor) -> Tensor:
    """Apply a layer to x [.., .., .., C], its axes permuted, joined or taken apart."""
    order = draw.sample(range(3), 3)
    moved = x.permute(*order, 3)
    sizes = moved.shape[:3]
    kind = draw.choice(["permuted", "all", "first", "last", "unbind", "cat", "chunk"])
    axis = draw.choice([0, 1, 2])
    if kind == "permuted":
        out = layer(moved)
    elif kind == "all":
        out = layer(moved.reshape(-1, C)).reshape(*sizes, -1)
    elif kind == "first":
        out = layer(moved.flatten(0, 1)).unflatten(0, sizes[:2])
    elif kind == "last":
        out = layer(moved.flatten(1, 2)).unflatten(1, sizes[1:])
    elif kind == "unbind":
        out = torch.stack([layer(one) for one in moved.unbind(axis)], axis)
    elif kind == "cat":
        parts = layer(torch.cat(moved.unbind(2))).chunk(sizes[2])
        out = torch.stack(parts, 2)
    else:
        out = torch.cat([layer(part) for part in moved.chunk(2, axis)], axis)
    return out.permute(*[order.index(number) for number in range(3)], 3)


class Steps(nn.Module):
    """Multi-step neurons, [T, B, ...]."""

    def forward(self, x: Tensor) -> Tensor:
        lif = LIF()
        return torch.stack([lif(step) for step in x])


class Joined(nn.Module):
    """A layer on [B, tokens, parts, C] in a step, or on [T, B, tokens, C]."""

    def __init__(self, seed: int, tokens: tuple[int, ...]) -> None:
        super().__init__()
        self.seed = seed
        self.tokens = tokens
        self.layer = nn.Linear(C, 6)
        self.lif = LIF() if len(tokens) == 2 else Steps()

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.unflatten(-1, (*self.tokens, C))
        current = joined_at_random(random.Random(self.seed), self.layer, tokens)
        out: Tensor = self.lif(current.flatten(-1 - len(self.tokens)))
        return out


@pytest.mark.parametrize("loop", ["price", "model"])
def test_splits_of_joins_drawn_at_random_are_right_or_absent(loop: str) -> None:
    neurons = {LIF: Population(), Steps: Population(time=0)}
    n_right = n_absent = 0
    for seed in range(100):
        draw = random.Random(seed)
        n_steps, n_samples, *tokens = (draw.choice([2, 3, 4, 6]) for _ in range(4))
        model = Joined(seed, tuple(tokens[: 2 if loop == "price" else 1])).eval()
        rates = torch.linspace(0.1, 0.9, n_samples)[torch.randperm(n_samples)]
        shape = (n_steps, n_samples, C * int(np.prod(model.tokens)))
        x = (torch.rand(shape) < rates[:, None]).float()
        report = price_model(model, x, loop=loop, neurons=neurons)
        found: Any = sum(by_kind(report.activity)["events"].values())
        expected = (6 * x.double().sum((0, 2))).numpy()
        if len(found) == 1:
            n_absent += 1
            assert found[0] == pytest.approx(expected.mean()), seed
        else:
            n_right += 1
            assert found.tolist() == expected.tolist(), seed
    assert n_right > 45
    assert n_right + n_absent == 100


def transposed(x: Tensor) -> Tensor:
    return x.transpose(0, 1).reshape(-1, C)


def in_a_row(x: Tensor) -> Tensor:
    return torch.cat(x.unbind(1))


class TwoOrders(nn.Module):
    """Two layers on the same samples and steps, merged in two orders."""

    def __init__(self, merge: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.merge = merge
        self.first, self.second = nn.Linear(C, 6), nn.Linear(C, 6)
        self.lif = Steps()

    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[:2]
        steps_first, samples_first = x.flatten(0, 1), self.merge(x)
        one = self.first(steps_first).unflatten(0, sizes)
        other = self.second(samples_first).unflatten(0, (*sizes[::-1],))
        out: Tensor = self.lif(one + other.transpose(0, 1))
        return out


@pytest.mark.parametrize("merge", [transposed, in_a_row])
def test_two_orders_of_one_size_are_not_confused(
    merge: Callable[[Tensor], Tensor],
) -> None:
    x = (torch.rand(5, 4, C) < torch.tensor([0.1, 0.4, 0.6, 0.9])[:, None]).float()
    neurons = {LIF: Population(), Steps: Population(time=0)}
    report = price_model(TwoOrders(merge).eval(), x, loop="model", neurons=neurons)
    means = {len(events) for events in by_kind(report.activity)["events"].values()}
    assert means == {1}
    total = report.activity.events.sum()
    assert total == pytest.approx(2 * 6 * float(x.sum()) / 4)
    assert report.table["pj_interval_low"].isna().all()
    assert "there are no intervals" in str(report)


class TokenByToken(Joined):
    """The layer's sums over all tokens of [T, B, tokens, C]."""

    def forward(self, x: Tensor) -> Tensor:
        currents = [self.layer(token) for token in x.unbind(2)]
        out: Tensor = self.lif(torch.stack(currents).sum(0))
        return out


def test_a_layer_on_each_token_of_all_steps_is_no_step_of_the_model() -> None:
    """As many tokens as steps, and more."""
    for n_tokens in (4, 9):
        model = TokenByToken(0, (n_tokens,)).eval()
        x = (torch.rand(4, 3, n_tokens, C) < 0.4).float()
        neurons = {LIF: Population(), Steps: Population(time=0)}
        report = price_model(model, x, loop="model", neurons=neurons)
        (events,) = by_kind(report.activity)["events"].values()
        assert events.tolist() == (6 * x.sum((0, 2, 3))).tolist()
        # Every synapse at every token in every step.
        assert report.activity.dense_operations_per_inference == 4 * n_tokens * 6 * C


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


def test_a_module_left_in_training_mode_is_named() -> None:
    model = nn.Sequential(nn.Linear(C, 8), LIF(), nn.Dropout(), nn.Linear(8, 3), LIF())
    model.eval()[2].train()
    report = price_model(model, (torch.rand(6, 4, C) < 0.4).float())
    assert "2 (Dropout) ran in training mode" in " ".join(report.notes)


@pytest.mark.parametrize("is_active", [True, False])
def test_active_functional_dropout_is_named(is_active: bool) -> None:
    class Dropping(OwnSteps):
        def forward(self, x: Tensor) -> Tensor:
            x = functional.dropout(x, 0.5, training=is_active)
            return super().forward(x)

    x = (torch.rand(4, C) < 0.4).float()
    report = price_model(Dropping(6).eval(), x, time_axis="none")
    assert any("dropout" in words for words in report.not_counted) == is_active


class Parts(nn.Module):
    """Layers that do not see all samples at once, and neurons that do."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = forward
        self.first, self.second = nn.Linear(C, 6), nn.Linear(C, 6)
        self.lif = LIF()
        self.register_buffer("positions", torch.rand(C))
        self.register_buffer("sparse", torch.eye(3).to_sparse())

    def forward(self, x: Tensor) -> Tensor:
        return self.lif(self.function(self, x))  # type: ignore[no-any-return]


def one_expert_per_sample(m: Any, x: Tensor) -> Tensor:
    rows = [m.first(one) if one[0] else m.second(one) for one in x]
    return torch.stack(rows)


def batches_of_one(m: Any, x: Tensor) -> Tensor:
    rows = [m.first(one) if one[0, 0] else m.second(one) for one in x.split(1)]
    return torch.cat(rows)


def masked_rows(m: Any, x: Tensor) -> Tensor:
    is_first = x[:, 0] == 1
    out = torch.zeros(len(x), 6)
    out[is_first] = m.first(x[is_first])
    out[is_first == 0] = m.second(x[is_first == 0])
    return out


def masked_product(m: Any, x: Tensor) -> Tensor:
    is_first = x[:, 0] == 1
    out = torch.zeros(len(x), 6)
    out[is_first] = functional.relu(x[is_first] @ m.first.weight.T)
    out[is_first == 0] = functional.linear(x[is_first == 0], m.second.weight) * 0.5
    return out


@pytest.mark.parametrize("batch_size", [7, 3])
@pytest.mark.parametrize(
    "function",
    [one_expert_per_sample, batches_of_one, masked_rows, masked_product],
)
def test_totals_where_a_call_takes_some_samples(
    function: Callable[[Any, Tensor], Tensor], batch_size: int
) -> None:
    x = (torch.rand(5, 7, C) < 0.4).float()
    model = Parts(function).eval()
    report = price_model(model, x, loop="price", batch_size=batch_size)
    totals = {
        kind: {place: round(7 * mean.item()) for place, mean in found.items()}
        for kind, found in by_kind(report.activity).items()
    }
    is_first = x[..., 0] == 1
    entered = {"first": x[is_first], "second": x[~is_first]}
    assert totals["events"] == {name: 6 * rows.sum() for name, rows in entered.items()}
    # One layer or the other adds its bias to each row; the function has none.
    n_biases = 0 if function is masked_product else 5 * 7 * 6
    assert sum(totals["biases"].values()) == n_biases
    assert totals["updates"]["lif"] == 5 * 7 * 6
    assert "there are no intervals" in str(report)


def test_a_layer_on_a_buffer_runs_once() -> None:
    x = (torch.rand(5, 7, C) < 0.4).float()
    model = Parts(lambda m, x: m.first(x) + m.second(m.positions)).eval()
    report = price_model(model, x, loop="price")
    (events,) = by_kind(report.activity)["events"].values()
    assert events.tolist() == (6 * x.sum((0, 2))).tolist()
    assert report.not_counted == ()


def test_a_batch_of_one_sample_is_no_batch_of_steps() -> None:
    x = (torch.rand(6, 3, C) < 0.4).float()
    model = nn.Sequential(nn.Linear(C, 9), LIF(), nn.Linear(9, 3), LIF()).eval()
    model[0].weight.data.mul_(4)
    whole, single = (price_model(model, x, batch_size=size) for size in (3, 1))
    assert single.activity.events.tolist() == whole.activity.events.tolist()


@dataclass
class Batch:
    """Samples, labels, and what is neither."""

    events: Tensor
    target: Tensor
    path: str = "a file"


def test_batches_in_dictionaries_and_dataclasses() -> None:
    x = (torch.rand(6, 4, C) < 0.4).float()
    labels = torch.tensor([0, 1, 2, 0])
    model = nn.Sequential(nn.Linear(C, 3), LIF()).eval()
    reports = [
        price_model(model, [batch])
        for batch in (
            (x, labels),
            {"image": x, "label": labels, "names": ["a", "b", "c", "d"]},
            Batch(x, labels),
        )
    ]
    assert len({str(report) for report in reports}) == 1
    assert reports[0].analysis.inputs.variant.test_percent is not None
    with pytest.raises(DataError, match="a batch is image, mask; needed are one"):
        price_model(model, [{"image": x, "mask": x}])
