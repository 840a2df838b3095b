"""Where the network stops winning, and what an answer before the end of the window costs."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    AnalysisInputs,
    OperationCounts,
    count_operations,
    load_profiles,
)
from spikejoule.energy.comparison import break_even
from spikejoule.energy.counting import Column
from spikejoule.energy.estimates import Floats
from spikejoule.energy.prices import prices_pj, weights_of
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.network import Network
from tests.energy.by_hand import (
    SAMPLES,
    analysis,
    baseline,
    comparisons,
    inputs,
    measured,
    profile,
    variant,
)

# What is done for a spike, wherever it is.
GROWS = (
    "synaptic_event", "neuron_update_active", "reset", "spike_routed", "address_event",
    "weight_read", "index_read", "state_access_per_event", "spike_read", "spike_write",
    "spike_counted",
)  # fmt: skip


class TestBreakEven:
    def test_limits_by_hand(self) -> None:
        result = analysis(inputs((baseline(100, [50] * 4),)))
        limits = result.break_even(comparisons(result)["dense"])
        assert limits is not None
        # 463.6 pJ against 14.4 pJ of events and 55.2 pJ of leaks and biases, at 5/3 spikes an input
        factor = (463.6 - 55.2) / 14.4
        assert limits.spikes_per_input == pytest.approx(5 / 3 * factor)
        assert limits.max_rate_hz == pytest.approx(80 * factor)
        assert limits.time_window == pytest.approx(3 * 463.6 / 69.6)

    @pytest.mark.parametrize("name", ["45nm-fp32-complete", "lemaire-qualia", "yan-spyx"])
    def test_at_the_limits_the_baseline_of_equal_accuracy_needs_as_much(self, name: str) -> None:
        given = with_code(Poisson(time_window=3, max_rate=80.0))
        baselines = (baseline(90, [80] * 4), baseline(70, [60] * 4, "small", equal_size=False))
        result = analysis(dataclasses.replace(given, baselines=baselines), name)
        assert result.verdict is not None
        limits, compared = result.break_even(result.verdict), result.verdict.conventional_pj
        assert limits is not None
        assert result.verdict.conventional.startswith("small, ")
        operations = given.operations
        means = operations.counts.mean(axis=0)
        prices = weights_of(prices_pj(operations.columns, load_profiles()[name]))[1]
        places = [(column.term, column.place) for column in operations.columns]
        # So many times the spikes.
        assert limits.spikes_per_input is not None
        factor = limits.spikes_per_input / given.spikes_per_input
        more = means.copy()
        for number, (term, place) in enumerate(places):
            if term in GROWS:
                more[number] *= factor
            if term == "neuron_update_inactive":
                active = means[places.index(("neuron_update_active", place))]
                more[number] += active - factor * active
        assert more @ prices == pytest.approx(compared)
        # So many times the window: two windows lie on the line that meets it.
        assert limits.time_window is not None
        longer = with_code(Poisson(time_window=6, max_rate=80.0)).operations
        slope = (energy_of(longer.counts, twice(places), prices, means) - means @ prices) / 3
        assert means @ prices + slope * (limits.time_window - 3) == pytest.approx(compared)

    def test_an_active_update_takes_the_place_of_an_inactive_one(self) -> None:
        """10 events, 2 active, 4 inactive updates; three times the spikes leave none inactive."""
        counts = {"synaptic_event": 10.0, "neuron_update_active": 2.0,
                  "neuron_update_inactive": 4.0}  # fmt: skip
        prices = dict(zip(counts, (1.0, 5.0, 3.0), strict=True))
        baseline_pj = float(np.array([30.0, 6.0, 0.0]) @ [1.0, 5.0, 3.0])
        limits = break_even(of(counts), profile(prices, "per_event"), baseline_pj, 2.0, 80)
        assert limits is not None
        assert limits.spikes_per_input == pytest.approx(3 * 10 / 5)

    @pytest.mark.parametrize(
        ("step_pj", "baseline_pj", "window"),
        [
            # 10 pJ of spikes, and 4 of steps over a window of 3
            (4.0, 18.0, 3 * (18 - 10) / 4),
            (4.0, 9.0, None),  # the spikes alone cost more
            (0.0, 18.0, None),  # steps cost nothing
        ],
    )
    def test_the_window_of_a_code_without_a_rate(
        self, step_pj: float, baseline_pj: float, window: float | None
    ) -> None:
        """More steps bring no more spikes."""
        counts = of({"synaptic_event": 10.0, "bias_addition": step_pj})
        limits = break_even(counts, profile({"addition": 1.0}), baseline_pj, 2.0, None)
        assert limits is not None
        assert limits.max_rate_hz is None
        assert limits.time_window == (window if window is None else pytest.approx(window))

    def test_neurons_that_spike_in_every_step(self) -> None:
        """No update is inactive, and still an active one costs no less without spikes."""
        layers = tuple(EventList.from_dense([[[1, 1]] * 3]) for _ in range(3))
        architecture = Network.of_layers(2, (2,), 2)
        state = {
            name: np.ones(shape, np.float32)
            for name, shape in architecture.parameter_shapes().items()
        }
        counts = count_operations(Measurement(state, architecture, layers))
        limits = break_even(counts, load_profiles()["loihi-1"], 5000.0, 3.0, 80)
        # Of a step: 4 updates that are active, 6 spikes, 8 events.
        steps, spikes = 3 * 4 * 52, 3 * (8 * 23.6 + 4 * (81 - 52) + 6 * 1.7)
        assert limits is not None
        assert limits.spikes_per_input == pytest.approx(3 * (5000 - steps) / spikes)


def of(counts: dict[str, float]) -> OperationCounts:
    """Means of some terms at one place, over a window of 3."""
    return OperationCounts(tuple(Column(term, "x") for term in counts),
                           np.array([[*counts.values()]]), 3)  # fmt: skip


IMAGES = np.array([[[255, 128, 0]]] * SAMPLES, dtype=np.uint8)


def with_code(encoder: Encoder) -> AnalysisInputs:
    """The network by hand, with what this code would take for an image with a black pixel."""
    given = inputs()
    operations = count_operations(measured(SAMPLES), encoder.operations(IMAGES))
    return dataclasses.replace(given, encoder=encoder, variants=(variant(operations),))


def twice(places: list[tuple[str, str]]) -> NDArray[np.bool_]:
    """What a window twice as long has twice of, the code aside."""
    once = ("pixel_read", "random_draw", "decision_comparison")
    return np.array([term not in once and not term.startswith("code_") for term, _ in places])


def energy_of(
    longer: NDArray[np.int64], doubled: NDArray[np.bool_], prices: Floats, means: Floats
) -> float:
    """With the code of the longer window, and twice of everything that a step has."""
    return float(np.where(doubled, 2 * means, longer.mean(axis=0)) @ prices)
