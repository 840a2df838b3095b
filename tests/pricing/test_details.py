"""What `spikejoule.price` makes of models that were once miscounted or refused.

Expected counts are computed here from what enters each layer.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikejoule import Baseline, Population
from spikejoule.core.errors import ParameterError
from spikejoule.report.names import analysed_name
from tests.pricing.lif import LIF
from tests.pricing.lif import price_model as price
from tests.tools.counted import by_kind

# Samples, steps, inputs and hidden units: no two of them alike.
N, T, F, H = 7, 5, 11, 13


class Steps(nn.Module):
    """Multi-step neurons, [T, B, ...]."""

    def forward(self, x: Tensor) -> Tensor:
        lif = LIF()
        return torch.stack([lif(step) for step in x])


STEPS = {LIF: Population(), Steps: Population(time=0)}


def loud(layer: Any) -> Any:
    """Enlarge weights, so that neurons fire."""
    layer.weight.data.mul_(3)
    return layer


class Model(nn.Module):
    """Layers that a function calls; what enters `second` is kept."""

    def __init__(self, forward: Callable[..., Tensor], **others: nn.Module) -> None:
        super().__init__()
        self.first = loud(nn.Linear(F, H))
        self.lif = LIF()
        self.second = loud(nn.Linear(H, 4))
        self.last = LIF()
        for name, module in others.items():
            self.add_module(name, module)
        self.function = forward
        # Not an attribute: these start anew in every batch.
        entered: list[Tensor] = []
        self.second.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
        # Without the runs of single samples, by which the split is checked.
        self.entered = lambda: [
            x for x in entered if 2 * x.numel() > entered[0].numel()
        ]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)

    def to_hidden(self, x: Tensor) -> Tensor:
        return self.lif(self.first(x))  # type: ignore[no-any-return]

    def from_hidden(self, x: Tensor) -> Tensor:
        return self.last(self.second(x))  # type: ignore[no-any-return]


def spikes(*shape: int) -> Tensor:
    return (torch.rand(*shape) < 0.4).float()


def changed_sum(m: Any, x: Tensor) -> Tensor:
    current = m.first(x)
    current += x.sum(1, keepdim=True)
    return m.from_hidden(m.lif(m.norm(current)))  # type: ignore[no-any-return]


def two_readers(m: Any, x: Tensor) -> Tensor:
    current = m.first(x)
    return m.from_hidden(m.lif(m.norm(current)) + m.other(current))  # type: ignore[no-any-return]


def norm_per_step(m: Any, x: Tensor) -> Tensor:
    hidden = [m.lif(m.norms[t](m.first(x[t]))) for t in range(T)]
    return torch.stack([m.from_hidden(h) for h in hidden])


def added_to_itself(m: Any, x: Tensor) -> Tensor:
    current = m.first(x)
    return m.from_hidden(m.lif(m.norm(current) + current))  # type: ignore[no-any-return]


def alone(m: Any, x: Tensor) -> Tensor:
    return m.from_hidden(m.lif(m.norm(m.first(x))))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("forward", "others", "is_folded"),
    [
        (alone, {"norm": nn.BatchNorm1d(H)}, True),
        (changed_sum, {"norm": nn.BatchNorm1d(H)}, False),
        (two_readers, {"norm": nn.BatchNorm1d(H), "other": LIF()}, False),
        (added_to_itself, {"norm": nn.BatchNorm1d(H)}, False),
        (alone, {"norm": nn.BatchNorm1d(H, track_running_stats=False)}, False),
        (
            norm_per_step,
            {"norms": nn.ModuleList([nn.BatchNorm1d(H) for _ in range(T)])},
            False,
        ),
    ],
)
def test_a_norm_is_folded_only_where_it_alone_reads_a_sum(
    forward: Callable[..., Tensor], others: dict[str, nn.Module], is_folded: bool
) -> None:
    counts = by_kind(price(Model(forward, **others).eval(), spikes(T, N, F)).activity)
    multiplied = sum(amounts.sum() for amounts in counts["multiplications"].values())
    assert multiplied == (0 if is_folded else N * T * H)


def read_by_weights(m: Any, x: Tensor) -> Tensor:
    current = m.first(x)
    return m.last(m.second(m.norm(current)) + m.second(m.other(current)))  # type: ignore[no-any-return]


def test_what_a_norm_passes_on_is_what_weights_read() -> None:
    norm = nn.BatchNorm1d(H)
    norm.weight.data[:3] = 0
    model = Model(read_by_weights, norm=norm, other=LIF()).eval()
    report = price(model, spikes(T, N, F), loop="price")
    normed = torch.stack(model.entered()[::2])
    assert not normed[..., :3].any()
    counts = report.activity.counts["norm"]
    nonzero = int((normed != 0).sum())
    assert nonzero > 0
    assert (counts.values.sum(), counts.reads.sum()) == (nonzero, nonzero)


@pytest.mark.parametrize("n_samples", [H, H + 1])
def test_a_norm_of_as_many_channels_as_samples(n_samples: int) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        current = m.norm(m.conv(x.flatten(0, 1))).unflatten(0, (T, -1))
        return m.steps(current)  # type: ignore[no-any-return]

    layers = {"conv": nn.Conv1d(2, H, 3), "norm": nn.BatchNorm1d(H)}
    model = Model(forward, steps=Steps(), **layers).eval()
    report = price(model, spikes(T, n_samples, 2, F), neurons=STEPS)
    assert "norm" not in report.activity.counts
    assert not any("intervals" in note for note in report.notes)


def dropped(m: Any, x: Tensor) -> Tensor:
    return m.from_hidden(functional.dropout(m.to_hidden(x), 0.5))  # type: ignore[no-any-return]


def joined_graded(m: Any, x: Tensor) -> Tensor:
    graded = m.graded(m.first(x))
    return m.from_hidden(torch.cat([graded[:, :3], graded[:, 3:]], dim=1))  # type: ignore[no-any-return]


class Graded(LIF):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Average(nn.Module):
    """Averages of pairs of spikes; all but one are whole."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool1d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.repeat_interleave(2, dim=1))  # type: ignore[no-any-return]


