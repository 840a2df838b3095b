"""`spikejoule.verify`: a model and its exported graph, compared spike by spike."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn

import spikejoule
from spikejoule import Population
from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.core.errors import (
    ArtifactError,
    DataError,
    ParameterError,
    SpikejouleError,
)
from spikejoule.encoding.events import EventList, save_events
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.verification import Verification
from spikejoule.pricing.graph import price_graph
from tests.tools.cli import Cli

DT = 2.0**-10
GIVEN = Conventions(dt=DT, reset="zero", comparison="ge")
N_SAMPLES = 5
STEPS = 12


class Firing(nn.Module):
    """Neurons that keep half of their potential; options make them differ."""

    def __init__(self, keeps: float = 0.5, size: float = 1.0) -> None:
        super().__init__()
        self.keeps = keeps
        self.size = size
        self.potential: torch.Tensor | float = 0.0

    def reset(self) -> None:
        self.potential = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        now = self.keeps * self.potential + x
        spikes = (now >= 1).float()
        self.potential = now * (1 - spikes)
        return self.size * spikes


def described(module: Any) -> Population:
    return Population(keeps=(module.keeps,), threshold=1.0, gain=1.0)


def made(
    second: Callable[[], nn.Module] = Firing,
    **options: Any,
) -> nn.Sequential:
    """A model whose weights are multiples of 1/32: sums are exact."""
    torch.manual_seed(4)
    layers = [
        nn.Conv2d(2, 3, 3, padding=1, **options),
        Firing(),
        nn.Flatten(),
        nn.Linear(48, 7),
    ]
    network = nn.Sequential(*layers, second())
    for values in network.parameters():
        with torch.no_grad():
            values.copy_(torch.round(16 * torch.randn(values.shape)) / 32)
    return network


def graph_of(network: nn.Sequential) -> nir.NIRGraph:
    """The graph that an exporter makes, whatever the neurons do."""
    conv = [values.detach().numpy().copy() for values in network[0].parameters()]
    dense = [values.detach().numpy().copy() for values in network[3].parameters()]

    def lif(*shape: int) -> nir.LIF:
        tau = np.full(shape, 2 * DT)
        return nir.LIF(tau, tau / DT, np.zeros(shape), np.ones(shape), np.zeros(shape))

    nodes = {
        "input": nir.Input(np.array([2, 4, 4])),
        "0": nir.Conv2d((4, 4), conv[0], 1, 1, 1, 1, conv[1]),
        "1": lif(3, 4, 4),
        "2": nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
        "3": nir.Affine(*dense),
        "4": lif(7),
        "output": nir.Output(np.array([7])),
    }
    return nir.NIRGraph(nodes, [*pairwise(nodes)], type_check=False)


def spikes() -> torch.Tensor:
    torch.manual_seed(5)
    return (torch.rand(N_SAMPLES, STEPS, 2, 4, 4) < 0.3).float()


def verified(network: nn.Sequential, graph: Any = None, **options: Any) -> Verification:
    arguments = {
        "samples": spikes(),
        "given": GIVEN,
        "time_axis": 1,
        "loop": "price",
        "neurons": {Firing: described},
        **options,
    }
    graph = graph_of(network) if graph is None else graph
    verification: Verification = spikejoule.verify(network, graph, **arguments)
    return verification


def test_every_spike_of_every_layer_is_compared() -> None:
    network = made()
    verification = verified(network)
    assert verification.same
    assert verification.first is None
    assert [layer.node for layer in verification.layers] == ["1", "4"]
    emitted: dict[nn.Module, int] = {}

    def add(layer: nn.Module, _: Any, out: torch.Tensor) -> None:
        emitted[layer] = emitted.get(layer, 0) + int(out.sum())

    for layer in (network[1], network[4]):
        layer.register_forward_hook(add)
        layer.reset()
    for step in spikes().unbind(1):
        network(step)
    assert [layer.spikes for layer in verification.layers] == [*emitted.values()]
    assert min(emitted.values()) > 20
    assert f"{sum(emitted.values()):,} spikes" in str(verification)


def test_a_model_and_its_graph_have_the_same_operations() -> None:
    """Every term at every place, with its widths and memories, of each sample."""
    network = made().eval()
    report = spikejoule.price(
        network, spikes(), time_axis=1, neurons={Firing: described}, progress=False
    )
    events = EventList.from_dense(spikes().flatten(2).numpy() != 0)
    by_graph = price_graph(graph_of(network), events, GIVEN)

    def by_place(analysis: EnergyAnalysis) -> dict[tuple[str, str], Any]:
        operations = analysis.inputs.operations
        return {
            (column.term, column.place.split()[-1]): (
                replace(column, place=""),
                counts.tolist(),
            )
            for column, counts in zip(
                operations.columns, operations.counts.T, strict=True
            )
        }

    assert len(by_place(by_graph)) > 30
    assert by_place(report.analysis) == by_place(by_graph)


DIFFERENCES: dict[str, tuple[Callable[[], nn.Sequential], dict[str, Any], str]] = {
    "circular padding": (lambda: made(padding_mode="circular"), {}, "1"),
    "graded spikes": (lambda: made(lambda: Firing(size=2)), {}, "4"),
    "another leak": (lambda: made(lambda: Firing(keeps=0.25)), {}, "4"),
    "another comparison": (made, {"comparison": "gt"}, "1"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_first_layer_that_differs_is_named(name: str) -> None:
    make, changes, node = DIFFERENCES[name]
    verification = verified(make(), given=replace(GIVEN, **changes))
    assert not verification.same
    first = verification.first
    assert first.node == node
    assert f"The first to differ is {first.name}" in str(verification)
    before = [layer for layer in verification.layers if layer.node < node]
    assert all(layer.differing == 0 for layer in before)


def test_the_step_is_the_first_in_which_a_sample_differs() -> None:
    """A model trained on after its export, with spikes from the fourth step on."""
    network = made()
    late = spikes()
    late[:, :3] = 0
    for layer in (network[0], network[3]):
        nn.init.zeros_(layer.bias)
    graph = graph_of(network)
    network[3].weight.data += 1
    first = verified(network, graph, samples=late).first
    assert first.node == "4"
    assert first.step >= 3


def scaled(node: str, name: str, factor: float) -> Callable[[nir.NIRGraph], None]:
    def change(graph: nir.NIRGraph) -> None:
        setattr(graph.nodes[node], name, factor * getattr(graph.nodes[node], name))

    return change


def faster(graph: nir.NIRGraph) -> None:
    neurons = graph.nodes["4"]
    neurons.tau, neurons.r = neurons.tau / 2, neurons.r / 2


MUTATIONS: dict[str, tuple[Callable[[nir.NIRGraph], None], str]] = {
    "threshold": (
        scaled("4", "v_threshold", 1.5),
        "threshold of Firing 4 (1, in the graph 1.5)",
    ),
    "r": (scaled("1", "r", 2), "input gain of Firing 1 (1, in the graph 2)"),
    "bias": (scaled("3", "bias", 2), "bias of Linear 3 (-0.4375, in the graph -0.875)"),
    "weight": (scaled("0", "weight", 2), "weight of Conv2d 0 (53 of 54)"),
    "inhibition": (
        scaled("3", "weight", -1),
        "weight of Linear 3 (the graph has the opposite sign)",
    ),
    "leak": (
        faster,
        "potential kept in a step of Firing 4 (0.5, in the graph 0)",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("is_silent", [False, True])
def test_a_parameter_that_differs_is_named(name: str, is_silent: bool) -> None:
    """Also where no spike shows it."""
    mutate, words = MUTATIONS[name]
    network = made()
    graph = graph_of(network)
    mutate(graph)
    samples = torch.zeros_like(spikes()) if is_silent else spikes()
    verification = verified(network, graph, samples=samples)
    assert not verification.same
    assert verification.parameters == [words]
    assert words in str(verification)


def test_swapped_weights_are_named() -> None:
    """The graph has each layer's weight in the other one."""
    network = made()
    for number in (5, 7):
        network.add_module(str(number), nn.Linear(7, 7))
        network.add_module(str(number + 1), Firing())
    graph = graph_of(network[:5])
    del graph.nodes["output"]
    for number, weights in ((5, 7), (7, 5)):
        layer: Any = network[weights]
        values = [values.detach().numpy() for values in layer.parameters()]
        graph.nodes[str(number)] = nir.Affine(*values)
        graph.nodes[str(number + 1)] = graph.nodes["4"]
    graph.nodes["output"] = nir.Output(np.array([7]))
    graph.edges = [*pairwise(graph.nodes)]
    found = verified(network, graph).parameters
    for number, other in ((5, 7), (7, 5)):
        words = f"weight of Linear {number} (the graph has it in {other})"
        assert words in found


