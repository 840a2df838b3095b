"""`spikejoule energy GRAPH.nir`: foreign networks on the command line."""

import re
from pathlib import Path

import nir
import numpy as np
import pytest

from spikejoule.data.events import (
    EventSamples,
    EventSetting,
    LabelledEvents,
)
from spikejoule.data.subject import Subject
from spikejoule.encoding.events import EventList, load_events, save_events
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.graph_run import GraphRun
from spikejoule.nir.running import run_graph
from spikejoule.nir.writing import nir_graph, write_nir
from tests.nir.foreign import DT, GRAPHS, Maker
from tests.tools.cli import Cli
from tests.tools.examples import trained_network, write_example

SAID = ("--dt", str(DT), "--reset", "zero", "--threshold", "ge")


def written(folder: Path) -> tuple[Path, Path]:
    """The files of a fully connected graph and of six samples for it."""
    nir.write(folder / "graph.nir", GRAPHS["fully connected"](Maker()))
    return folder / "graph.nir", events_of(folder / "events.npz", 6)


def events_of(path: Path, n_inputs: int) -> Path:
    generator = np.random.default_rng(3)
    save_events(
        path, EventList.from_dense(generator.random((6, 10, n_inputs)) < 0.3), {}
    )
    return path


def run_of(spikes: EventList) -> GraphRun:
    """What the library counts of the fully connected graph."""
    conventions = Conventions(dt=DT, reset="zero", comparison="ge")
    return run_graph(GRAPHS["fully connected"](Maker()), spikes, conventions)


def test_table_page_and_json(tmp_path: Path, cli: Cli) -> None:
    graph, events = written(tmp_path)
    page = tmp_path / "energy.html"
    options = (graph, "--events", events, *SAID)
    text = cli.text("energy", *options, "--html", page)
    assert text.startswith("Energy of graph.nir\n")
    assert "comparison ge" in text
    report = cli.json("energy", *options)
    assert report["graph"] == "graph.nir"
    mean = run_of(load_events(events)[0]).events.mean()
    headline = report["headline"]
    assert headline["synaptic_events_per_inference"] == pytest.approx(mean)
    assert report["inputs"]["n_images"] == 6
    said = page.read_text(encoding="utf-8")
    assert "events events.npz, SHA-256" in said
    assert "graph graph.nir, SHA-256" in said


def test_a_graph_of_ours_needs_its_events_alone(tmp_path: Path, cli: Cli) -> None:
    """dt is 1e-4, which other simulators take; a step is one of 1 ms."""
    write_nir(tmp_path / "ours.nir", nir_graph(trained_network((12,)).checkpoint()))
    options = (
        "energy",
        tmp_path / "ours.nir",
        "--events",
        events_of(tmp_path / "events.npz", 784),
    )
    assert cli.json(*options, "--samples", 4)["inputs"]["n_images"] == 4
    text = cli.text(*options)
    assert re.search("window +10 ms\n", text)
    assert "step_ms 1.0" in text
    assert "the graph's metadata says ge" in cli.refusal(*options, "--threshold", "gt")


def test_missing_and_foreign_options_are_named(tmp_path: Path, cli: Cli) -> None:
    graph, events = written(tmp_path)
    errors = cli.refusal("energy", graph, "--events", events, "--reset", "zero")
    assert (
        "dt (seconds of one step); comparison (ge or gt, on the command line" in errors
    )
    assert "--events is needed" in cli.refusal("energy", graph, *SAID)
    errors = cli.refusal("energy", graph, "--events", events, *SAID, "--samples", 7)
    assert "--samples 7 is more than the 6 samples" in errors
    errors = cli.refusal(
        "energy", graph, "--events", events_of(tmp_path / "other.npz", 7), *SAID
    )
    assert "7 inputs, but the network has 6" in errors
    checkpoint = write_example(tmp_path / "c.pth", trained_network((12,)))
    for option in (("--dt", "1e-4"), ("--pruned",)):
        said = cli.refusal("energy", checkpoint, *option)
        assert f"{option[0]} is for a NIR graph" in said
    images = ("--images", "mnist5k")
    said = cli.refusal("energy", graph, "--events", events, *SAID, *images)
    assert "--images is for a checkpoint" in said