def averaged(m: Any, x: Tensor) -> Tensor:
    return m.from_hidden(m.average(m.to_hidden(x)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("forward", "others"),
    [
        (dropped, {}),
        (joined_graded, {"graded": Graded()}),
        (averaged, {"average": Average()}),
    ],
)
def test_whole_numbers_that_are_values_are_multiplied(
    forward: Callable[..., Tensor], others: dict[str, nn.Module]
) -> None:
    model = Model(forward, **others).eval()
    neurons = {Graded: Population(graded=True), LIF: Population()}
    report = price(model, spikes(T, N, F), neurons=neurons, loop="price")
    nonzero = sum(int((x != 0).sum()) for x in model.entered())
    assert nonzero
    assert by_kind(report.activity)["macs"]["second"].sum() == 4 * nonzero


def test_the_output_size_of_a_transposed_convolution() -> None:
    class Upsampling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
            self.lif = LIF()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.up(x, output_size=(8, 8)))  # type: ignore[no-any-return]

    x = spikes(T, N, 2, 4, 4)
    counts = by_kind(price(Upsampling().eval(), x).activity)
    expected = np.zeros(N, int)
    for _, sample, _, row, column in x.nonzero().tolist():
        rows = [r for r in range(2 * row - 1, 2 * row + 2) if 0 <= r < 8]
        columns = [c for c in range(2 * column - 1, 2 * column + 2) if 0 <= c < 8]
        expected[sample] += 3 * len(rows) * len(columns)
    assert (counts["events"]["up"] == expected).all()


def joined_samples_first(m: Any, x: Tensor) -> Tensor:
    first = m.first(x.transpose(0, 1).flatten(0, 1)).unflatten(0, (-1, T))
    return m.steps(m.second(m.steps(first.transpose(0, 1))))  # type: ignore[no-any-return]


def joined_steps_first(m: Any, x: Tensor) -> Tensor:
    first = m.first(x.flatten(0, 1)).unflatten(0, (T, -1))
    return m.steps(m.second(m.steps(first)))  # type: ignore[no-any-return]


def two_steps_joined(m: Any, x: Tensor) -> Tensor:
    hidden = m.steps(m.first(x))
    pairs = torch.stack([hidden[0] + hidden[1], hidden[2] + hidden[3]])
    return m.steps(m.second(pairs))  # type: ignore[no-any-return]


