"""The module that `spikejoule.accelerate` returns, with neurons of one's own."""

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.accelerating.outputs import Output
from spikejoule.core.errors import DataError, ParameterError
from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
from spikejoule.pricing.modules.cells import Cell

T = 9
B = 6
DYNAMICS = Dynamics(SurrogateShape("fast_sigmoid", 1.0, 3.0), reset="subtract")


class FastSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient / (1 + 3 * x.abs()) ** 2


class PlainLIF(nn.Module):
    """Neurons of one's own, with a learned decay."""

    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.tensor(0.8))
        self.reset()

    def reset(self) -> None:
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = self.decay * self.v + x
        spikes: Tensor = FastSigmoid.apply(v - 1.0)
        self.v = v - spikes.detach()
        return spikes


class Readout(nn.Module):
    """Neurons that do not fire."""


NEURONS = {
    PlainLIF: lambda module: Cell(DYNAMICS, keep=module.decay),
    Readout: Cell(Dynamics(None, "none"), returns="potentials"),
}


def chain(*modules: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(*modules)
    for module in model:
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
            module.weight.data.mul_(3)
    return model


def dense() -> nn.Sequential:
    return chain(nn.Linear(12, 10), PlainLIF(), nn.Linear(10, 4), PlainLIF())


def spikes(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(T, B, *(shape or (12,)), generator=generator) < 0.4).float()


def stepped(model: nn.Module, x: Tensor) -> Tensor:
    """The model itself, one step after another."""
    for module in model.modules():
        if isinstance(module, PlainLIF):
            module.reset()
    return torch.stack([model(step) for step in x])


def gradients(model: nn.Module, out: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    weights = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
    (weights * out).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def check(model: nn.Module, x: Tensor, fast: nn.Module | None = None) -> nn.Module:
    """Outputs and gradients are those of the model."""
    fast = fast or spikejoule.accelerate(model, neurons=NEURONS)
    expected = stepped(model, x)
    assert expected.any()
    theirs = gradients(model, expected)
    out = fast(x)
    torch.testing.assert_close(out, expected)
    for name, gradient in gradients(model, out).items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5)
    return fast


def test_neurons_of_ones_own() -> None:
    fast = check(dense(), spikes())
    assert [*fast.parameters()] == [*fast.model.parameters()]


def test_the_counts_are_those_of_the_last_pass() -> None:
    model = dense()
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    assert fast.counts == {}
    x = spikes()
    stepped(model, x)
    hidden = stepped(model[:2], x)
    out = fast(x)
    assert fast.counts == {
        "input": int(x.sum()),
        "1": int(hidden.sum()),
        "3": int(out.sum()),
    }


def test_events_are_the_same_as_dense_spikes() -> None:
    images = np.random.default_rng(0).integers(0, 256, (B, 1, 8, 8), dtype=np.uint8)
    model = chain(
        nn.Conv2d(1, 3, 3, padding=1),
        PlainLIF(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 4),
        PlainLIF(),
    )
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    events = spikejoule.encode(images, steps=T, max_rate=400)
    x = torch.from_numpy(events.to_dense())
    check(model, x, fast)
    torch.testing.assert_close(fast(events), fast(x))
    for dtype in (torch.bool, torch.uint8, torch.float64, torch.int64):
        torch.testing.assert_close(fast(x.to(dtype)), fast(x))


def test_real_numbers_are_multiplied_by_pytorch() -> None:
    x = spikes() * torch.rand(T, B, 12)
    fast = check(dense(), x)
    assert fast.counts["input"] == 0
    image = torch.rand(T, B, 2, 6, 6)
    conv = nn.Conv2d(2, 3, 3, stride=2)
    check(chain(conv, PlainLIF(), nn.Flatten(), nn.Linear(12, 4), PlainLIF()), image)


def test_gradients_reach_what_made_the_samples() -> None:
    model = dense()
    before = nn.Linear(5, 12)
    x = torch.rand(T, B, 5)
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    grads = []
    for run in (lambda x: stepped(model, x), fast):
        before.zero_grad()
        run(before(x)).sum().backward()
        grads.append(before.weight.grad.clone())
    assert grads[0].any()
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-5)


def test_a_last_layer_without_neurons_returns_what_it_receives() -> None:
    check(chain(nn.Linear(12, 10), PlainLIF(), nn.Linear(10, 4)), spikes())