LABELS = np.array([0, 1, 2, 3, 0, 1], dtype=np.uint8)


def clicks(folder: Path, spikes: EventList, sizes: tuple[int, ...], **how: int) -> Path:
    """An event file of spoken clicks: spikes of steps of 500 us, at the time the step
    begins.
    """
    setting = EventSetting(
        "clicks", Subject("click", ("a", "b", "c", "d")), sizes, 5000
    )
    steps = spikes.row_of_each_event() % spikes.n_steps
    times = (500 * steps).astype(np.uint32)
    samples = EventSamples(
        times, spikes.sources, spikes.offsets[:: spikes.n_steps].copy()
    )
    index = np.arange(len(samples))
    LabelledEvents(samples, LABELS, index, setting, **how).save(folder / "clicks.npz")
    return folder / "clicks.npz"


def test_an_event_file_has_stamps_of_time_labels_and_words(
    tmp_path: Path, cli: Cli
) -> None:
    """Ten steps of 500 us; the samples for training are left out."""
    graph, events = written(tmp_path)
    spikes, _ = load_events(events)
    path = clicks(tmp_path, spikes, sizes=(2, 3), n_train=2)
    options = (graph, "--events", path, *SAID, "--step-us", 500)
    report = cli.json("energy", *options)
    assert report["inputs"]["n_images"] == 4
    assert report["inputs"]["data"] == "clicks"
    run = run_of(spikes.select(slice(2, None)))
    assert report["headline"]["synaptic_events_per_inference"] == run.events.mean()
    right = 100 * np.mean(run.output.argmax(axis=1) == LABELS[2:])
    assert report["inputs"]["accuracy"]["test_percent"] == right
    assert report["inputs"]["facts"]["a step of the events"] == "500 us"
    page = tmp_path / "page.html"
    text = cli.text("energy", *options, "--html", page)
    assert "clicks" in page.read_text(encoding="utf-8")
    assert "image" not in text
    assert "4 samples" in text
    assert "--step-us says how many make a step" in cli.refusal("energy", *options[:-2])
    errors = cli.refusal("energy", graph, "--events", events, *options[3:])
    assert "--step-us is for event files" in errors


ANN = """
import torch

def ann():
    torch.manual_seed(0)
    layers = torch.nn.Linear(6, 9), torch.nn.ReLU(), torch.nn.Linear(9, 4)
    return torch.nn.Sequential(*layers)

def number():
    return 7

def narrow():
    return torch.nn.Linear(5, 4)

def broken():
    raise KeyError("weights.pt")
"""


def test_a_conventional_network_beside_it(tmp_path: Path, cli: Cli) -> None:
    """On the same samples, as their mean over time; what is said of both comes
    first.
    """
    graph, events = written(tmp_path)
    spikes, _ = load_events(events)
    path = clicks(tmp_path, spikes, sizes=(2, 3))
    mine = tmp_path / "mine.py"
    mine.write_text(ANN, encoding="utf-8")
    command = ("energy", graph, "--events", path, *SAID, "--step-us", 500, "--against")
    # The graph names one class for every sample, which is no better than guessing.
    text = cli.text(*command, f"{mine}:ann")
    assert re.match(r"Energy of graph.nir\n\n +No verdict", text)
    assert "is no better than guessing (33.33 %)" in text
    for name, words in (
        ("number", "module is 7, but must be an instance of Module"),
        ("narrow", "given a batch of shape (6, 6), fails (RuntimeError: "),
        ("broken", "KeyError: 'weights.pt'"),
    ):
        assert words in cli.refusal(*command, f"{mine}:{name}")
    assert "allowed is FILE.py:FUNCTION" in cli.refusal(*command, mine)
    without = ("energy", graph, "--events", events, *SAID, "--against", f"{mine}:ann")
    assert "--against needs labels" in cli.refusal(*without)