def decided_once(m: Any, x: Tensor) -> Tensor:
    return m.from_hidden(m.steps(m.first(x)).sum(0))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "forward",
    [joined_samples_first, joined_steps_first, two_steps_joined, decided_once],
)
def test_samples_are_told_apart_however_steps_are_joined(
    forward: Callable[..., Tensor],
) -> None:
    x = spikes(T, N, F)
    x[:, 0] = 1
    x[:, 1] = 0
    model = Model(forward, steps=Steps()).eval()
    report = price(model, x, neurons=STEPS, batch_size=4)
    events = by_kind(report.activity)["events"]
    assert events["first"].tolist() == (H * x.sum((0, 2))).tolist()
    assert events["second"].sum() == 4 * sum(
        int(part.sum()) for part in model.entered()
    )
    assert not any("intervals" in note for note in report.notes)


def test_tokens_merged_with_samples() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        hidden = m.to_hidden(x.flatten(0, 1))
        return m.from_hidden(hidden).unflatten(0, (-1, 3))  # type: ignore[no-any-return]

    x = spikes(T, N, 3, F)
    model = Model(forward).eval()
    events = by_kind(price(model, x, loop="price").activity)["events"]
    assert events["first"].tolist() == (H * x.sum((0, 2, 3))).tolist()
    hidden = torch.stack(model.entered()).unflatten(1, (N, 3))
    assert events["second"].tolist() == (4 * hidden.sum((0, 2, 3))).tolist()


