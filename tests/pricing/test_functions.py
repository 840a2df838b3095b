"""`spikejoule.price` counts products that functions compute, and names other functions.

Expected counts come from loops over the spikes that entered.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook

import spikejoule
from spikejoule import Population
from tests.pricing.lif import LIF, price_model
from tests.tools.counted import by_kind

N, T, K, R = 7, 5, 12, 4
BOTH, ONE = 3, 6  # tokens of attention


def price(model: nn.Module, x: Tensor, **arguments: Any) -> spikejoule.Report:
    return price_model(model.eval(), x, **arguments)


class Around(nn.Module):
    """Spikes enter a function of weights, and neurons follow."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(K, R))
        self.bias = nn.Parameter(torch.randn(R))
        self.register_buffer("mask", (torch.rand(K, R) < 0.5).float())
        self.register_buffer("room", torch.zeros(N, K))
        self.plain = torch.randn(K, R)
        self.lif = LIF()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.lif(self.function(self, x))  # type: ignore[no-any-return]


class Quantised(NamedTuple):
    """A tensor and its scale, which PyTorch's functions take like a tensor.

    Brevitas' QuantTensor is such a class.
    """

    value: Tensor
    scale: float = 1.0

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        values = [x.value if isinstance(x, cls) else x for x in args]
        return function(*values, **(kwargs or {}))


WITH_WEIGHTS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "linear": lambda m, x: functional.linear(x, m.w.t(), m.bias),
    "linear by keywords": lambda m, x: functional.linear(input=x, weight=m.w.t()),
    "matmul": lambda m, x: torch.matmul(x, m.w),
    "operator": lambda m, x: x @ m.w,
    "weights on the left": lambda m, x: (m.w.t() @ x.t()).t(),
    "mm": lambda m, x: x.mm(m.w),
    "addmm": lambda m, x: torch.addmm(m.bias, x, m.w),
    "einsum": lambda m, x: torch.einsum("bi,io->bo", x, m.w),
    "einsum, any axes": lambda m, x: torch.einsum("...i,io->...o", x, m.w),
    "einsum, weights first": lambda m, x: torch.einsum("io,bi->bo", m.w, x),
    "bmm": lambda m, x: torch.bmm(x[:, None], m.w.expand(len(x), -1, -1))[:, 0],
    "conv1d": lambda m, x: functional.conv1d(x[..., None], m.w.t()[..., None])[..., 0],
    "conv2d": lambda m, x: functional.conv2d(
        x[..., None, None], m.w.t()[..., None, None]
    ).flatten(1),
    "conv_transpose1d": lambda m, x: functional.conv_transpose1d(
        x[..., None], m.w[..., None]
    )[..., 0],
    "masked weights": lambda m, x: x @ (m.w * m.mask),
    "weights in no buffer": lambda m, x: x @ m.plain + m.bias,
    "spikes in a buffer": lambda m, x: torch.add(x, 0, out=m.room[: len(x)]) @ m.w,
    "weights in a class of their own": lambda m, x: functional.linear(
        x, Quantised(m.w.t()), m.bias
    ),
    "both in a class of their own": lambda m, x: torch.matmul(
        Quantised(x), Quantised(m.w)
    ),
    "weights in the type of the spikes": lambda m, x: x @ m.w.double().type_as(x),
    "integers": lambda m, x: (x.long() @ (8 * m.w).long()).float(),
}


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_a_function_of_spikes_and_weights(name: str) -> None:
    model = Around(WITH_WEIGHTS[name])
    x = (torch.rand(T, N, K) < 0.3).float()
    for batch_size in (N, 3):
        report = price(model, x, loop="price", batch_size=batch_size)
        (events,) = by_kind(report.activity)["events"].values()
        assert events.tolist() == (R * x.sum(dim=(0, 2))).tolist()
        assert report.not_counted == ()


