"""Networks of other simulators, by the recipes of the how-to page: their spikes, their counts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.paper_graphs import PAPER
from docs.site import speed
from spikejoule.encoding.events import EventList
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph
from tests.tools.pages import names_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PAGE = "docs/how-to/price-any-nir-graph.md"
N_SAMPLES, STEPS = 1000, 20
SHAPES = {"fully connected": (30,), "convolutional": (2, 10, 10), "recurrent": (30,)}

Spikes = NDArray[np.bool_]
Run = Callable[[Spikes], NDArray[Any]]


@pytest.fixture
def recipe(repository: Path) -> Callable[[str], dict[str, Any]]:
    """The names that the page's file for a simulator defines."""

    def names_of(simulator: str) -> dict[str, Any]:
        pytest.importorskip(simulator, reason="needs the extra interop")
        return names_in(repository / PAGE, f"from_{simulator}.py")

    return names_of


def spikes_for(kind: str, samples: int = N_SAMPLES) -> Spikes:
    generator = np.random.default_rng(11)
    found: Spikes = generator.random((samples, STEPS, *SHAPES[kind])) < 0.12
    return found


def events_of(spikes: Spikes) -> EventList:
    return EventList.from_dense(spikes.reshape(*spikes.shape[:2], -1))


def weighted(network: torch.nn.Module) -> torch.nn.Module:
    """Weights that make every layer fire, multiples of 1/256: sums are exact in any order."""
    torch.manual_seed(3)
    for name, values in network.named_parameters():
        fan_in = values[0].numel() if values.dim() > 1 else 1
        drawn = torch.randn(values.shape) * 3 / fan_in**0.5 if values.dim() > 1 else (
            torch.rand(values.shape) / 4)  # fmt: skip
        if "recurrent.bias" in name:
            drawn = torch.zeros(values.shape)
        with torch.no_grad():
            values.copy_(torch.round(256 * drawn) / 256)
    return network.eval()


def in_snntorch(kind: str) -> tuple[torch.nn.Module, Run]:
    from snntorch import Leaky, RLeaky, utils

    options: dict[str, Any] = {
        "reset_mechanism": "zero", "init_hidden": True, "reset_delay": False,
    }  # fmt: skip

    def leaky(*shape: int) -> torch.nn.Module:
        return Leaky(beta=torch.full(shape, 0.5), threshold=torch.ones(shape), **options)

    layers: list[torch.nn.Module] = {
        "fully connected": lambda: [torch.nn.Linear(30, 40), leaky(40)],
        "convolutional": lambda: [
            torch.nn.Conv2d(2, 8, 3, stride=2, padding=1), leaky(8, 5, 5), torch.nn.AvgPool2d(2),
            torch.nn.Flatten(),
        ],
        "recurrent": lambda: [
            torch.nn.Linear(30, 40),
            RLeaky(beta=torch.full((40,), 0.5), threshold=torch.ones(40), linear_features=40,
                   **options),
        ],
    }[kind]()  # fmt: skip
    n_hidden = 32 if kind == "convolutional" else 40
    network = weighted(torch.nn.Sequential(*layers, torch.nn.Linear(n_hidden, 10), leaky(10)))

    def run(spikes: Spikes) -> NDArray[Any]:
        utils.reset(network)
        inputs = torch.from_numpy(spikes.astype(np.float32))
        return torch.stack([network(inputs[:, step]) for step in range(STEPS)], 1).numpy()

    return network, run


def in_spikingjelly(kind: str) -> tuple[torch.nn.Module, Run]:
    from spikingjelly.activation_based import functional, layer, neuron

    def leaky() -> torch.nn.Module:
        return neuron.LIFNode(tau=2.0, decay_input=False, v_reset=0.0, step_mode="m")

    layers = {
        "fully connected": lambda: [layer.Linear(30, 40, step_mode="m"), leaky()],
        "convolutional": lambda: [
            layer.Conv2d(2, 8, 3, stride=2, padding=1, step_mode="m"), leaky(),
            layer.AvgPool2d(2, step_mode="m"), layer.Flatten(step_mode="m"),
        ],
    }[kind]()  # fmt: skip
    n_hidden = 32 if kind == "convolutional" else 40
    network = weighted(
        torch.nn.Sequential(*layers, layer.Linear(n_hidden, 10, step_mode="m"), leaky())
    )

    def run(spikes: Spikes) -> NDArray[Any]:
        functional.reset_net(network)
        inputs = torch.from_numpy(spikes.astype(np.float32)).transpose(0, 1)
        found: NDArray[Any] = network(inputs).transpose(0, 1).numpy()
        return found

    return network, run


