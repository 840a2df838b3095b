"""Layers of Brevitas: `spikejoule.price` counts them with their quantised weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.core.errors import LimitError
from tests.pricing.lif import LIF, price_model
from tests.tools.counted import by_kind
from tests.tools.pages import names_in

pytestmark = pytest.mark.filterwarnings("ignore")

N, T = 6, 8
LABELS = np.arange(N) % 4


@pytest.fixture
def brevitas() -> Any:
    return pytest.importorskip("brevitas.nn", reason="needs Brevitas")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("pruned", [False, True])
def test_events_of_quantised_weights(brevitas: Any, pruned: bool) -> None:
    conv = brevitas.QuantConv2d(2, 3, 3, bias=False, weight_bit_width=2)
    fc = brevitas.QuantLinear(3 * 4 * 4, 4, bias=True, weight_bit_width=2)
    model = nn.Sequential(conv, LIF(), nn.Flatten(), fc, LIF()).eval()
    x = (torch.rand(T, N, 2, 6, 6) < 0.4).float()
    report = price_model(model, x, loop="price", pruned=pruned, weight_bits=2)
    assert report.not_counted == ()

    def synapses(layer: Any) -> Tensor:
        weight: Tensor = layer.quant_weight().value.detach()
        return (weight != 0).float() if pruned else torch.ones_like(weight)

    events = [torch.zeros(N), torch.zeros(N)]
    model[1].reset()
    with torch.no_grad():
        for step in x:
            out = nn.functional.conv2d(step, synapses(conv))
            events[0] += out.sum(dim=(1, 2, 3))
            spikes = model[1](conv(step)).flatten(1)
            events[1] += (spikes @ synapses(fc).T).sum(dim=1)
    assert events[1].sum() > 0
    ours = by_kind(report.activity)["events"].values()
    assert [counts.tolist() for counts in ours] == [one.tolist() for one in events]


def test_the_model_of_the_page(brevitas: Any, repository: Path) -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    page = repository / "docs" / "how-to" / "price-quantised-layers.md"
    model = names_in(page, "with_brevitas.py")["model"]
    x = (torch.rand(T, N, 784) < 0.2).float()
    report = spikejoule.price(model, x, time_axis=0, weight_bits=4, progress=False)
    assert report.not_counted == ()
    assert [*by_kind(report.activity)["macs"]] == []


def test_quantised_currents_are_named_and_accepted(brevitas: Any) -> None:
    currents = brevitas.QuantIdentity(bit_width=8)
    for _ in range(301):  # its scale is learned from then on
        currents(torch.randn(N, 4))
    fc = brevitas.QuantLinear(12, 4, bias=True, weight_bit_width=4)
    model = nn.Sequential(fc, currents, LIF()).eval()
    x = (torch.rand(T, N, 12) < 0.4).float()
    report = price_model(model, x, loop="price", weight_bits=4)
    (events,) = by_kind(report.activity)["events"].values()
    assert events.tolist() == (4 * x.sum(dim=(0, 2))).tolist()
    with pytest.raises(LimitError, match="round"):
        report.check(budget_nj=1e6)
    report.check(budget_nj=1e6, accept_uncounted=("RoundSte", "TensorClamp"))


@pytest.mark.parametrize("returns_class", [False, True])
def test_a_network_to_compare_with(brevitas: Any, returns_class: bool) -> None:
    from brevitas.quant import Int32Bias

    settings = {"bias_quant": Int32Bias} if returns_class else {}
    returned = {"bit_width": 8, "return_quant_tensor": returns_class}
    ann = nn.Sequential(
        brevitas.QuantIdentity(**returned),
        brevitas.QuantLinear(12, 9, bias=True, weight_bit_width=8, **settings),
        brevitas.QuantReLU(**returned),
        brevitas.QuantLinear(9, 4, bias=True, weight_bit_width=8, **settings),
    )
    for _ in range(301):  # the scales of activations are learned from then on
        ann(torch.rand(N, 12))
    ann.eval()
    snn = nn.Sequential(nn.Linear(12, 4), LIF()).eval()
    x = (torch.rand(T, N, 12) < 0.4).float()
    baseline = spikejoule.Baseline(ann, weight_bits=8, activation_bits=8)
    report = price_model(snn, x, loop="price", labels=LABELS, against=baseline)
    assert report.not_counted == ()
    counted = report.analysis.inputs.baselines[0]
    assert counted.synapses == (12 * 9, 9 * 4)
    with torch.no_grad():
        entering = [ann[:1](x.mean(dim=0)), ann[:3](x.mean(dim=0))]
    values = [one.value if returns_class else one for one in entering]
    nonzero = [(one != 0).sum(dim=1) for one in values]
    expected = torch.stack([9 * nonzero[0], 4 * nonzero[1]], dim=1)
    assert counted.macs_nonzero.tolist() == expected.tolist()