def test_a_function_that_only_a_later_batch_reaches() -> None:
    model = Around(lambda m, x: x @ m.w if x.sum() > N * K / 2 else x[:, :R])
    x = torch.cat([torch.zeros(T, N, K), torch.ones(T, N, K)], dim=1)
    report = price(model, x, loop="price", batch_size=N)
    (events,) = by_kind(report.activity)["events"].values()
    assert events.tolist() == N * [0] + N * [T * K * R]


def by_data(x: Tensor) -> None:
    x.data[:, ::2] = 0


def by_array(x: Tensor) -> None:
    x.numpy()[:, ::2] = 0


@pytest.mark.parametrize("clear", [by_data, by_array])
def test_spikes_that_are_cleared_unseen(clear: Callable[[Tensor], None]) -> None:
    class Cleared(Around):
        def forward(self, x: Tensor) -> Tensor:
            spikes = self.lif(x)
            clear(spikes)
            return self.last(spikes)  # type: ignore[no-any-return]

    model = Cleared(lambda _, x: x)
    model.last = nn.Linear(K, R)
    x = (torch.rand(T, N, K) < 0.4).float()
    report = price(model, x, loop="price")
    left = R * x[..., 1::2].sum(dim=(0, 2))
    assert by_kind(report.activity)["events"]["last"].tolist() == left.tolist()


@pytest.mark.parametrize("shape", [(T, N), (T * N,)])
def test_of_values_with_steps_and_samples_in_one_axis(shape: tuple[int, ...]) -> None:
    class Merged(Around):
        def forward(self, x: Tensor) -> Tensor:
            current = x.reshape(*shape, BOTH, K) @ self.w
            return super().forward(current.reshape(T, -1, BOTH, R).flatten(2))

    model = Merged(lambda _, x: x)
    x = torch.rand(T, N, BOTH, K) * (torch.rand(T, N, BOTH, K) < 0.5)
    report = price(model, x, loop="model", neurons={LIF: Population(time=0)})
    (macs,) = by_kind(report.activity)["macs"].values()
    expected = R * (x != 0).sum(dim=(0, 2, 3))
    if len(macs) == 1:
        # A model of one batch size does not run on single samples.
        assert shape[0] != -1
        assert macs[0] == pytest.approx(float(expected.double().mean()))
    else:
        assert macs.tolist() == expected.tolist()


def through(x: Tensor, weights: Tensor) -> Tensor:
    """One line of code for several products."""
    return x @ weights


def convolved(x: Tensor, m: Any, **settings: Any) -> Tensor:
    kernel: Tensor = m.bias[:3].view(1, 1, 3)
    return functional.conv1d(x[:, None], kernel, **settings)[:, 0]


def windows(stride: int = 1, dilation: int = 1, padding: int = 0) -> list[int]:
    """The windows of three that each of the K inputs is in."""
    starts = range(-padding, K + padding - 2 * dilation, stride)
    windows = [range(start, start + 3 * dilation, dilation) for start in starts]
    return [sum(unit in window for window in windows) for unit in range(K)]


FIRST = [unit < R for unit in range(K)]
SEVERAL: dict[str, dict[Callable[[Any, Tensor], Tensor], Any]] = {
    "slices": {
        lambda m, x: through(x, m.w[:, :3]): K * [3],
        lambda m, x: through(x, m.w): K * [R],
    },
    "a matrix and its transpose": {
        lambda m, x: through(x, m.w): K * [R],
        lambda m, x: through(x[:, :R], m.w.t()): K * np.array(FIRST),
    },
    "rounded weights of two shapes": {
        lambda m, x: through(x, m.w[:, :3].sign()): K * [3],
        lambda m, x: through(x, m.w.sign()): K * [R],
    },
    "rounded weights of one shape": {
        lambda m, x: through(x, m.w.sign()): K * [R],
        lambda m, x: through(x, m.mask / m.mask.max()): K * [R],
    },
    "strides": {
        lambda m, x: convolved(x, m): windows(),
        lambda m, x: convolved(x, m, stride=2): windows(stride=2),
    },
    "settings with one shape of output": {
        lambda m, x: convolved(x, m): windows(),
        lambda m, x: convolved(x, m, dilation=2, padding=1): windows(1, 2, 1),
    },
}


