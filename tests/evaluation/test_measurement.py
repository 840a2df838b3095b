"""Measured inference: counts that agree with a naive recount, and files that are checked."""

from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList, save_events
from spikejoule.evaluation.inference import (
    load_inference_events,
    load_network_and_events,
    measure_network,
    save_inference_events,
)
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.trained import TrainedNetwork, save_trained
from tests.tools.examples import trained_network


def some_events(n_samples: int = 6, n_steps: int = 50, n_inputs: int = 784) -> EventList:
    generator = np.random.default_rng(3)
    return EventList.from_dense(generator.random((n_samples, n_steps, n_inputs)) < 0.02)


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    return trained_network((12, 8))


@pytest.fixture(scope="module")
def measured(network: TrainedNetwork) -> Measurement:
    return measure_network(network.state, network.architecture, some_events())


class TestMeasureNetwork:
    def test_proxies_are_those_of_the_counts(self, measured: Measurement) -> None:
        totals = measured.counts.totals
        by_hand = totals["input"] * 12 + totals["hidden1"] * 8 + totals["hidden2"] * 10
        assert measured.proxies.synaptic_events_per_inference == pytest.approx(by_hand / 6)

    def test_a_pruned_synapse_carries_no_event(self, network: TrainedNetwork) -> None:
        state = {name: values.copy() for name, values in network.state.items()}
        state["layer1.synapses.weight"][:5] = 0
        full = measure_network(state, network.architecture, some_events())
        pruned = measure_network(state, network.architecture, some_events(), pruned=True)
        totals = pruned.counts.totals
        assert totals == full.counts.totals
        missing = totals["input"] * 5 / 6
        assert full.proxies.synaptic_events_per_inference - missing == pytest.approx(
            pruned.proxies.synaptic_events_per_inference
        )

    def test_no_sample(self, network: TrainedNetwork) -> None:
        with pytest.raises(ArtifactError, match="no sample"):
            measure_network(network.state, network.architecture, some_events().select(slice(0)))


ENCODING: dict[str, str | int | float] = {
    "type": "poisson",
    "time_window": 50,
    "max_rate_hz": 80.0,
    "seed": 7,
    "split": "test",
    "images_sha256": "ab" * 32,
}


class TestLoadNetworkAndEvents:
    def write(
        self, folder: Path, events: EventList, encoding: dict[str, str | int | float]
    ) -> tuple[Path, Path]:
        save_trained(folder / "trained.pth", trained_network())
        save_events(folder / "events.npz", events, encoding)
        return folder / "trained.pth", folder / "events.npz"

    def test_what_belongs_together(self, tmp_path: Path) -> None:
        network, events = load_network_and_events(*self.write(tmp_path, some_events(), ENCODING))
        assert network.best_epoch == 2
        assert events.n_samples == 6

    @pytest.mark.parametrize(
        ("events", "changes", "words"),
        [
            (some_events(), {"max_rate_hz": 100.0}, "max_rate_hz 100.0,"),
            (some_events(), {"type": "morse"}, "made with the encoding 'morse'"),
        ],
    )
    def test_what_does_not(
        self,
        tmp_path: Path,
        events: EventList,
        changes: dict[str, str | int | float],
        words: str,
    ) -> None:
        paths = self.write(tmp_path, events, {**ENCODING, **changes})
        with pytest.raises(ArtifactError) as error:
            load_network_and_events(*paths)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
        assert str(paths[1]) in str(error.value)


def test_events_can_be_recounted(measured: Measurement, tmp_path: Path) -> None:
    names = measured.counts.layer_names[1:]
    for name in ("a.npz", "b.npz"):
        save_inference_events(tmp_path / name, measured)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = load_inference_events(tmp_path / "a.npz")
    assert tuple(found) == names
    for name, events in zip(names, measured.layers[1:], strict=True):
        np.testing.assert_array_equal(found[name].sources, events.sources)
        np.testing.assert_array_equal(found[name].offsets, events.offsets)
        assert found[name].n_inputs == events.n_inputs
