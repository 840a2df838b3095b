"""A module and the graph that was exported from it, compared spike by spike."""

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
from spikejoule.core.errors import (
    ArtifactError,
    DataError,
    ParameterError,
    SpikejouleError,
)
from spikejoule.encoding.events import EventList, save_events
from spikejoule.energy.from_graph import price_graph
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.verification import Verification
from spikejoule.pricing import Population
from tests.tools.cli import Cli

DT = 2.0**-10
GIVEN = Conventions(dt=DT, reset="zero", comparison="ge")
N_SAMPLES, STEPS = 5, 12


class Firing(nn.Module):
    """Neurons that keep half of their potential, take a step a call, and can be told to
    differ.
    """

    def __init__(
        self, keeps: float = 0.5, worth: float = 1.0, reset_to: str = "zero"
    ) -> None:
        super().__init__()
        self.keeps = keeps
        self.worth = worth
        self.reset_to = reset_to
        self.potential: torch.Tensor | float = 0.0

    def reset(self) -> None:
        self.potential = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        now = self.keeps * self.potential + x
        spikes = (now >= 1).float()
        after = {"zero": now * (1 - spikes), "subtract": now - spikes, "none": now}
        self.potential = after[self.reset_to]
        return self.worth * spikes


def described(module: Any) -> Population:
    return Population(keeps=(module.keeps,), resets=module.reset_to != "none")


def made(
    second: Callable[[], nn.Module] = Firing,
    first: Callable[[], nn.Module] = Firing,
    **options: Any,
) -> nn.Sequential:
    """Weights are multiples of 1/32: sums are exact, and meet the threshold."""
    torch.manual_seed(4)
    layers = [
        nn.Conv2d(2, 3, 3, padding=1, **options),
        first(),
        nn.Flatten(),
        nn.Linear(48, 7),
    ]
    network = nn.Sequential(*layers, second())
    for values in network.parameters():
        with torch.no_grad():
            values.copy_(torch.round(16 * torch.randn(values.shape)) / 32)
    return network


def graph_of(network: nn.Sequential) -> nir.NIRGraph:
    """What an exporter makes of it, whatever its neurons do."""
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


def verified(network: nn.Sequential, graph: Any = None, **choice: Any) -> Verification:
    options = {
        "samples": spikes(),
        "given": GIVEN,
        "time_axis": 1,
        "loop": "price",
        **choice,
    }
    graph = graph_of(network) if graph is None else graph
    found: Verification = spikejoule.verify(
        network, graph, neurons={Firing: described}, **options
    )
    return found


def test_every_spike_of_every_layer_is_compared() -> None:
    network = made()
    found = verified(network)
    assert found.same
    assert found.first is None
    assert [(one.name.split()[-1], one.node) for one in found.layers] == [
        ("1", "1"),
        ("4", "4"),
    ]
    theirs = []
    for layer in network:
        if isinstance(layer, Firing):
            layer.register_forward_hook(
                lambda _, args, out: theirs.append(int(out.sum()))
            )
            layer.reset()
    for step in spikes().unbind(1):
        network(step)
    assert [one.spikes for one in found.layers] == [sum(theirs[::2]), sum(theirs[1::2])]
    assert min(one.spikes for one in found.layers) > 20
    assert f"{sum(theirs):,} spikes" in str(found)


def test_a_module_and_its_graph_cost_the_same() -> None:
    """Every term at every place, with its widths and memories, of each sample."""
    network, known = made(), {Firing: described}
    report = spikejoule.price(
        network.eval(), spikes(), time_axis=1, neurons=known, progress=False
    )
    events = EventList.from_dense(spikes().flatten(2).numpy() != 0)
    of_graph = price_graph(graph_of(network), events, GIVEN)
    ours, theirs = (
        {
            (column.term, column.place.split()[-1]): (
                replace(column, place=""),
                counts.tolist(),
            )
            for column, counts in zip(found.columns, found.counts.T, strict=True)
        }
        for found in (one.inputs.operations for one in (report.analysis, of_graph))
    )
    assert len(ours) > 30
    assert ours == theirs