@pytest.mark.parametrize("name", SEVERAL)
def test_products_in_one_line_of_code_are_counted_apart(name: str) -> None:
    functions = SEVERAL[name]
    model = Around(lambda m, x: sum(run(m, x)[:, :2] for run in functions))  # type: ignore[arg-type, return-value]
    x = (torch.rand(T, N, K) < 0.3).float()
    for batch_size in (N, 3):
        report = price(model, x, loop="price", batch_size=batch_size)
        events = by_kind(report.activity)["events"].values()
        by_unit = x.sum(dim=0).int().numpy()
        expected = [(by_unit @ fan_out).tolist() for fan_out in functions.values()]
        assert [found.tolist() for found in events] == expected
        assert report.not_counted == ()


class TwoSided(nn.Module):
    """Attention in four heads between spikes, or real numbers, of two inputs."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.lif = LIF()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (4, -1)).movedim(-2, -3)
        left, right = heads[..., :BOTH, :], heads[..., BOTH:, :]
        product = self.function(left, right)
        return self.lif(product.flatten(1))  # type: ignore[no-any-return]


def merged(left: Tensor, right: Tensor) -> Tensor:
    """Samples and heads in one axis."""
    return torch.bmm(left.flatten(0, 1), right.mT.flatten(0, 1)).unflatten(0, (-1, 4))


TWO_SIDED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "matmul": lambda left, right: left @ right.mT,
    "einsum": lambda left, right: torch.einsum("bhik,bhjk->bhij", left, right),
    "merged heads": merged,
    "transposed": lambda left, right: right @ left.mT,
}


@pytest.mark.parametrize("name", TWO_SIDED)
@pytest.mark.parametrize("kinds", ["spikes spikes", "spikes values", "values values"])
def test_a_product_of_what_depends_on_the_samples(name: str, kinds: str) -> None:
    x = (torch.rand(T, N, ONE + BOTH, K) < 0.4).float()
    sizes = [BOTH, ONE]
    for side, kind in enumerate(kinds.split()):
        if kind == "values":
            # One sample shows it: the last one.
            x[:, -1, slice(BOTH) if side == 0 else slice(BOTH, None)] *= 0.7
    expected = np.zeros(N, int)
    nonzero = np.zeros(N, int)
    for step, sample in np.ndindex(T, N):
        tokens = x[step, sample].numpy()
        left, right = tokens[:BOTH], tokens[BOTH:]
        nonzero[sample] += sum(np.count_nonzero(a * b) for a, b in product(left, right))
        if kinds == "spikes spikes":
            expected[sample] += sum(int(a @ b) for a in left for b in right)
        elif kinds == "spikes values":
            expected[sample] += int(left.sum()) * sizes[1]
        else:
            sender, others = (right, BOTH) if name == "transposed" else (left, ONE)
            expected[sample] += np.count_nonzero(sender) * others
    for batch_size in (N, 3):
        model = TwoSided(TWO_SIDED[name])
        report = price(model, x, loop="price", batch_size=batch_size)
        counts = by_kind(report.activity)
        (found,) = counts["macs" if kinds == "values values" else "events"].values()
        assert found.tolist() == expected.tolist()
        (without_zeros,) = counts["nonzero_products"].values()
        assert without_zeros.tolist() == nonzero.tolist()
        (place,) = counts["nonzero_products"]
        words = f"{nonzero.mean():,.1f} of {expected.mean():,.1f} in {place}"
        assert words in [note.words for note in report.analysis.inputs.notes]
        assert report.not_counted == ()


def test_spikes_that_several_heads_read() -> None:
    class Shared(TwoSided):
        def __init__(self) -> None:
            super().__init__(merged)
            self.first = LIF()

        def forward(self, x: Tensor) -> Tensor:
            heads = torch.stack([0.7 * x] * 4, dim=1)
            return self.lif(self.first(x)[:, None] @ heads.mT)  # type: ignore[no-any-return]

    report = price(Shared(), 2 * torch.rand(T, N, ONE, K).round(), loop="price")
    counts = by_kind(report.activity)
    (events,) = counts["events"].values()
    assert events.sum() > 100
    assert events.tolist() == (4 * ONE * counts["spikes"]["first"]).tolist()


def test_a_norm_is_not_folded_into_a_product_without_weights() -> None:
    class Normed(TwoSided):
        def __init__(self) -> None:
            super().__init__(merged)
            self.norm = nn.BatchNorm2d(ONE + BOTH)

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.norm(x.unsqueeze(-1) @ x.unsqueeze(-2)))  # type: ignore[no-any-return]

    report = price(Normed(), torch.rand(T, N, ONE + BOTH, K), loop="price")
    (multiplications,) = by_kind(report.activity)["multiplications"].values()
    assert multiplications.tolist() == N * [T * (ONE + BOTH) * K * K]


def test_attention_is_counted_and_its_softmax_named() -> None:
    class Attention(TwoSided):
        def forward(self, x: Tensor) -> Tensor:
            out = functional.scaled_dot_product_attention(x, x, x, is_causal=True)
            return self.lif(out)  # type: ignore[no-any-return]

    x = torch.rand(T, N, ONE, K)
    report = price(Attention(merged), x, loop="price")
    macs: Any = sum(by_kind(report.activity)["macs"].values())
    n_scores = ONE * (ONE + 1) // 2
    assert macs.tolist() == N * [T * K * (ONE * ONE + n_scores)]
    assert report.not_counted == ("Attention (softmax)",)


class Dropout(nn.Dropout):
    """A pass-through class with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(K, K))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


