"""Other simulators load our NIR graphs, by the code of the how-to page.

They emit the same spikes.
"""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike

from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine, run_network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.trained import TrainedNetwork
from spikejoule.nir.writing import nir_graph, write_nir
from tests.tools.examples import quantised_network, trained_network
from tests.tools.pages import names_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGE = "docs/how-to/hand-a-network-to-another-simulator.md"
SIMULATORS = ("spikingjelly", "snntorch", "norse", "sinabs")
NETWORKS: dict[str, dict[str, Any]] = {
    "no bias": {"bias": False},
    "a number a layer": {"threshold": (1.0, 0.7, 0.5), "decay": (0.95, 0.6, 0.8)},
    "no leak": {"decay": 1.0},
    "nothing kept": {"decay": 0.0},
    "subtracts": {"reset": "subtract"},
}
# What a simulator cannot run, as the page says.
CANNOT = {
    ("spikingjelly", "nothing kept"),
    ("snntorch", "no leak"),
    ("snntorch", "integers"),
    ("snntorch", "subtracts"),
    ("norse", "subtracts"),
    ("sinabs", "no bias"),
}

Run = Callable[[str, torch.Tensor], torch.Tensor]


@pytest.fixture(params=SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason="needs the extra interop")
    return name


@pytest.fixture
def run(simulator: str, repository: Path) -> Run:
    """The function that the page gives for the simulator."""
    found: Run = names_in(repository / PAGE, f"in_{simulator}.py")["run"]
    return found


@pytest.fixture(scope="module")
def events() -> EventList:
    """300 samples of 50 steps; a fifth of the inputs fire, at up to 80 Hz, as MNIST's
    do.
    """
    generator = np.random.default_rng(8)
    rates = (
        0.08 * generator.random((300, 1, 784)) * (generator.random((300, 1, 784)) < 0.2)
    )
    return EventList.from_dense(
        generator.random((300, 50, 784), dtype=np.float32) < rates
    )


def differing(
    run: Run, folder: Path, network: TrainedNetwork, events: EventList
) -> int:
    """Output spikes that a simulator emits and we do not, or the other way round.

    In float64, where the order of a sum decides nothing.
    """
    if network.network.quantisation is None:
        engine = make_engine("event", network.network, network.state, dtype=np.float64)
        ours = engine.run(events)[-1]
    else:
        ours = run_network(network.state, network.network, events)[-1]
    found = spikes_of(run, folder, network, dense(events, np.float64))
    assert 0.01 < ours.density < 0.9
    return int((found != dense(ours)).sum())


def spikes_of(
    run: Run, folder: Path, network: TrainedNetwork, inputs: torch.Tensor
) -> torch.Tensor:
    write_nir(folder / "network.nir", nir_graph(network.checkpoint()))
    with torch.no_grad():
        return run(str(folder / "network.nir"), inputs)


def dense(events: EventList, dtype: DTypeLike = np.float32) -> torch.Tensor:
    """Spikes [T, N, units]."""
    return torch.from_numpy(events.to_dense(dtype)).transpose(0, 1)


@pytest.fixture
def wide_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let snnTorch and Sinabs emit spikes in float64, so that they can compute in
    it.
    """
    for module, name in (
        ("snntorch.surrogate", "ATan"),
        ("sinabs.activation.spike_generation", "SingleSpike"),
    ):
        if find_spec(module.partition(".")[0]) is not None:
            function = getattr(import_module(module), name)
            monkeypatch.setattr(
                function, "forward", staticmethod(widened(function.forward))
            )


def widened(forward: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda context, potential, *rest: forward(context, potential, *rest).to(
        potential.dtype
    )


@pytest.mark.usefixtures("wide_spikes")
@pytest.mark.parametrize("name", [*NETWORKS, "integers"])
def test_it_emits_our_spikes(
    name: str, simulator: str, run: Run, tmp_path: Path, events: EventList
) -> None:
    if name == "integers":  # theirs are the floats that integers of 4 bits stand for
        network = quantised_network(4, decay=1.0)
    else:
        network = trained_network(
            (40, 30), neuron=LeakyIntegrateAndFire(**NETWORKS[name])
        )
    if (simulator, name) in CANNOT:
        with pytest.raises((AssertionError, KeyError, ValueError)):
            differing(run, tmp_path, network, events)
    else:
        # Of 150,000; Norse's parameters are float32.
        allowed = 5 if simulator == "norse" else 0
        assert differing(run, tmp_path, network, events) <= allowed


def test_it_emits_the_spikes_that_are_stored(
    run: Run, tmp_path: Path, events: EventList
) -> None:
    """In float32, as the pipeline counts them."""
    network = trained_network((40,))
    ours = dense(run_network(network.state, network.network, events)[-1])
    assert torch.equal(spikes_of(run, tmp_path, network, dense(events)), ours)


def test_a_neuron_at_its_threshold_fires(
    simulator: str, run: Run, tmp_path: Path, events: EventList
) -> None:
    """The output copies the hidden layer: each of its spikes lifts one neuron to the
    threshold.
    """
    if simulator == "norse":
        pytest.skip("norse rounds a potential at its threshold, as the page says")
    network = trained_network((10,))
    copy = {
        "layer2.synapses.weight": np.eye(10, dtype=np.float32),
        "layer2.synapses.bias": np.zeros(10, dtype=np.float32),
    }
    network = replace(network, state=network.state | copy)
    hidden = dense(run_network(network.state, network.network, events)[0])
    assert hidden.mean() > 0.01
    assert torch.equal(spikes_of(run, tmp_path, network, dense(events)), hidden)