def in_norse(kind: str) -> tuple[torch.nn.Module, Run]:
    from norse.torch import LIFBoxCell, LIFBoxParameters, SequentialState

    def cell(n: int) -> torch.nn.Module:
        nothing = torch.zeros(n)
        return LIFBoxCell(
            LIFBoxParameters(
                tau_mem_inv=torch.full((n,), 500.0), v_leak=nothing, v_th=torch.ones(n),
                v_reset=nothing,
            )
        )  # fmt: skip

    assert kind == "fully connected", kind
    layers = [torch.nn.Linear(30, 40), cell(40), torch.nn.Linear(40, 10), cell(10)]
    network = weighted(SequentialState(*layers))

    def run(spikes: Spikes) -> NDArray[Any]:
        state, outputs = None, []
        for step in range(STEPS):
            output, state = network(torch.from_numpy(spikes[:, step].astype(np.float32)), state)
            outputs.append(output)
        return torch.stack(outputs, 1).numpy()

    return network, run


MAKE = {"snntorch": in_snntorch, "spikingjelly": in_spikingjelly, "norse": in_norse}
SAMPLE = {"snntorch": (1,), "spikingjelly": (STEPS, 1), "norse": (1,)}


@pytest.mark.parametrize(
    ("simulator", "kind"),
    [("snntorch", "fully connected"), ("snntorch", "convolutional"), ("snntorch", "recurrent"),
     ("spikingjelly", "fully connected"), ("spikingjelly", "convolutional"),
     ("norse", "fully connected")],
)  # fmt: skip
@torch.no_grad()
def test_their_spikes(
    simulator: str, kind: str, recipe: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """1,000 samples, every output spike, from memory and from a file."""
    names = recipe(simulator)
    network, run = MAKE[simulator](kind)
    graph = names["graph_of"](network, torch.zeros(*SAMPLE[simulator], *SHAPES[kind]))
    spikes = spikes_for(kind)
    theirs = run(spikes)
    assert 0.02 < theirs.mean() < 0.9
    (last,) = [source for source, target in graph.edges if target == "output"]
    found = run_graph(graph, events_of(spikes), names["GIVEN"], record=(last,))
    assert found.engine == (
        "event" if kind == "fully connected" and simulator != "norse" else "graph"
    )
    assert np.array_equal(found.recorded[last].to_dense(np.float32), theirs)
    nir.write(tmp_path / "graph.nir", graph)
    again = run_graph(read_nir(tmp_path / "graph.nir"), events_of(spikes), names["GIVEN"])
    assert np.array_equal(again.output, found.output)
    assert np.array_equal(again.events, found.events)


def test_the_benchmark_compares_what_is_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every output spike of graphs of the shape of the eight files of NIR's paper, among others.

    Weights are such that sums are exact in float32.
    """
    for name in ("nirtorch", "snntorch"):
        pytest.importorskip(name, reason="needs the extra interop")
    from benchmarks.__main__ import main

    out = tmp_path / "graphs.json"
    few = ["--samples", "16", "--steps", "50", "--rounds", "1", "--threads", "1", "--many", "300"]
    assert main(["graphs", *few, "--output", str(out)]) == 0
    assert "fully_connected" in capsys.readouterr().out
    found = json.loads(out.read_text(encoding="utf-8"))
    rows, many = found["graphs"], found["many_samples"]
    assert {row["graph"]: row["engine"] for row in rows}.items() >= {
        **dict.fromkeys(PAPER, "graph"), "fully_connected": "event",
    }.items()  # fmt: skip
    assert all(row["samples_per_second_nirtorch"] > 0 for row in rows)
    assert all(row["density"] > 0 for row in rows)
    assert many["samples"] == 300
    assert 0.02 < many["density"] < 0.1
    assert f"300 samples of 10 steps in `{many['graph']}`" in speed.graphs(out)
    assert f"takes {found['counting']['ratio']:.2f} times the model's own" in speed.graphs(out)
