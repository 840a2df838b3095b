"""A graph of NIR that `spikejoule publish` makes a model: the executor's own numbers.

The page on pricing a graph, which is a test, has `mlflow models serve` answer for one.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import nir
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from spikejoule.encoding.events import EventList
from spikejoule.energy import count_operations, load_profiles, price
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.reading import network_of
from spikejoule.nir.running import run_graph
from spikejoule.tracking.store import Store
from tests.nir.foreign import DT, GRAPHS, Maker
from tests.tools.cli import Cli
from tests.tools.counted import by_kind

SAID = ("--dt", DT, "--reset", "zero", "--threshold", "ge", "--current", "same_step")
GIVEN = Conventions(dt=DT, reset="zero", comparison="ge", current="same_step")
PROFILE = "45nm-fp32"


@pytest.fixture
def folder(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A project that is worked in, and MLflow that looks for models in its store."""
    monkeypatch.chdir(project)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store.tracking_uri)
    yield project
    mlflow.set_tracking_uri(before)


def graph_and_spikes(name: str, path: Path) -> tuple[nir.NIRGraph, np.ndarray]:
    """A graph, which is written, and 20 samples of 10 steps in the shape of its
    input.
    """
    graph = GRAPHS[name](Maker())
    network = network_of(graph)
    for key, node in graph.nodes.items():  # nir writes no None
        if getattr(node, "input_shape", ()) is None:
            node.input_shape = network.nodes[key].in_shape[1:]
    nir.write(path, graph)
    spikes = np.random.default_rng(3).random((20, 10, *network.input.out_shape)) < 0.3
    return graph, spikes


@pytest.mark.parametrize("name", ["convolution", "recurrent", "joined"])
def test_a_published_graph_predicts_what_the_executor_counts(
    name: str, folder: Path, cli: Cli
) -> None:
    graph, spikes = graph_and_spikes(name, folder / "mine.nir")
    said = cli.text("publish", "mine.nir", *SAID)
    assert said.endswith("models:/mine/1\n")
    again = said.replace("added", "holds this result already; nothing added")
    assert cli.text("publish", "mine.nir", *SAID) == again, "it is there once"
    assert cli.text("publish", "mine.nir", *SAID, "--pruned").endswith(
        "models:/mine/2\n"
    )
    model = mlflow.pyfunc.load_model("models:/mine/1")
    rows = model.predict(spikes)
    assert model.metadata.signature.outputs.input_names() == [*rows]
    assert len(model.predict(model.input_example)) == 1
    run = run_graph(graph, EventList.from_dense(spikes.reshape(20, 10, -1)), GIVEN)
    assert run.output.sum() > 10
    assert rows["output"].tolist() == run.output.tolist()
    assert rows["class"].tolist() == run.predictions.tolist()
    for node, counts in by_kind(run)["spikes"].items():
        assert rows[f"spikes_{node}"].tolist() == counts.tolist()
    assert rows["synaptic_events"].tolist() == run.events.tolist()
    assert rows["value_macs"].tolist() == run.macs.tolist()
    low, _, high = price(count_operations(run), load_profiles(None)[PROFILE])
    of_profile = mlflow.pyfunc.load_model("models:/mine/1").predict(
        spikes.reshape(20, 10, -1).astype(int).astype(object),
        params={"profile": PROFILE},
    )
    assert of_profile["energy_low_pj"].tolist() == low.tolist()
    assert of_profile["energy_high_pj"].tolist() == high.tolist()


def test_what_is_wrong_is_refused_in_one_sentence(folder: Path, cli: Cli) -> None:
    _, spikes = graph_and_spikes("recurrent", folder / "mine.nir")
    assert "dt (seconds of one step)" in cli.refusal("publish", "mine.nir", *SAID[2:])
    assert "--dt is for a graph of NIR" in cli.refusal("publish", "--dt", DT)
    for name in ("surrogate-snn.nir", "it's.nir"):
        shutil.copy("mine.nir", name)
        assert "rename the file" in cli.refusal("publish", name, *SAID)
    cli.text("publish", "mine.nir", *SAID)
    model = mlflow.pyfunc.load_model("models:/mine/1")
    for wrong, said in (
        (spikes[0], "the spikes have the shape .10, 4."),
        (spikes[..., :3], "come from 3 inputs, but the network has 4"),
        (spikes * 0.5, "spikes must be 0 or 1"),
    ):
        with pytest.raises(MlflowException, match=said):
            model.predict(wrong)
