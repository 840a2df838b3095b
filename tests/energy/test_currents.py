"""What constant currents cost, recorded in a checkpoint and shown; counts: `test_recount.py`."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.events import PRODUCTS, EventList, Products
from spikejoule.energy import (
    BootstrapSettings,
    analyse,
    count_operations,
    load_profiles,
    price,
)
from spikejoule.energy.comparison import OperatingPoint, window_cost
from spikejoule.energy.from_checkpoint import analysis_inputs, recorded_proxies, training_record
from spikejoule.energy.tables import EnergyMetrics, headline
from spikejoule.evaluation.accuracy import step_outcomes
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.checkpoint import (
    CompleteCheckpoint,
    build_complete,
    read_complete,
    write_complete,
)
from spikejoule.report import PageContent, energy_page
from spikejoule.report.page import energy_text
from tests.tools.tiny_network import ARCHITECTURE, STATE
from tests.tools.without_torch import WITH_TORCH, needs_torch

if WITH_TORCH:
    from tests.tools.examples import EVALUATION, TRAIN_TIMINGS, trained_network


@pytest.mark.parametrize("products", PRODUCTS)
def test_stopping_early_by_hand(products: Products) -> None:
    """Potentials of hidden 0: 0.6, 0.9, 1.05 (a spike); of hidden 1: 0.2, 0.3, 0.35; of output 0:
    0.1, 0.15, 0.075 + 0.1 + 1.2 (a spike), of output 1: 0, 0, 0.4.
    """
    code = Direct(time_window=3, direct_products=products)
    events = code.events(np.array([[1.0, 0.0, 0.5]]), np.uint64(0))
    measured = measure_network(STATE, ARCHITECTURE, events)
    assert step_outcomes(measured, np.array([0])).synaptic_events.tolist() == [[0, 0, 2]]
    counts, fp32 = count_operations(measured), load_profiles()["45nm-fp32"]
    cost = window_cost(counts, fp32, OperatingPoint(0.0, 3, None, products))
    assert cost is not None
    # A leak and a bias for each of 4 neurons in each step.
    step = 4 * (3.7 + 0.9)
    products_pj = {"once": 4 * 4.6, "every_step": 2 * 4 * 4.6}[products]
    assert cost.energy(0, 2).value_pj == pytest.approx(products_pj + 2 * step)
    assert cost.energy(2, 3).value_pj == pytest.approx(price(counts, fp32).per_sample_pj[0])  # type: ignore[index]


@needs_torch
@pytest.mark.parametrize("products", PRODUCTS)
def test_the_checkpoint_keeps_and_the_report_shows_them(tmp_path: Path, products: Products) -> None:
    content, measured = written(products)
    checkpoint = read(tmp_path, content)
    recorded, given = analysis_inputs(checkpoint), analysis_inputs(checkpoint, measured)
    assert recorded.operations.n_images is None
    assert recorded.operations.columns == given.operations.columns
    assert recorded.operations.means.tolist() == pytest.approx(
        given.operations.counts.mean(axis=0).tolist()
    )
    assert recorded.training is not None
    assert [epoch.input_macs for epoch in recorded.training.epochs] == [5000, 5000]
    profiles = load_profiles()
    result = analyse(given, profiles, *[profiles["45nm-fp32"]] * 2, BootstrapSettings(100))
    numbers = headline(result)
    assert numbers["input_macs_per_inference"] == measured.proxies.input_macs_per_inference
    EnergyMetrics.model_validate(numbers)
    text, page = energy_text("T", result), energy_page(PageContent(result))
    assert re.search(rf"input MACs +{numbers['input_macs_per_inference']:,.1f}", text)
    assert "multiply-accumulates at the input" in page
    when = "once per inference" if products == "once" else "in every step"
    for told in (text, page):
        assert "The image is a constant current" in told
        assert f"each of its synapses, {when}" in told
        assert "what the code takes" not in told


@needs_torch
def test_what_is_missing_or_too_much_in_a_checkpoint(tmp_path: Path) -> None:
    content, _ = written("once")
    for epoch in content["spikejoule"]["history"]:
        del epoch["input_macs"]
    assert training_record(read(tmp_path, content)) is None
    for recorded in ({}, {"input_macs_per_inference": 1e9}):
        content["energy_proxies"].pop("input_macs_per_inference", None)
        content["energy_proxies"].update(recorded)
        with pytest.raises(ArtifactError, match="must record its input_macs_per_inference, from 0"):
            recorded_proxies(read(tmp_path, content))


def read(tmp_path: Path, content: dict[str, Any]) -> CompleteCheckpoint:
    write_complete(tmp_path / "c.pth", content)
    return read_complete(tmp_path / "c.pth")


def written(products: Products) -> tuple[dict[str, Any], Measurement]:
    """The content of a checkpoint of such a network, and what was measured of it."""
    code, network = Direct(time_window=50, direct_products=products), trained_network()
    images = np.random.default_rng(3).integers(0, 256, (4, 784)).astype(np.uint8)
    images[:, ::3] = 0
    events: EventList = code.events(images, np.uint64(0))
    measured = measure_network(network.state, network.architecture, events)
    history = tuple({**epoch, "input_macs": 5000} for epoch in network.history)
    content = build_complete(
        replace(network, encoder=code, history=history),
        measured.counts,
        0.25,
        TRAIN_TIMINGS,
        EVALUATION,
        measured.proxies.as_checkpoint_entry(),
        {},
    )
    return content, measured