def test_training_is_that_of_the_model() -> None:
    """With an optimizer, a scheduler, and evaluation in between."""
    model = dense()
    twin = copy.deepcopy(model)
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    for network, run in ((model, fast), (twin, lambda x: stepped(twin, x))):
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        for number in range(4):
            optimizer.zero_grad()
            out = run(spikes(seed=number)).sum(0)
            nn.functional.cross_entropy(out, torch.arange(B) % 4).backward()
            optimizer.step()
            scheduler.step()
            with torch.no_grad():
                run(spikes(seed=9))
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast(spikes()), stepped(model, spikes()))


def test_it_is_a_module_like_any_other() -> None:
    fast = spikejoule.accelerate(dense(), neurons={PlainLIF: Cell(DYNAMICS, keep=0.8)})
    out = fast(spikes())
    fast.eval()
    assert not fast.model[1].training
    # A copy, and a file, take its parameters along.
    with torch.no_grad():
        fast(spikes())
    for module in fast.modules():
        if isinstance(module, PlainLIF):
            module.reset()
    copied = copy.deepcopy(fast)
    assert copied.model[0].weight is not fast.model[0].weight
    torch.testing.assert_close(copied(spikes()), out)
    buffer = io.BytesIO()
    torch.save(fast, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.load(buffer, weights_only=False)(spikes()), out)
    other = spikejoule.accelerate(
        chain(nn.Linear(12, 10), PlainLIF(), nn.Linear(10, 4), PlainLIF(), seed=5),
        neurons={PlainLIF: Cell(DYNAMICS, keep=0.8)},
    )
    assert not torch.equal(other(spikes()), out)
    other.load_state_dict(fast.state_dict())
    torch.testing.assert_close(other(spikes()), out)


def test_a_frozen_layer_has_no_gradient() -> None:
    model = dense()
    model[0].requires_grad_(False)
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    fast(spikes()).sum().backward()
    assert model[0].weight.grad is None
    assert model[2].weight.grad is not None


def test_in_double_precision() -> None:
    model = dense().double()
    x = spikes().double()
    out = spikejoule.accelerate(model, neurons=NEURONS)(x)
    expected = stepped(model, x)
    assert out.dtype == torch.float64
    torch.testing.assert_close(out, expected)


class Loop(nn.Module):
    """A loop over time in `forward`, which returns what `answer` makes."""

    def __init__(self, answer: Any, axis: int = 0, changes: Any = lambda x: x) -> None:
        super().__init__()
        self.layers = dense()
        self.answer = answer
        self.axis = axis
        self.changes = changes

    def forward(self, x: Tensor) -> Any:
        for module in self.layers[1::2]:
            module.reset()
        out = []
        for step in x.unbind(self.axis):
            hidden = self.layers[1](self.layers[0](step))
            out.append(self.layers[3](self.layers[2](self.changes(hidden))))
        return self.answer(torch.stack(out))


ANSWERS = {
    "of all steps": lambda y: y,
    "of all steps, samples first": lambda y: y.transpose(0, 1),
    "summed over the steps": lambda y: y.sum(0),
    "of their mean": lambda y: y.mean(0),
    "of the last step": lambda y: y[-1],
}


@pytest.mark.parametrize("form", ANSWERS)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_model_with_a_loop_is_run_to_find_its_order(form: str, axis: int) -> None:
    model = Loop(ANSWERS[form], axis)
    x = spikes().transpose(0, axis)
    fast = spikejoule.accelerate(model, x, neurons=NEURONS)
    assert fast._reading.outputs == Output("spikes", form)
    other = spikes(seed=4).transpose(0, axis)
    torch.testing.assert_close(fast(other), model(other))


def test_an_output_may_be_nested_and_the_first_batch_is_the_example() -> None:
    model = Loop(lambda y: {"all": y, "sums": (y.sum(0), y[-1])})
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    out, expected = fast(spikes()), model(spikes())
    assert out.keys() == expected.keys()
    torch.testing.assert_close(out["all"], expected["all"])
    torch.testing.assert_close(out["sums"], expected["sums"])


def test_samples_without_time_are_the_input_of_every_step() -> None:
    class Own(Loop):
        def forward(self, x: Tensor) -> Any:
            return super().forward(x.expand(5, *x.shape))

    model = Own(lambda y: y)
    x = torch.rand(B, 12)
    fast = spikejoule.accelerate(model, x, neurons=NEURONS)
    out = fast(x)
    assert out.any()
    torch.testing.assert_close(out, model(x))