class Keeping(nn.Module):
    """Neurons whose state nobody resets."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        v = 0.9 * self.v + x
        out = (v >= 1).float()
        self.v = v * (1 - out)
        return out


def test_counts_do_not_depend_on_the_batch_size_where_no_state_is_reset() -> None:
    model = nn.Sequential(loud(nn.Linear(F, H)), Keeping(), nn.Linear(H, 4), Keeping())
    x = spikes(T, N, F)
    events = [
        by_kind(
            price(model, x, neurons={Keeping: Population()}, batch_size=size).activity
        )["events"]["Linear 2"].tolist()
        for size in (N, 4, 2)
    ]
    assert events[0] == events[1] == events[2]
    assert any(events[0])


def test_training_mode_changes_no_statistics() -> None:
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(24, 3))
    norms = nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), *norms, LIF(), nn.Flatten(), spectral)
    model.append(LIF()).train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    price(model, spikes(T, N, 2, 8), loop="price")
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


@pytest.mark.parametrize("time_axis", [0, "none"])
def test_embeddings_take_integers(time_axis: Any) -> None:
    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20, F)
            self.rest = Model(lambda m, x: m.from_hidden(m.to_hidden(x)))

        def forward(self, x: Tensor) -> Tensor:
            if time_axis == 0:
                return self.rest(self.embedding(x))  # type: ignore[no-any-return]
            steps = self.embedding(x).transpose(0, 1)
            return torch.stack([self.rest(step) for step in steps])

    shape = (T, N) if time_axis == 0 else (N, T)
    tokens = torch.randint(20, shape)
    report = price(Embedded().eval(), tokens, time_axis=time_axis)
    assert report.not_counted == ("embedding (Embedding)",)
    counts = by_kind(report.activity)
    assert (counts["macs"]["rest.first"] == T * F * H).all()


class TestAgainst:
    """Conventional networks that were refused."""

    @pytest.fixture
    def model(self) -> nn.Module:
        return Model(lambda m, x: m.from_hidden(m.to_hidden(x))).eval()

    def baseline(self, model: nn.Module, network: Any) -> Any:
        labels = np.arange(N) % 4
        x = torch.rand(T, N, F)
        report = price(model, x, labels=labels, against=network)
        assert report.not_counted == ()
        return report.analysis.inputs.baselines[0]

    def test_that_share_weights(self, model: nn.Module) -> None:
        shared = nn.Linear(H, H)
        layers = [nn.Linear(F, H), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(H, 4)).eval()
        entered: list[Tensor] = []
        shared.register_forward_pre_hook(lambda _, args: entered.append(args[0]))
        counts = self.baseline(model, network)
        assert counts.synapses == (F * H, H * H, H * H, 4 * H)
        products = H * (torch.cat(entered) != 0).sum()
        assert counts.macs_nonzero[:, 1:3].sum() == products

    def test_that_are_quantised_dynamically(self, model: nn.Module) -> None:
        network = nn.Sequential(nn.Linear(F, H), nn.ReLU(), nn.Linear(H, 4)).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
        counts = self.baseline(model, Baseline(quantised, weight_bits=8))
        assert counts.synapses == (F * H, 4 * H)
        assert counts.network.stored_biases == (H, 4)

    def test_that_observe_quantised_activations(self, model: nn.Module) -> None:
        quantization: Any = torch.ao.quantization
        stubs = quantization.QuantStub(), quantization.DeQuantStub()
        layers = nn.Linear(F, H), nn.ReLU(), nn.Linear(H, 4)
        network: Any = nn.Sequential(stubs[0], *layers, stubs[1]).train()
        network.qconfig = quantization.default_qat_qconfig_v2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = quantization.prepare_qat(network)
            prepared(torch.rand(N, F))
        counts = self.baseline(model, Baseline(prepared.eval(), weight_bits=8))
        assert counts.synapses == (F * H, 4 * H)


def test_widths_and_pruning_of_the_spiking_network() -> None:
    model: Any = Model(lambda m, x: m.from_hidden(m.to_hidden(x))).eval()
    model.first.weight.data *= torch.rand(H, F) < 0.3
    x = spikes(T, N, F)
    whole = price(model, x)
    report = price(model, x, weight_bits=8, state_bits=16, pruned=True)
    reached = x.sum(0) @ (model.first.weight != 0).float().T
    events = by_kind(report.activity)["events"]
    assert events["first"].tolist() == reached.sum(1).tolist()
    variant = report.analysis.inputs.variants[0]
    assert variant.weight_bits == 8
    assert "% pruned, 8 bits" in analysed_name(report.analysis.inputs)
    bits = {
        column.term: column.bits
        for column in variant.operations.columns
        if column.place in ("input_to_first", "first", "lif")
    }
    assert bits["weight_read"] == 8
    assert bits["state_access"] == 16
    assert report.analysis.total().value_pj < whole.analysis.total().value_pj
    with pytest.raises(ParameterError, match="weight_bits is 0"):
        price(model, x, weight_bits=0)


def test_both_errors_of_a_model_that_does_not_run() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        raise ValueError("whole" if x.ndim == 3 else "step")

    with pytest.raises(ParameterError) as raised:
        price(Model(forward).eval(), spikes(T, N, F))
    assert str(raised.value) == (
        "ValueError: whole: the model fails, given a batch of shape "
        f"{(T, N, F)}; given one step, it fails with ValueError: step."
    )


def test_a_pruned_network_with_one_weight_from_each_neuron_to_itself() -> None:
    class Recurrent(LIF):
        pass

    recurrent = Population(recurrent=torch.ones(4))
    model = nn.Sequential(nn.Linear(6, 4), Recurrent())
    nn.init.ones_(model[0].weight)
    x = (torch.rand(5, 3, 6) < 0.5).float()
    report = price(model, x, pruned=True, neurons={Recurrent: recurrent})
    counts = by_kind(report.activity)
    events = counts["events"]["Recurrent 1.recurrent"]
    assert events.all()
    assert events.tolist() == counts["spikes"]["Recurrent 1"].tolist()


def halved(x: Tensor) -> Tensor:
    return x * 0.5


def in_place(model: Any) -> None:
    model.first.compile()
    model.compile()


def function_in_forward(model: Any) -> None:
    compiled = torch.compile(halved)
    model.function = lambda m, x: m.from_hidden(m.to_hidden(compiled(x)))


def forward_itself(model: Any) -> None:
    model.forward = torch.compile(model.forward)


@pytest.mark.parametrize("compiles", [in_place, function_in_forward, forward_itself])
def test_what_is_compiled_runs_as_it_was_written(
    compiles: Callable[[Any], None],
) -> None:
    model = Model(lambda m, x: m.from_hidden(m.to_hidden(halved(x)))).eval()
    x = spikes(T, N, F)
    expected = price(model, x)
    compiles(model)
    report = price(model, x)
    assert report.not_counted == ()
    np.testing.assert_equal(by_kind(report.activity), by_kind(expected.activity))
