"""`spikejoule.price` counts each sample's events in models of four simulators."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from tests.interop.networks import CASES, Case, F, H, jelly, leaky, louder, made, snn
from tests.interop.recorded_loop import (
    LAYERS,
    Counts,
    N,
    Recorder,
    T,
    counted,
    named,
)
from tests.interop.recorded_products import ProductRecord
from tests.tools.counted import by_kind

pytestmark = pytest.mark.filterwarnings("ignore")

_BASES = {
    "SpikingNeuron",
    "BaseNode",
    "SNN",
    "SNNCell",
    "SNNRecurrent",
    "SNNRecurrentCell",
    "StatefulLayer",
    "SimpleBaseNode",
}

# Layers with the recurrent weights of neurons.
OWN_LAYERS = ("recurrent", "rc")


def neurons_of(model: nn.Module) -> set[str]:
    return {
        name
        for name, module in named(model).items()
        if _BASES & {base.__name__ for base in type(module).__mro__}
    }


def run(case: Case, model: nn.Module, samples: Tensor) -> None:
    """Reset a model, and run it on all samples."""
    for module in model.modules():
        for name in ("reset_mem", "reset_states", "reset"):
            if callable(getattr(module, name, None)):
                getattr(module, name)()
    with torch.no_grad():
        if not case.stepwise:
            model(samples)
            return
        state: Any = None
        for step in samples:
            if case.simulator == "norse":
                _, state = model(step, state)
            else:
                model(step)


def expected(
    case: Case, recorder: Recorder, neurons: set[str]
) -> tuple[Counts, Counts, Counts]:
    """Events and products of connections, and spikes of neurons, by name, [N] each."""
    order = "bt" if case.time_axis == 1 else "tb"
    events: Counts = {}
    macs: Counts = {}
    spikes: Counts = {}
    own = {f"{name}.{layer}" for name in case.recurrent for layer in OWN_LAYERS}
    for name, calls in recorder.entered.items():
        layer = recorder.modules[name]
        if isinstance(layer, LAYERS) and name not in own:
            amounts, is_value = counted(calls, order, name in case.values, layer)
            (macs if is_value else events)[name] = amounts
    for name in neurons | set(case.recurrent):
        emitted, is_value = counted(recorder.left[name], order, name in case.values)
        if name in neurons:
            spikes[name] = emitted
        if name in case.recurrent:
            products = macs if is_value else events
            products[f"{name}.recurrent"] = emitted * case.recurrent[name]
        if name in case.inputs:
            taken, is_value = counted(recorder.entered[name], order, graded=False)
            (macs if is_value else events)[f"{name}.input"] = taken * case.inputs[name]
    return events, macs, spikes


@pytest.mark.parametrize("name", CASES)
def test_events_are_those_that_were_recorded(name: str) -> None:
    case, model, samples = made(name)
    neurons = neurons_of(model)
    settings = {
        "time_axis": case.time_axis,
        "loop": "price" if case.training else "auto",
    }
    torch.manual_seed(1)
    activity = spikejoule.price(model, samples, progress=False, **settings).activity
    recorder = Recorder(model, neurons | set(case.inputs))
    torch.manual_seed(1)
    run(case, model, samples)
    events, macs, spikes = expected(case, recorder, neurons)
    assert any(emitted.any() for emitted in spikes.values()), "nothing fires"
    ours = by_kind(activity)
    for kind, theirs in (("events", events), ("macs", macs)):
        assert ours[kind].keys() == theirs.keys()
        for place, amounts in theirs.items():
            np.testing.assert_array_equal(ours[kind][place], amounts, err_msg=place)
    for place, emitted in spikes.items():
        our_spikes = ours["spikes"].get(place, ours["values"].get(place))
        np.testing.assert_array_equal(our_spikes, emitted, err_msg=place)
    assert activity.time_window == T


@pytest.mark.parametrize("kind", ["ThresholdDependent", "TemporalEffective"])
def test_training_changes_no_statistics_of_spikingjellys_norms(kind: str) -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    from spikingjelly.activation_based import layer

    settings = (1.0, 1.0, 4) if kind == "ThresholdDependent" else (T, 4)
    norm = getattr(layer, f"{kind}BatchNorm2d")(*settings)
    conv = layer.Conv2d(2, 4, 3, step_mode="m")
    flat = layer.Flatten(step_mode="m")
    lif = jelly("LIFNode", "m")
    model = nn.Sequential(conv, norm, lif(), flat, nn.Linear(144, 3), lif()).train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    samples = (torch.rand(T, N, 2, 8, 8) < 0.4).float()
    report = spikejoule.price(model, samples, time_axis=0, progress=False)
    # It is counted, and in training it is not folded into the layer.
    counted = by_kind(report.activity)["multiplications"]
    assert counted[f"{kind}BatchNorm2d 1.batch_norm"].tolist() == N * [T * 4 * 6 * 6]
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_recurrence_through_two_layers() -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    torch.manual_seed(1)
    neurons = snn("RLeaky")(H)
    neurons.recurrent = nn.Sequential(nn.Linear(H, 4), nn.Linear(4, H))
    model = louder(nn.Sequential(nn.Linear(F, H), neurons)).eval()
    samples = (torch.rand(T, N, F) < 0.4).float()
    report = spikejoule.price(model, samples, time_axis=0, progress=False)
    neurons.reset_mem()
    record = ProductRecord(model)
    with torch.no_grad(), record:
        for step in samples:
            model(step)
    activity = report.activity
    assert record.macs == N * T * 4 * H
    assert (activity.events.sum(), activity.macs.sum()) == (record.events, record.macs)


def test_a_product_in_a_replaced_method_of_neurons() -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    neurons: Any = jelly("LIFNode")()
    own, neurons.w = neurons.single_step_forward, torch.randn(F, H)
    neurons.single_step_forward = lambda x: own(x @ neurons.w)
    samples = (torch.rand(T, N, F) < 0.4).float()
    report = spikejoule.price(
        nn.Sequential(neurons), samples, time_axis=0, progress=False
    )
    (events,) = by_kind(report.activity)["events"].values()
    assert events.tolist() == (H * samples.sum(dim=(0, 2))).tolist()


def test_an_lstm_to_compare_with_is_named() -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(F, H, batch_first=True)
            self.fc = nn.Linear(H, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.lstm(x)[0][:, -1])  # type: ignore[no-any-return]

    samples = (torch.rand(T, N, F) < 0.4).float()
    network = spikejoule.Baseline(Network().eval(), samples=samples.transpose(0, 1))
    model = nn.Sequential(nn.Linear(F, 3), leaky()()).eval()
    labels = torch.arange(N) % 3
    report = spikejoule.price(
        model, samples, time_axis=0, labels=labels, against=network, progress=False
    )
    assert report.not_counted == ("lstm (LSTM) of the network to compare with",)
    assert report.verdict[0].startswith("No verdict: ")