CAUSES: dict[str, tuple[Callable[[], nn.Sequential], dict[str, Any], str, str]] = {
    "circular": (
        lambda: made(padding_mode="circular"),
        {},
        "1",
        "has the padding 'circular'",
    ),
    "worth": (
        lambda: made(lambda: Firing(worth=2)),
        {},
        "4",
        "gives up to 2 in a step",
    ),
    "no reset": (lambda: made(lambda: Firing(reset_to="none")), {}, "4", "never reset"),
    "decay": (
        lambda: made(lambda: Firing(keeps=0.25)),
        {},
        "4",
        "keep 0.25 of their potential",
    ),
    "dt": (made, {"dt": DT / 2}, "1", "those of the graph 0.75"),
    "comparison": (
        made,
        {"comparison": "gt"},
        "1",
        "comparison is given as gt: with ge",
    ),
    "reset": (
        lambda: made(*2 * [lambda: Firing(reset_to="subtract")]),
        {},
        "1",
        "with subtract",
    ),
    "unknown": (
        lambda: made(lambda: Firing(reset_to="subtract")),
        {},
        "4",
        "none of those",
    ),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_first_difference_and_its_cause(name: str) -> None:
    make, given, layer, words = CAUSES[name]
    found = verified(make(), given=replace(GIVEN, **given))
    assert not found.same
    assert found.first is not None
    assert found.first.node == layer
    assert words in found.cause
    assert f"Likely cause: {found.cause}" in str(found)
    before = [one for one in found.layers if one.node < layer]
    assert all(one.differing == 0 for one in before)


def test_the_step_is_the_first_in_which_a_sample_differs() -> None:
    """Of a module trained on after its export, with spikes from the fourth step on
    alone.
    """
    network, late = made(), spikes()
    late[:, :3] = 0
    for layer in (network[0], network[3]):
        nn.init.zeros_(layer.bias)
    graph = graph_of(network)
    network[3].weight.data += 1
    found = verified(network, graph, samples=late)
    assert found.first is not None
    assert (found.first.node, found.first.step) >= ("4", 3)
    assert "the weights of Linear 3" in found.cause


def silence(layer: nn.Module) -> None:
    for values in layer.parameters():
        nn.init.zeros_(values)


def test_what_never_fires_or_is_not_in_the_graph_is_said_not_to_be_compared() -> None:
    network = made()
    readout = verified(nn.Sequential(*network, nn.Linear(7, 3)), graph_of(network))
    silence(network[3])
    for found, name in ((readout, "Linear 5"), (verified(network), "Firing 4")):
        assert not found.same
        assert found.in_words.startswith("in part: ")
        assert found.in_words.endswith(name)
    silence(network[0])
    assert not verified(network).same
    assert "no neuron fires" in str(verified(network))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"samples": 2 * spikes()}, DataError, "other numbers than 0 and 1"),
        ({"time_axis": "none"}, ParameterError, "spikes in time"),
        ({"given": None}, ParameterError, "does not say how it is run"),
        ({"given": {"dt": DT}}, ParameterError, "given is {'dt'"),
        ({"graph": Path("no.nir")}, ArtifactError, "no.nir does not exist"),
    ],
)
def test_what_cannot_be_compared(
    given: dict[str, Any], error: type[SpikejouleError], words: str
) -> None:
    with pytest.raises(error, match=words):
        verified(made(), **given)


def test_populations_that_are_not_the_graphs() -> None:
    network = made()
    with pytest.raises(ArtifactError, match="fire are .* Firing 5 of 7; the graph's"):
        verified(nn.Sequential(*network, Firing()), graph_of(network))


def test_what_the_command_says_of_a_graph(tmp_path: Path, cli: Cli) -> None:
    """Of the very file, run as it was compared."""
    network, path = made(), tmp_path / "mine.nir"
    nir.write(path, graph_of(network))
    flat = spikes().flatten(2).numpy() != 0
    save_events(tmp_path / "events.npz", EventList.from_dense(flat), {})
    options = ("--events", tmp_path / "events.npz", "--dt", DT, "--reset", "zero")

    def said(threshold: str = "ge") -> str:
        found = cli.json("energy", path, *options, "--threshold", threshold)
        words: str = found["inputs"]["facts"]["verified"]
        return words

    assert said().startswith("no: the graph was not compared")
    found = verified(network, path)
    with pytest.raises(ArtifactError, match="none.nir does not exist"):
        found.save(tmp_path / "none.nir")
    found.save(path)
    assert said() == found.in_words
    assert said().startswith("yes: ")
    page = tmp_path / "page.html"
    text = cli.text("energy", path, *options, "--threshold", "ge", "--html", page)
    assert found.in_words in text
    assert found.in_words in page.read_text(encoding="utf-8")
    assert said("gt") == "no: mine.nir.verified.json is of the graph run in another way"
    network[3].weight.data += 1
    wrong = verified(network, path)
    wrong.save(path)
    assert said().startswith(
        f"no: {sum(one.differing for one in wrong.layers):,} spikes differ"
    )
    nir.write(path, graph_of(network))
    assert said() == "no: mine.nir.verified.json is of another graph"