def silence(layer: nn.Module) -> None:
    for values in layer.parameters():
        nn.init.zeros_(values)


def test_what_was_not_compared_is_named() -> None:
    """Layers that never fire, and layers that are not in the graph."""
    network = made()
    readout = verified(nn.Sequential(*network, nn.Linear(7, 3)), graph_of(network))
    silence(network[3])
    for verification, name in (
        (readout, "Linear 5"),
        (verified(network), "Firing 4"),
    ):
        assert not verification.same
        assert verification.in_words.startswith("in part: ")
        assert verification.in_words.endswith(name)
    silence(network[0])
    assert not verified(network).same
    assert "no neuron fires" in str(verified(network))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"samples": 2 * spikes()}, DataError, "values other than 0 and 1"),
        ({"time_axis": "none"}, ParameterError, "spikes over time"),
        ({"given": None}, ParameterError, "does not say how it is run"),
        ({"given": {"dt": DT}}, ParameterError, "given is {'dt'"),
        ({"graph": Path("no.nir")}, ArtifactError, "no.nir does not exist"),
    ],
)
def test_what_is_refused(
    options: dict[str, Any], error: type[SpikejouleError], words: str
) -> None:
    with pytest.raises(error, match=words):
        verified(made(), **options)


def test_populations_that_are_not_the_graphs() -> None:
    network = made()
    with pytest.raises(ArtifactError, match="fire are .* Firing 5 of 7; the graph's"):
        verified(nn.Sequential(*network, Firing()), graph_of(network))


