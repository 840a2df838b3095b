"""The exchange rate of a run, by hand."""

from collections.abc import Mapping

import pytest

from spikejoule.compare.exchange import (
    ExchangeRate,
    Work,
    exchange_rate,
    exchange_rate_of,
)
from spikejoule.report.statements import says
from tests.energy.by_hand import analysis, baseline, inputs

SPIKING = {"synaptic_event": 280, "bias_addition": 20, "weight_read": 1000}
CONVENTIONAL = {"mac": 100, "bias_addition": 50, "weight_read": 300, "pixel_read": 100}


def work(counts: Mapping[str, float]) -> Work:
    return Work.of(lambda term: counts.get(term, 0.0))


def test_by_hand() -> None:
    """300 + 1,000 y = 100 x + 50 + 400 y, so x = 2.5 + 6 y."""
    spiking = work(SPIKING)
    conventional = work(CONVENTIONAL)
    assert exchange_rate(spiking, conventional) == ExchangeRate(2.5, 6)
    mac_price = 2.5 + 6 * 3
    cost = pytest.approx(conventional.cost(mac_price, 3))
    assert spiking.cost(mac_price, 3) == cost
    assert exchange_rate(conventional, spiking) is None


def test_a_run_states_its_own_line() -> None:
    """16 events and 12 biases in 97 accesses; 12 products and 4 biases in 62."""
    result = analysis(inputs((baseline(20, [12] * 4),)))
    rate = ExchangeRate((16 + 12 - 4) / 12, (97 - 62) / 12)
    assert exchange_rate_of(result) == rate
    (sentence,) = says(result, "exchange")
    assert "needs less energy than ReLU, zero-skipping only where" in sentence
    assert "more than 2 additions plus 2.92 memory accesses" in sentence