class Gain(nn.Identity):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(K))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Kernel(LIF):
    """Neurons with a kernel, in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(1, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        around = functional.conv1d(x[:, None], self.kernel, padding=1)  # type: ignore[arg-type]
        return super().forward(around[:, 0])


class Recurrent(LIF):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(K, K))
        self.spikes = torch.zeros(1)

    def reset(self) -> None:
        super().reset()
        self.spikes = torch.zeros(1)

    def forward(self, x: Tensor) -> Tensor:
        self.spikes = super().forward(x + self.spikes.expand_as(x) @ self.w)
        return self.spikes


def by_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(x.numpy() * 0.3)


def by_thread(x: Tensor) -> Tensor:
    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append(x * 0.3))
    thread.start()
    thread.join()
    return found[0]


def by_script(x: Tensor) -> Tensor:
    return torch.jit.trace(torch.sigmoid, x)(x)  # type: ignore[no-untyped-call, no-any-return]


class Between(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def by_closure() -> Between:
    weights = torch.randn(K, K)
    return Between(lambda x: x @ weights + weights[0])


W = torch.ones(K, K)
UNSEEN = ["Between 1 (Between)"]
INSIDE: dict[str, tuple[Callable[[], nn.Module], list[str], list[str]]] = {
    "pass-through with weights": (Dropout, ["Dropout 1.w"], []),
    "pass-through that scales": (Gain, [], ["Gain 1 (Gain: mul)"]),
    "neurons with a kernel": (Kernel, ["Kernel 1.kernel"], []),
    "recurrent neurons": (Recurrent, ["Recurrent 1.w"], []),
    "weights in a closure": (by_closure, ["Between 1.matmul"], []),
    "NumPy": (lambda: Between(by_numpy), [], UNSEEN),
    "a thread": (lambda: Between(by_thread), [], UNSEEN),
    "a trace": (lambda: Between(by_script), [], UNSEEN),
    "sparse spikes": (
        lambda: Between(lambda x: torch.sparse.mm(x.to_sparse(), W)),
        [],
        ["Between 1 (Between: sparse_mm)"],
    ),
    "sparse spikes, scaled": (
        lambda: Between(lambda x: (x.to_sparse() * 0.5).to_dense()),
        [],
        ["Between 1 (Between: mul)"],
    ),
    "sparse spikes, @": (
        lambda: Between(lambda x: x.to_sparse_csr() @ W),
        [],
        ["Between 1 (Between: matmul)"],
    ),
    "vmap": (lambda: Between(torch.vmap(lambda row: row @ W)), [], UNSEEN),
    "weights chosen by spikes": (
        lambda: Between(lambda x: W[x.nonzero()[:, 1]].sum(0).expand_as(x)),
        [],
        ["Between 1 (Between: getitem)"],
    ),
    "scaled addition": (
        lambda: Between(lambda x: torch.add(x, x, alpha=0.37)),
        [],
        ["Between 1 (Between: add)"],
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_runs_inside_a_module(name: str) -> None:
    make, counted, named = INSIDE[name]
    model = nn.Sequential(LIF(), make(), nn.Linear(K, R), LIF())
    x = 2 * (torch.rand(T, N, K) < 0.4).float()
    report = price(model, x, loop="price")
    events = by_kind(report.activity)["events"]
    products = events | by_kind(report.activity)["macs"]
    assert sorted(products.keys() - {"Linear 2"}) == counted
    assert [*report.not_counted] == named
    for place in counted:
        assert products[place].sum() > 100


WRITES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "an index": lambda out, x: out.__setitem__(slice(None), x),
    "an addition": lambda out, x: out.__iadd__(x),
    "a copy": lambda out, x: out.copy_(x),
    "an argument": lambda out, x: torch.add(x, 0, out=out),
}


@pytest.mark.parametrize("name", WRITES)
def test_graded_spikes_stay_values_in_another_tensor(name: str) -> None:
    def write(x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        WRITES[name](out, x)
        return out

    model = nn.Sequential(LIF(), Between(write), nn.Linear(K, R), LIF())
    x = (torch.rand(T, N, K) < 0.4).float()
    graded = {LIF: Population(graded=True)}
    report = price(model, x, loop="price", neurons=graded)
    lif = LIF()
    spikes = torch.stack([lif(step) for step in x]).sum(dim=(0, 2))
    macs = by_kind(report.activity)["macs"]["Linear 2"]
    assert macs.tolist() == (R * spikes).tolist()


def test_products_in_hooks_of_the_model_itself() -> None:
    model = nn.Sequential(nn.Linear(K, R), LIF())
    model.before, model.after = torch.randn(K, K), torch.randn(R, R)
    model.register_forward_pre_hook(lambda m, args: (args[0] @ m.before,))
    model.register_forward_hook(lambda m, args, out: out @ m.after)
    x = (torch.rand(T, N, K) < 0.4).float()
    report = price(model, x, loop="price")
    counts = by_kind(report.activity)
    first, second = counts["events"].values()
    assert first.tolist() == (K * x.sum(dim=(0, 2))).tolist()
    assert second.tolist() == (R * counts["spikes"]["LIF 1"]).tolist()
    assert report.not_counted == ()


def test_user_hooks_that_compute_are_named() -> None:
    model = nn.Sequential(nn.Linear(K, K), LIF(), nn.Linear(K, R), LIF())
    model[0].register_forward_hook(lambda module, args, out: out.square())
    model[1].register_forward_pre_hook(lambda module, args: (args[0].sigmoid(),))

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor | None:
        return out.tanh() if module is model[2] else None

    # A global hook runs before those of the modules.
    handle = register_module_forward_hook(hook)
    try:
        report = price(model, (torch.rand(T, N, K) < 0.4).float(), loop="price")
    finally:
        handle.remove()
    assert report.not_counted == ("Sequential (square, sigmoid, tanh)",)


def test_functions_after_an_error_that_the_model_handles_are_named() -> None:
    class Handling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(R, R), nn.Linear(K, R), LIF()])

        def forward(self, x: Tensor) -> Any:
            with suppress(RuntimeError):
                self.layers[0](x)
            return self.layers[2](self.layers[1](x).exp())

    report = price(Handling(), (torch.rand(T, N, K) < 0.4).float(), loop="price")
    assert "Handling (exp)" in report.not_counted


def test_a_mode_of_the_model_itself() -> None:
    class Own(Around):
        def forward(self, x: Tensor) -> Tensor:
            with torch.device("cpu"):
                spikes = super().forward(x)
            return spikes.exp()

    model = Own(lambda m, x: x @ m.w)
    x = (torch.rand(T, N, K) < 0.3).float()
    report = price(model, x, loop="price")
    (events,) = by_kind(report.activity)["events"].values()
    assert events.tolist() == (R * x.sum(dim=(0, 2))).tolist()
    assert report.not_counted == ("Own (exp)",)


class Planes(nn.Module):
    """Spikes or values on planes enter a function, and a dense layer follows."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.fc = nn.Linear(function(torch.zeros(1, 2, 7, 7)).numel(), R)
        self.lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        return self.lif(self.fc(self.function(x).flatten(1)))  # type: ignore[no-any-return]