def refusals() -> dict[str, tuple[Any, str]]:
    lif = PlainLIF
    return {
        "a module that is not known": (
            lambda: chain(nn.Linear(12, 4), nn.BatchNorm1d(4), lif()),
            r"1 \(BatchNorm1d\) is not known; allowed are Linear, Conv2d",
        ),
        "no neurons": (lambda: chain(nn.Linear(12, 4)), "no known neurons"),
        "linear layers in a row": (
            lambda: chain(nn.Linear(12, 9), nn.Linear(9, 4), lif()),
            r"1 \(Linear\) follows 0 \(Linear\); needed between them: neurons",
        ),
        "neurons in a row": (
            lambda: chain(nn.Linear(12, 9), lif(), lif()),
            r"2 \(PlainLIF\) receives spikes without weights",
        ),
        "potentials that are passed on": (
            lambda: chain(nn.Linear(12, 9), Readout(), nn.Linear(9, 4), lif()),
            r"1 \(Readout\) passes its potentials on",
        ),
        "pooling of currents": (
            lambda: chain(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), lif()),
            r"1 \(AvgPool2d\) follows 0 \(Conv2d\)",
        ),
        "overlapping windows": (
            lambda: chain(
                nn.Conv2d(1, 2, 3), lif(), nn.AvgPool2d(3, 2), nn.Conv2d(2, 1, 2), lif()
            ),
            "AvgPool2d has other windows; allowed is",
        ),
        "max pooling": (
            lambda: chain(
                nn.Conv2d(1, 2, 3), lif(), nn.MaxPool2d(2), nn.Conv2d(2, 1, 2), lif()
            ),
            r"2 \(MaxPool2d\) is not known",
        ),
        "dilation": (
            lambda: chain(nn.Conv2d(1, 2, 3, dilation=2), lif()),
            r"Conv2d has dilation=\(2, 2\); allowed is 1",
        ),
        "padding mode": (
            lambda: chain(
                nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), lif()
            ),
            "Conv2d has padding_mode='circular'; allowed is 'zeros'",
        ),
    }


@pytest.mark.parametrize("name", refusals())
def test_what_is_refused(name: str) -> None:
    make, said = refusals()[name]
    with pytest.raises(ParameterError, match=said) as refusal:
        spikejoule.accelerate(make(), neurons=NEURONS)
    assert str(refusal.value).endswith(".")


def test_dropout_is_refused_in_training_only() -> None:
    model = chain(nn.Linear(12, 9), PlainLIF(), nn.Dropout(0.5), nn.Linear(9, 4))
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    with pytest.raises(ParameterError, match="2 drops spikes in training mode"):
        fast(spikes())
    check(model.eval(), spikes(), fast.eval())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Loop(lambda y: y.sum(0), changes=torch.relu_), ""),
        (
            Loop(lambda y: y, changes=lambda s: 2 * s),
            "layers.2 receives something other than what layers.1 returns",
        ),
        (Loop(lambda y: y.std(0)), "made in another way"),
        (Loop(lambda y: "spikes"), "returns a str"),
    ],
)
def test_a_model_that_computes_something_else_is_refused(
    model: nn.Module, said: str
) -> None:
    if not said:
        spikejoule.accelerate(model, spikes(), neurons=NEURONS)
        return
    with pytest.raises(ParameterError, match=said):
        spikejoule.accelerate(model, spikes(), neurons=NEURONS)


def test_samples_that_do_not_fit_are_refused() -> None:
    fast = spikejoule.accelerate(dense(), neurons=NEURONS)
    with pytest.raises(ParameterError, match="needed: 12 units"):
        fast(spikes(11))
    with pytest.raises(DataError, match="axes of time, samples and units"):
        fast(torch.zeros(B, 12))
    half = spikejoule.accelerate(dense().half(), neurons=NEURONS)
    with pytest.raises(ParameterError, match="allowed are float32 or float64"):
        half(spikes())


def no_hook(*_: Any) -> None:
    """Change nothing."""


HOOKS = {
    "before": lambda module: module.register_forward_pre_hook(no_hook),
    "after": lambda module: module.register_forward_hook(no_hook, with_kwargs=True),
    "before backward": lambda module: module.register_full_backward_pre_hook(no_hook),
    "after backward": lambda module: module.register_full_backward_hook(no_hook),
}


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("name", ["", "0", "1"])
def test_hooks_of_the_model_are_refused_whenever_they_are_added(
    kind: str, name: str
) -> None:
    model = dense()
    fast = spikejoule.accelerate(model, neurons=NEURONS)
    fast(spikes())
    handle = HOOKS[kind](model.get_submodule(name))
    with pytest.raises(ParameterError, match="has hooks, which would not run; allowed"):
        fast(spikes())
    with pytest.raises(ParameterError, match="has hooks, which would not run; allowed"):
        spikejoule.accelerate(model, neurons=NEURONS)
    handle.remove()
    HOOKS[kind](fast)
    fast(spikes())