def test_the_answer_is_kept_next_to_the_file(tmp_path: Path, cli: Cli) -> None:
    """The command repeats it for this very file, run in the same way."""
    network = made()
    path = tmp_path / "mine.nir"
    nir.write(path, graph_of(network))
    flat = spikes().flatten(2).numpy() != 0
    save_events(tmp_path / "events.npz", EventList.from_dense(flat), {})
    options = ("--events", tmp_path / "events.npz", "--dt", DT, "--reset", "zero")

    def words(threshold: str = "ge") -> str:
        page = cli.json("energy", path, *options, "--threshold", threshold)
        verified_fact: str = page["inputs"]["facts"]["verified"]
        return verified_fact

    assert words().startswith("no: the graph was not compared")
    verification = verified(network, path)
    with pytest.raises(ArtifactError, match="none.nir does not exist"):
        verification.save(tmp_path / "none.nir")
    verification.save(path)
    said = words()
    assert said == verification.in_words
    assert said.startswith("yes: ")
    page = tmp_path / "page.html"
    text = cli.text("energy", path, *options, "--threshold", "ge", "--html", page)
    assert verification.in_words in " ".join(text.split())
    assert verification.in_words in page.read_text(encoding="utf-8")
    assert "run in another way" in words("gt")
    network[3].weight.data += 1
    nir.write(path, graph_of(network))
    assert "of another graph" in words()