ALIKE: dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]] = {
    "max_pool2d": (lambda x: functional.max_pool2d(x, 2), nn.MaxPool2d(2)),
    "max_pool2d with indices": (
        lambda x: functional.max_pool2d(x, 3, 2, 1, return_indices=True)[0],
        nn.MaxPool2d(3, 2, 1),
    ),
    "torch.max_pool2d": (lambda x: torch.max_pool2d(x, 3), nn.MaxPool2d(3)),
    "avg_pool2d": (
        lambda x: functional.avg_pool2d(input=x, kernel_size=3, padding=1),
        nn.AvgPool2d(3, padding=1),
    ),
    "lp_pool2d": (lambda x: functional.lp_pool2d(x, 1, 2), nn.LPPool2d(1, 2)),
    "adaptive_avg_pool2d": (
        lambda x: functional.adaptive_avg_pool2d(x, (1, None)),
        nn.AdaptiveAvgPool2d((1, None)),
    ),
    "adaptive_max_pool2d": (
        lambda x: functional.adaptive_max_pool2d(x, 3, return_indices=True)[0],
        nn.AdaptiveMaxPool2d(3),
    ),
    "mean": (lambda x: x.mean((-2, -1)), nn.AdaptiveAvgPool2d(1)),
    "relu": (functional.relu, nn.ReLU()),
    "relu_": (lambda x: x.clone().relu_(), nn.ReLU()),
    "batch_norm": (
        lambda x: functional.batch_norm(x, torch.zeros(2), torch.ones(2)),
        nn.BatchNorm2d(2),
    ),
    "interpolate": (lambda x: functional.interpolate(x, 9), nn.UpsamplingNearest2d(9)),
    "dropout2d": (lambda x: functional.dropout2d(x, 0.5, False), nn.Dropout2d().eval()),
}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("are_values", [False, True])
def test_a_function_is_counted_as_its_module(name: str, are_values: bool) -> None:
    x = (torch.rand(T, N, 2, 7, 7) < 0.4).float()
    x *= 0.7 if are_values else 1
    reports = []
    for function in ALIKE[name]:
        torch.manual_seed(1)
        reports.append(price(Planes(function), x, loop="price"))
    counts = [
        {kind: [*found.values()] for kind, found in by_kind(report.activity).items()}
        for report in reports
    ]
    np.testing.assert_equal(*counts)
    energies = [report.analysis.total().value_pj for report in reports]
    assert energies[0] == energies[1]
    assert [report.not_counted for report in reports] == [(), ()]


