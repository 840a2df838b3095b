"""Networks as NIR graphs: what stands in the file, and that nir itself reads it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import nir
import numpy as np
import pytest
import torch

from spikejoule import __version__
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import EventList
from spikejoule.engine import run_network
from spikejoule.graphs import (
    graph_without_nodes,
    integers_of,
    metadata_of,
    nir_graph,
    write_nir,
)
from spikejoule.graphs.running import run_graph
from spikejoule.model.checkpoint import read_complete
from spikejoule.model.neuron import Neuron
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.trained import TrainedNetwork, load_trained, save_trained
from tests import naive
from tests.tools.examples import quantised_network, trained_network, write_example

DT = 1e-4
NEURONS = {
    "default": {},
    "no bias": {"bias": False},
    "no leak": {"decay": 1.0},
    "nothing kept": {"decay": 0.0},
    "a number a layer": {"threshold": (1.0, 0.7, 0.5), "decay": (0.95, 1.0, 0.8)},
    "learned": {"learned": "both"},
    "subtracts": {"reset": "subtract"},
}

PARAMETERS = ("weight", "bias")
PRUNED = {"pruned_fraction": 0.5, "prune_by": "magnitude", "prune_epochs": 2}
ENCODER_PARAMETERS: dict[str, dict[str, Any]] = {
    "poisson": {"max_rate": 80.0},
    "regular": {"max_rate": 80.0},
    "latency": {"latency_threshold": 0.2, "latency_curve": "linear"},
    "direct": {"direct_products": "once"},
    "none": {"window_ms": 30.0},
}


def with_neuron(**parameters: Any) -> TrainedNetwork:
    return trained_network((20, 12), neuron=LeakyIntegrateAndFire(**parameters))


def through_a_file(folder: Path, network: Any) -> nir.NIRGraph:
    write_nir(folder / "network.nir", nir_graph(network))
    return nir.read(folder / "network.nir")


@pytest.mark.parametrize("name", NEURONS)
def test_nirs_own_equations_give_the_spikes(name: str, tmp_path: Path) -> None:
    """As the executor of graphs has them, whose witness is `naive_graph`."""
    network = with_neuron(**NEURONS[name])
    neuron = network.architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    dense = np.random.default_rng(3).random((1, 50, 784)) < 0.02
    constants = neuron.threshold, neuron.decay, neuron.reset
    expected = naive.run(network.state, dense.astype(int).tolist(), *constants)[-1]
    graph = through_a_file(tmp_path, network)
    run = run_graph(graph, EventList.from_dense(dense), dtype=np.float64, record=["neurons3"])
    assert np.array_equal(run.recorded["neurons3"].to_dense(), expected)
    assert 0.01 < expected.mean() < 0.99


class TestMetadata:
    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    def test_what_nir_does_not_say(self, reset: str, tmp_path: Path) -> None:
        network = with_neuron(reset=reset)
        for graph in (nir_graph(network), through_a_file(tmp_path, network)):
            stated = metadata_of(graph)
            assert (stated.dt, stated.step_ms, stated.comparison) == (DT, 1.0, ">=")
            assert (stated.reset, stated.leak, stated.input) == (reset, "decay * u", "spikes")
            assert stated.encoding == {
                "type": "poisson", "time_window": 50, "max_rate_hz": 80.0,
            }  # fmt: skip
            assert (stated.pruned, stated.version) == (False, __version__)
            with pytest.raises(ArtifactError, match="floating point, and has no integers"):
                integers_of(graph)

    @pytest.mark.parametrize("code", ENCODERS)
    def test_every_code(self, code: str, tmp_path: Path) -> None:
        encoder = ENCODERS[code].model_validate({**ENCODER_PARAMETERS[code], "time_window": 12})
        network = replace(trained_network(), encoder=encoder)
        stated = metadata_of(through_a_file(tmp_path, network))
        assert stated.encoding == encoder.entry()
        assert stated.step_ms == (2.5 if code == "none" else 1)
        assert stated.input == ("currents" if code == "direct" else "spikes")

    def test_of_another_writer(self) -> None:
        graph = nir.NIRGraph({}, [], {"producer": "somebody"})
        with pytest.raises(ArtifactError, match="must have metadata of the format"):
            metadata_of(graph)

    def test_damaged(self) -> None:
        graph = nir_graph(trained_network())
        graph.metadata["reset"] = "bounce"
        with pytest.raises(ArtifactError, match="metadata: reset is 'bounce'"):
            metadata_of(graph)


class TestIntegers:
    @pytest.mark.parametrize(("weight_bits", "state_bits"), [(2, 32), (4, 16), (8, 32)])
    @pytest.mark.parametrize("neuron", [{}, {"bias": False, "reset": "subtract"}, {"decay": 1.0}])
    def test_bit_for_bit_those_of_the_checkpoint(
        self, weight_bits: int, state_bits: int, neuron: dict[str, Any], tmp_path: Path
    ) -> None:
        network = quantised_network(weight_bits, state_bits, **neuron)
        save_trained(tmp_path / "trained.pth", network)
        graph = through_a_file(tmp_path, network)
        stored = torch.load(tmp_path / "trained.pth", weights_only=True)["quantisation"]
        found = integers_of(graph)
        for name in ("weight_bits", "state_bits", "exponents", "thresholds", "leak_factors"):
            assert getattr(found, name) == stored[name]
        assert found.integers.keys() == stored["integers"].keys()
        for name, integers in stored["integers"].items():
            assert found.integers[name].dtype == integers.numpy().dtype
            assert np.array_equal(found.integers[name], integers.numpy())
        assert metadata_of(graph).leak == "floor(m u / 256)"

    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    def test_the_network_of_integers_comes_back(self, reset: str, tmp_path: Path) -> None:
        network = quantised_network(4, 16, reset=reset)
        found = integers_of(through_a_file(tmp_path, network))
        layers = [
            [found.integers[f"layer{number}.synapses.{name}"].tolist() for name in PARAMETERS]
            for number in (1, 2)
        ]
        constants = [
            (threshold, leak / 256)
            for threshold, leak in zip(found.thresholds, found.leak_factors, strict=True)
        ]
        dense = (np.random.default_rng(5).random((2, 20, 784)) < 0.02).astype(int)
        expected = run_network(network.state, network.architecture, EventList.from_dense(dense))
        passed = naive.integer_run(layers, dense.tolist(), constants, found.state_bits, reset)
        for events, (_, spikes) in zip(expected, passed, strict=True):
            assert np.array_equal(events.to_dense(np.int64), spikes)
            assert spikes.any()


class TestFile:
    def test_same_bytes_whenever_and_wherever_from(self, tmp_path: Path) -> None:
        network = quantised_network(4)
        save_trained(tmp_path / "trained.pth", network)
        write_example(tmp_path / "complete.pth", network)
        write_nir(tmp_path / "1.nir", nir_graph(network))
        time.sleep(1.1)  # HDF5 can keep times, in seconds
        write_nir(tmp_path / "2.nir", nir_graph(load_trained(tmp_path / "trained.pth")))
        write_nir(tmp_path / "3.nir", nir_graph(read_complete(tmp_path / "complete.pth")))
        first, *others = [(tmp_path / f"{number}.nir").read_bytes() for number in (1, 2, 3)]
        assert others == [first, first]

    def test_the_graph_shares_no_array_with_the_network(self) -> None:
        network = trained_network()
        before = network.state["layer1.synapses.weight"].copy()
        nir_graph(network).nodes["synapses1"].weight[:] = 0
        assert np.array_equal(network.state["layer1.synapses.weight"], before)


class Odd(Neuron):
    """A neuron that NIR lacks."""

    name: ClassVar[str] = "odd"
    reference: ClassVar[str] = "nobody"
    equation: ClassVar[str] = "v[t] = 7"

    def step(self, membrane: Any, current: Any, fire: Any) -> Any:
        raise NotImplementedError


class TestAnotherNeuron:
    def test_it_is_refused(self) -> None:
        network = trained_network()
        odd = replace(network, architecture=replace(network.architecture, neuron=Odd()))
        with pytest.raises(ParameterError, match=r"model\.neuron: 'odd' has no node in NIR"):
            nir_graph(odd)

    def test_in_its_place_stands_why(self, tmp_path: Path) -> None:
        write_nir(tmp_path / "n.nir", graph_without_nodes("no node for it"))
        graph = nir.read(tmp_path / "n.nir")
        assert graph.nodes == {}
        assert graph.metadata["reason"] == "no node for it"
        with pytest.raises(ArtifactError, match="'none'"):
            metadata_of(graph)
