"""What constant currents cost: products counted by hand and in loops, priced, and recorded."""

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
    EpochSpikes,
    analyse,
    count_operations,
    load_profiles,
    price,
)
from spikejoule.energy.comparison import window_cost
from spikejoule.energy.from_checkpoint import analysis_inputs, recorded_proxies, training_record
from spikejoule.energy.tables import EnergyMetrics, headline
from spikejoule.energy.training import count_training
from spikejoule.energy.words import energy_text
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
from tests.energy.by_hand import TRAINING
from tests.tools.tiny_network import ARCHITECTURE, STATE
from tests.tools.without_torch import WITH_TORCH, needs_torch

if WITH_TORCH:
    from tests.tools.examples import EVALUATION, TRAIN_TIMINGS, trained_network

IMAGE = np.array([[1.0, 0.0, 0.5]])
EACH = pytest.mark.parametrize("products", PRODUCTS)
TIMES = {"once": 1, "every_step": 3}


def tiny(products: Products) -> Measurement:
    """The tiny network on one image, over 3 steps, worked out by hand.

    Potentials of hidden 0: 0.6, 0.9, 1.05 (a spike); of hidden 1: 0.2, 0.3, 0.35; of output 0:
    0.1, 0.15, 0.075 + 0.1 + 1.2 (a spike), of output 1: 0, 0, 0.4.
    """
    events = Direct(time_window=3, direct_products=products).events(IMAGE, np.uint64(0))
    return measure_network(STATE, ARCHITECTURE, events)


@EACH
class TestByHand:
    def test_stopping_early(self, products: Products) -> None:
        measured = tiny(products)
        assert step_outcomes(measured, np.array([0])).synaptic_events.tolist() == [[0, 0, 2]]
        counts, fp32 = count_operations(measured), load_profiles()["45nm-fp32"]
        cost = window_cost(counts, fp32, products)
        assert cost is not None
        # A leak and a bias for each of 4 neurons in each step.
        step = 4 * (3.7 + 0.9)
        products_pj = {"once": 4 * 4.6, "every_step": 2 * 4 * 4.6}[products]
        assert cost.energy(0, 2).value_pj == pytest.approx(products_pj + 2 * step)
        assert cost.energy(2, 3).value_pj == pytest.approx(price(counts, fp32).per_sample_pj[0])  # type: ignore[index]


def training(products: Products) -> Any:
    epochs = tuple(
        EpochSpikes(number, 1, (0, 1, 1), 70.0 + number, (0, 2), input_macs=4 * TIMES[products])
        for number in (1, 2)
    )
    return replace(
        TRAINING,
        epochs=epochs,
        spikes=(0, 2, 2),
        best_validation_accuracy_percent=72.0,
        input_products=products,
    )


@EACH
class TestTraining:
    def test_products_of_both_passes(self, products: Products) -> None:
        counts = count_training(training(products), ARCHITECTURE)
        of = {
            (phase, column.term, column.place): counted.tolist()
            for phase, column, counted in zip(
                counts.phases, counts.columns, counts.counts.T, strict=True
            )
        }
        macs = 4 * TIMES[products]
        assert of["forward", "input_mac", "input_to_hidden"] == [macs] * 2
        assert of["backward", "input_gradient_mac", "input_to_hidden"] == [macs] * 2
        assert of["backward", "gradient_accumulation", "input_to_hidden"] == [0, 0]
        assert of["backward", "bias_gradient_accumulation", "hidden"] == [6, 6]


@needs_torch
class TestCheckpoint:
    """What the complete checkpoint keeps, and what an analysis without images makes of it."""

    @pytest.fixture(params=PRODUCTS)
    def code(self, request: pytest.FixtureRequest) -> Direct:
        return Direct(time_window=50, direct_products=request.param)

    @pytest.fixture
    def measured(self, code: Direct) -> Measurement:
        images = np.random.default_rng(3).integers(0, 256, (4, 784)).astype(np.uint8)
        images[:, ::3] = 0
        network = trained_network()
        events: EventList = code.events(images, np.uint64(0))
        return measure_network(network.state, network.architecture, events)

    @pytest.fixture
    def content(self, code: Direct, measured: Measurement) -> dict[str, Any]:
        network = replace(trained_network(), encoder=code)
        epochs = [{**epoch, "input_macs": 5000} for epoch in network.history]
        return build_complete(
            replace(network, history=tuple(epochs)),
            measured.counts,
            0.25,
            TRAIN_TIMINGS,
            EVALUATION,
            measured.proxies.as_checkpoint_entry(),
            {},
        )

    def read(self, tmp_path: Path, content: dict[str, Any]) -> CompleteCheckpoint:
        write_complete(tmp_path / "c.pth", content)
        return read_complete(tmp_path / "c.pth")

    def test_the_recorded_means_are_those_of_the_count(
        self, tmp_path: Path, content: dict[str, Any], measured: Measurement
    ) -> None:
        checkpoint = self.read(tmp_path, content)
        assert content["inference_spikes"]["total_input"] == 0
        recorded, counted = analysis_inputs(checkpoint), analysis_inputs(checkpoint, measured)
        assert recorded.operations.n_images is None
        assert recorded.operations.columns == counted.operations.columns
        assert recorded.operations.means.tolist() == pytest.approx(
            counted.operations.counts.mean(axis=0).tolist()
        )
        assert recorded.training is not None
        assert [epoch.input_macs for epoch in recorded.training.epochs] == [5000, 5000]

    @pytest.mark.parametrize("recorded", [None, 1e9])
    def test_products_that_are_missing_or_too_many(
        self, tmp_path: Path, content: dict[str, Any], recorded: float | None
    ) -> None:
        content["energy_proxies"].pop("input_macs_per_inference")
        if recorded is not None:
            content["energy_proxies"]["input_macs_per_inference"] = recorded
        with pytest.raises(ArtifactError, match="must record its input_macs_per_inference, from 0"):
            recorded_proxies(self.read(tmp_path, content))

    def test_epochs_without_products_tell_nothing_of_training(
        self, tmp_path: Path, content: dict[str, Any]
    ) -> None:
        for epoch in content["spikejoule"]["history"]:
            del epoch["input_macs"]
        assert training_record(self.read(tmp_path, content)) is None

    def test_what_is_shown(
        self, tmp_path: Path, content: dict[str, Any], code: Direct, measured: Measurement
    ) -> None:
        given = analysis_inputs(self.read(tmp_path, content), measured)
        profiles = load_profiles()
        result = analyse(given, profiles, *[profiles["45nm-fp32"]] * 2, BootstrapSettings(100))
        numbers = headline(result)
        assert numbers["input_macs_per_inference"] == measured.proxies.input_macs_per_inference
        EnergyMetrics.model_validate(numbers)
        macs = f"{numbers['input_macs_per_inference']:,.1f}"
        text = energy_text("T", result)
        assert re.search(rf"input MACs +{macs}", text)
        page = energy_page(PageContent(result))
        assert "multiply-accumulates at the input" in page
        when = "once per inference" if code.direct_products == "once" else "in every step"
        for told in (text, page):
            assert "The image is a constant current" in told
            assert f"each of its synapses, {when}" in told
            assert "it turns pixels into spikes" not in told