@pytest.mark.parametrize("n_out", [3, 5, 7])
def test_adaptive_windows_that_overlap(n_out: int) -> None:
    n_in = 7
    x = (torch.rand(T, N, 2, n_in, 7) < 0.4).float()
    layer = nn.AdaptiveAvgPool2d((n_out, 1))
    report = price(Planes(layer), x, loop="price")
    expected = np.zeros(N)
    for row in range(n_out):
        # As in PyTorch's definition of adaptive pooling.
        start, end = row * n_in // n_out, -((row + 1) * n_in // -n_out)
        mean = x[0, :, :, start:end].mean((2, 3))
        torch.testing.assert_close(layer(x[0])[:, :, row, 0], mean)
        expected += x[:, :, :, start:end].sum((0, 2, 3, 4)).numpy()
    (additions,) = by_kind(report.activity)["additions"].values()
    assert additions.tolist() == expected.tolist()


class Rate(nn.Module):
    """Neurons that take all steps, whose mean over time enters a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lif = LIF()
        self.fc = nn.Linear(K, R)
        self.entered: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        rate = torch.stack([self.lif(step) for step in x]).mean(0)
        self.entered.append(rate)
        return self.fc(rate) * 0.25


def test_a_mean_over_time_and_a_scale_after_a_layer() -> None:
    x = 2 * (torch.rand(T, N, K) < 0.4).float()
    model = Rate()
    counts = by_kind(price(model, x, loop="model").activity)
    lif = LIF()
    spikes = torch.stack([lif(step) for step in x])
    n_means = (spikes.sum(0) != 0).sum(1)
    assert counts["additions"]["Rate.mean"].tolist() == spikes.sum((0, 2)).tolist()
    # The scale after the layer is a factor of its weights.
    ((place, multiplied),) = counts["multiplications"].items()
    assert (place, multiplied.tolist()) == ("Rate.mean", n_means.tolist())
    assert counts["macs"]["fc"].tolist() == (R * n_means).tolist()


def test_two_calls_in_one_line_have_two_places() -> None:
    x = (torch.rand(T, N, ONE + BOTH, K) < 0.4).float()

    class Twice(TwoSided):
        def forward(self, x: Tensor) -> Tensor:
            return self.lif((x @ x.mT * 0.5) @ (x * 2.0))  # type: ignore[no-any-return]

    places = price(Twice(merged), x, loop="price").activity.counts.keys()
    calls = {"Twice.matmul", "Twice.matmul 2", "Twice.mul", "Twice.mul 2"}
    assert calls <= places


NUMBERS: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x * 0.3,
    "rmul": lambda x: 0.3 * x,
    "in place": lambda x: x.clone().mul_(0.3),
    "div": lambda x: x / 3,
    "a tensor": lambda x: x * torch.full((1,), 0.3),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_spikes_times_a_number_are_multiplied_once_each(name: str) -> None:
    x = (torch.rand(T, N, 2, 7, 7) < 0.4).float()
    report = price(Planes(NUMBERS[name]), x, loop="price")
    n_spikes = x.sum((0, 2, 3, 4))
    (multiplied,) = by_kind(report.activity)["multiplications"].values()
    assert multiplied.tolist() == n_spikes.tolist()
    assert by_kind(report.activity)["macs"]["fc"].tolist() == (R * n_spikes).tolist()
    assert report.not_counted == ()


NAMED: dict[str, Callable[[Tensor], Tensor]] = {
    "mul": lambda x: x * x.flip(1),
    "div": lambda x: x / x.sum(),
    "floordiv": lambda x: x // 2,
    "rdiv": lambda x: 1 / (x + 1),
    "interpolate": lambda x: functional.interpolate(x, 9, mode="bilinear"),
    "softmax": lambda x: x.softmax(-1),
}


@pytest.mark.parametrize("name", NAMED)
def test_other_functions_are_named(name: str) -> None:
    x = (torch.rand(T, N, 2, 7, 7) < 0.4).float()
    report = price(Planes(NAMED[name]), x, loop="price")
    assert name in report.not_counted[0]
