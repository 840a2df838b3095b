"""`nn.MultiheadAttention`: all products that PyTorch computes, on either path."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.interop.recorded_products import ProductRecord
from tests.pricing.lif import LIF, price_model
from tests.tools.counted import by_kind

T = 5
N = 3
TOKENS = 4
FEATURES = 8
OTHER_FEATURES = 6


class Attention(nn.Module):
    """Neurons whose spikes attend to each other, or to another's; a readout."""

    def __init__(self, masks: dict[str, Tensor], is_self: bool, **settings: Any):
        super().__init__()
        self.masks = masks
        self.is_self = is_self
        self.batch_first = settings.get("batch_first", False)
        self.needs_weights = settings.pop("need_weights", True)
        others = settings.get("kdim", FEATURES)
        self.queries = nn.Linear(FEATURES, FEATURES)
        self.others = nn.Linear(FEATURES, others)
        self.spiking = LIF()
        self.other_spiking = LIF()
        self.attention = nn.MultiheadAttention(FEATURES, 2, **settings)
        self.readout = nn.Linear(FEATURES, 3)
        self.lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        query = self.spiking(4 * self.queries(x))
        other = query if self.is_self else self.other_spiking(4 * self.others(x))
        if not self.batch_first:
            query, other = (
                (query.transpose(0, 1),) * 2
                if self.is_self
                else (query.transpose(0, 1), other.transpose(0, 1))
            )
        out, _ = self.attention(
            query, other, other, need_weights=self.needs_weights, **self.masks
        )
        out = out if self.batch_first else out.transpose(0, 1)
        return self.lif(self.readout(out).sum(dim=1))  # type: ignore[no-any-return]


CAUSAL = torch.ones(TOKENS, TOKENS).triu(1).bool()
PADDED = torch.zeros(N, TOKENS).bool()
PADDED[0, 2:] = True
CASES: dict[str, dict[str, Any]] = {
    "samples first": {"batch_first": True},
    "tokens first": {},
    "without weights returned": {"batch_first": True, "need_weights": False},
    "without biases": {"bias": False},
    "of others": {"is_self": False, "batch_first": True},
    "of others of another size": {
        "is_self": False,
        "kdim": OTHER_FEATURES,
        "vdim": OTHER_FEATURES,
    },
    "with learned tokens": {"add_bias_kv": True, "add_zero_attn": True},
    "causal": {"masks": {"attn_mask": CAUSAL}, "batch_first": True},
    "padded": {"masks": {"key_padding_mask": PADDED}, "batch_first": True},
    "causal and padded": {
        "masks": {"attn_mask": CAUSAL, "key_padding_mask": PADDED},
        "need_weights": False,
    },
}


@pytest.mark.parametrize("name", CASES)
def test_all_products(name: str) -> None:
    settings = {"masks": {}, "is_self": True, **CASES[name]}
    model = Attention(**settings).eval()
    x = (torch.rand(T, N, TOKENS, FEATURES) < 0.5).float()
    report = price_model(model, x, loop="price", batch_size=N)
    assert [words for words in report.not_counted if "attention" in words] == [
        "attention (MultiheadAttention: softmax)"
    ]
    model.spiking.reset()
    model.other_spiking.reset()
    model.lif.reset()
    # With gradients and weights, PyTorch takes no fast path, which hides the products.
    model.needs_weights = True
    record = ProductRecord(model)
    with torch.enable_grad(), record:
        for step in x:
            model(step)
    counts = report.activity
    n_samples = report.analysis.inputs.n_images
    events = round(n_samples * counts.events.mean())
    macs = round(n_samples * counts.macs.mean())
    assert (events, macs) == (record.events, record.macs)


def test_each_sample_has_its_own_counts() -> None:
    model = Attention({}, is_self=True, batch_first=True).eval()
    x = (torch.rand(T, N, TOKENS, FEATURES) < 0.5).float()
    whole = by_kind(price_model(model, x, loop="price").activity)
    for sample in range(N):
        alone = x[:, sample : sample + 1]
        counts = by_kind(price_model(model, alone, loop="price").activity)
        for kind in ("events", "macs"):
            for place, amounts in counts[kind].items():
                assert amounts[0] == whole[kind][place][sample], place
