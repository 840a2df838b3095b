"""Networks as NIR graphs: the content of the file, and that nir itself reads it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from spikejoule import __version__
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.engine import run_network
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.layers import layers_of
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.readout import Readout
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.writing import metadata_of, nir_graph, write_nir
from tests.tools.examples import quantised_network, trained_network, write_example
from tests.tools.networks import spike_trains

DT = 1e-4


def with_neuron(**parameters: Any) -> Checkpoint:
    neuron = LeakyIntegrateAndFire(**parameters)
    return trained_network((20, 12), neuron=neuron).checkpoint()


def through_a_file(folder: Path, network: Any) -> nir.NIRGraph:
    write_nir(folder / "network.nir", nir_graph(network))
    return nir.read(folder / "network.nir")


class TestMetadata:
    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    def test_what_nir_does_not_say(self, reset: str, tmp_path: Path) -> None:
        network = with_neuron(reset=reset)
        for graph in (nir_graph(network), through_a_file(tmp_path, network)):
            stated = metadata_of(graph)
            assert (stated.dt, stated.step_ms, stated.comparison) == (DT, 1.0, ">=")
            assert (stated.reset, stated.leak, stated.input) == (
                reset,
                "decay * u",
                "spikes",
            )
            assert stated.encoding == {
                "type": "poisson",
                "time_window": 50,
                "max_rate_hz": 80.0,
            }
            assert (stated.pruned, stated.version) == (False, __version__)
            assert stated.quantisation is None

    @pytest.mark.parametrize(
        ("encoder", "step_ms", "inputs"),
        [
            (NoEncoding(time_window=12, window_ms=30.0), 2.5, "spikes"),
            (Direct(time_window=12), 1.0, "currents"),
        ],
    )
    def test_other_encodings(
        self, encoder: Encoder, step_ms: float, inputs: str, tmp_path: Path
    ) -> None:
        network = replace(trained_network(), encoder=encoder)
        stated = metadata_of(through_a_file(tmp_path, network.checkpoint()))
        assert (stated.encoding, stated.step_ms) == (encoder.entry(), step_ms)
        assert stated.input == inputs

    def test_of_another_writer_or_damaged(self) -> None:
        with pytest.raises(ArtifactError, match="must have metadata of the format"):
            metadata_of(nir.NIRGraph({}, [], {"producer": "somebody"}))
        graph = nir_graph(trained_network().checkpoint())
        graph.metadata["reset"] = "bounce"
        with pytest.raises(ArtifactError, match="metadata: reset is 'bounce'"):
            metadata_of(graph)


class TestIntegers:
    @pytest.mark.parametrize(
        ("weight_bits", "state_bits", "neuron"),
        [
            (2, 32, {"bias": False, "reset": "subtract"}),
            (4, 16, {}),
            (8, 32, {"decay": 1.0}),
        ],
    )
    def test_bit_for_bit_those_of_the_checkpoint(
        self, weight_bits: int, state_bits: int, neuron: dict[str, Any], tmp_path: Path
    ) -> None:
        checkpoint = quantised_network(weight_bits, state_bits, **neuron).checkpoint()
        checkpoint.write(tmp_path / "trained.pth")
        graph = through_a_file(tmp_path, checkpoint)
        stored = torch.load(tmp_path / "trained.pth", weights_only=True)["quantisation"]
        found = metadata_of(graph).quantisation.model_dump()
        ours = found.pop("integers")
        theirs = stored.pop("integers")
        assert (ours.keys(), found) == (theirs.keys(), stored)
        for name, integers in theirs.items():
            np.testing.assert_array_equal(ours[name], integers.numpy(), strict=True)
        assert metadata_of(graph).leak == "floor(m u / 256)"


def test_groups_of_channels(tmp_path: Path) -> None:
    network = Network.of_chain((2, 6, 6), layers_of(["4c3g2", "2sum", "6c2g2"]), 10)
    state = {
        name: np.random.default_rng(1).normal(0.1, 0.5, shape).astype(np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    write_nir(
        tmp_path / "network.nir",
        nir_graph(
            replace(trained_network().checkpoint(), network=network, state=state)
        ),
    )
    graph = nir.read(tmp_path / "network.nir", type_check=False)
    assert [graph.nodes[f"synapses{k}"].groups for k in (1, 2)] == [2, 2]
    events = EventList.from_dense(spike_trains(72, 4, 6, 0.3))
    run = run_graph(
        read_nir(tmp_path / "network.nir"), events, record=["neurons1", "neurons2"]
    )
    for number, ours in enumerate(run_network(state, network, events)[:2], start=1):
        assert ours.n_events > 0
        assert np.array_equal(run.recorded[f"neurons{number}"].sources, ours.sources)


def test_same_bytes_whenever_and_wherever_from(tmp_path: Path) -> None:
    network = quantised_network(4)
    trained = network.checkpoint()
    trained.write(tmp_path / "trained.pth")
    write_example(tmp_path / "complete.pth", network)
    write_nir(tmp_path / "1.nir", nir_graph(trained))
    time.sleep(1.1)  # HDF5 can keep times, in seconds
    for number, name in ((2, "trained.pth"), (3, "complete.pth")):
        graph = nir_graph(Checkpoint.read(tmp_path / name))
        write_nir(tmp_path / f"{number}.nir", graph)
    first, *others = [(tmp_path / f"{number}.nir").read_bytes() for number in (1, 2, 3)]
    assert others == [first, first]


@pytest.mark.parametrize("decay", [0.9, 1.0])
@pytest.mark.parametrize("readout", [Readout.POTENTIAL, Readout.MAX_POTENTIAL])
def test_potentials_are_read_from_the_file(
    tmp_path: Path, readout: Readout, decay: float
) -> None:
    """The graph answers as the network does, and takes the same operations."""
    trained = trained_network((20,), neuron=LeakyIntegrateAndFire(decay=decay))
    network = trained.network.with_readout(readout)
    checkpoint = replace(trained, network=network).checkpoint()
    graph = through_a_file(tmp_path, checkpoint)
    assert metadata_of(graph).readout is readout
    assert type(graph.nodes["neurons2"]) is (nir.I if decay == 1 else nir.LI)
    events = EventList.from_dense(spike_trains(784, 30, 12, 0.1))
    run = run_graph(read_nir(tmp_path / "network.nir"), events)
    measured = measure_network(checkpoint.state, network, events)
    assert run.spikes_of("neurons1").sum() > 0
    np.testing.assert_allclose(run.output, measured.scores, rtol=1e-4, atol=1e-5)
    assert run.predictions is not None
    assert np.array_equal(run.predictions, measured.predictions)
    ours = count_operations(measured)
    theirs = count_operations(run)
    for term in ("decision_comparison", "threshold_comparison", "state_access"):
        assert theirs.mean_of(term) == ours.mean_of(term), term
    assert "reset" not in {
        column.term for column in ours.columns if column.place == "output"
    }
