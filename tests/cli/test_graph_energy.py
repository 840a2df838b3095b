"""`spikejoule energy GRAPH.nir`: foreign networks on the command line."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spikejoule.cli import main
from spikejoule.data.event_file import EventBlock, EventSetting, write_event_file
from spikejoule.data.events import EventSamples
from spikejoule.data.subject import Subject
from spikejoule.encoding.binning import as_event_samples
from spikejoule.encoding.events import EventList, load_events, save_events
from spikejoule.graphs import nir_graph, write_nir
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.running import run_graph
from tests.graphs.foreign import DT, GRAPHS, Maker
from tests.tools.examples import trained_network, write_example

SAID = ("--dt", str(DT), "--reset", "zero", "--threshold", "ge")


def written(folder: Path, name: str) -> tuple[Path, Path]:
    """The files of a graph and of six samples for it."""
    graph = GRAPHS[name](Maker())
    n_inputs = int(np.prod(graph.nodes["input"].input_type["input"]))
    nir.write(folder / "graph.nir", graph)
    return folder / "graph.nir", events_of(folder / "events.npz", n_inputs)


def events_of(path: Path, n_inputs: int) -> Path:
    generator = np.random.default_rng(3)
    save_events(path, EventList.from_dense(generator.random((6, 10, n_inputs)) < 0.3), {})
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main(["energy", *map(str, arguments), "--json"]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["energy", *map(str, arguments)]) == 1
    out, errors = capsys.readouterr()
    assert not out
    assert errors.count("\n") == 1
    return errors


def test_table_page_json_and_neurobench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, events = written(tmp_path, "fully connected")
    page, entry = tmp_path / "energy.html", tmp_path / "neurobench.json"
    given = (graph, "--events", events, *SAID)
    assert main(["energy", *map(str, given), "--html", str(page), "--neurobench", str(entry)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Energy of graph.nir\n")
    assert "fires at v >= threshold" in text
    assert "6 - 5 - 4" in text
    found = printed(capsys, *given)
    assert found["graph"] == "graph.nir"
    run = run_graph(
        GRAPHS["fully connected"](Maker()),
        EventList.from_dense(np.random.default_rng(3).random((6, 10, 6)) < 0.3),
        Conventions(dt=DT, reset="zero", comparison="ge"),
    )
    events_mean = run.total("events").mean()
    assert found["headline"]["synaptic_events_per_inference"] == pytest.approx(events_mean)
    assert found["inputs"]["n_images"] == 6
    bench = json.loads(entry.read_text(encoding="utf-8"))
    assert bench["SynapticOperations"]["Effective_ACs"] == pytest.approx(events_mean)
    said = page.read_text(encoding="utf-8")
    assert "events events.npz, SHA-256" in said
    assert "graph graph.nir, SHA-256" in said


def test_a_graph_of_ours_needs_its_events_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_nir(tmp_path / "ours.nir", nir_graph(trained_network((12,))))
    events = events_of(tmp_path / "events.npz", 784)
    found = printed(capsys, tmp_path / "ours.nir", "--events", events, "--samples", 4)
    assert found["inputs"]["n_images"] == 4
    errors = refusal(capsys, tmp_path / "ours.nir", "--events", events, "--threshold", "gt")
    assert "the graph's metadata say ge" in errors


def test_what_is_missing_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, events = written(tmp_path, "fully connected")
    errors = refusal(capsys, graph, "--events", events, "--reset", "zero")
    assert "dt (seconds of one step); comparison (ge or gt, on the command line" in errors
    assert "--events is needed" in refusal(capsys, graph, *SAID)
    errors = refusal(capsys, graph, "--events", events, *SAID, "--samples", 7)
    assert "--samples 7 is more than the 6 samples" in errors
    errors = refusal(capsys, graph, "--events", tmp_path / "none.npz", *SAID)
    assert f"{tmp_path / 'none.npz'} does not exist; allowed: a file of spikes by step" in errors
    errors = refusal(capsys, graph, "--events", events_of(tmp_path / "other.npz", 7), *SAID)
    assert "7 units, but the graph's input has 6" in errors
    assert not (tmp_path / "energy.html").exists()


def test_an_event_file_has_stamps_of_time_labels_and_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten steps of 500 us; the samples for training are left out."""
    graph, events = written(tmp_path, "fully connected")
    spikes, _ = load_events(events)
    setting = EventSetting("clicks", Subject("click", ("a", "b", "c", "d")), (2, 3), 5000)
    labels = np.array([0, 1, 2, 3, 0, 1])
    path = tmp_path / "clicks.npz"
    block = EventBlock(as_event_samples(spikes, 500), labels)
    write_event_file(path, setting, [block], n_train=2)
    found = printed(capsys, graph, "--events", path, "--step-us", 500, *SAID)
    assert found["inputs"]["n_images"] == 4
    assert found["inputs"]["data"] == "clicks"
    run = run_graph(
        GRAPHS["fully connected"](Maker()),
        spikes.select(slice(2, None)),
        Conventions(dt=DT, reset="zero", comparison="ge"),
    )
    assert found["headline"]["synaptic_events_per_inference"] == run.total("events").mean()
    right = 100 * np.mean(run.output.argmax(axis=1) == labels[2:])
    assert found["inputs"]["accuracy"]["percent"] == right
    assert found["inputs"]["graph"]["a step of the events"] == "500 us"
    assert found["inputs"]["graph"]["events outside of the window"] == "0.0 per sample"
    page = tmp_path / "page.html"
    given = [str(graph), "--events", str(path), "--step-us", "500", *SAID]
    assert main(["energy", *given, "--html", str(page)]) == 0
    words = re.sub(r"<style.*?</style>|<[^>]+>", " ", page.read_text(encoding="utf-8"), flags=re.S)
    assert "clicks" in words
    for text in (words, capsys.readouterr().out):
        assert "image" not in text
        assert "4 samples" in text
    assert "--step-us says how many make a step" in refusal(capsys, graph, "--events", path, *SAID)
    errors = refusal(capsys, graph, "--events", events, "--step-us", 500, *SAID)
    assert "--step-us is for event files" in errors


def test_what_lies_outside_of_the_window_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two samples of three events: one after the window, two of one unit in one step."""
    graph, _ = written(tmp_path, "fully connected")
    events = EventSamples(
        np.array([100, 120, 5000, 100, 120, 4999], np.uint32), np.full(6, 2, np.uint16),
        np.array([0, 3, 6]),
    )  # fmt: skip
    setting = EventSetting("clicks", Subject("click", ("a", "b", "c", "d")), (6,), 5000)
    path = tmp_path / "clicks.npz"
    write_event_file(path, setting, [EventBlock(events, np.array([0, 1]))])
    found = printed(capsys, graph, "--events", path, "--step-us", 500, *SAID)["inputs"]
    assert found["graph"]["events outside of the window"] == "0.5 per sample"
    assert found["graph"]["events merged in a step"] == "1.0 per sample"
    assert main(["energy", str(graph), "--events", str(path), "--step-us", "500", *SAID]) == 0
    assert "5 ms in 10 steps" in capsys.readouterr().out  # whatever --dt is


def test_an_event_file_is_read_in_steps_that_memory_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, events = written(tmp_path, "fully connected")
    spikes, _ = load_events(events)
    setting = EventSetting("clicks", Subject("click", ("a", "b")), (6,), 2**32)
    path = tmp_path / "clicks.npz"
    write_event_file(path, setting, [EventBlock(as_event_samples(spikes, 500), np.zeros(6, int))])
    errors = refusal(capsys, graph, "--events", path, "--step-us", 1, *SAID)
    assert "in 4,294,967,296 steps; allowed are 1 us and more in 1 to 10,000 steps" in errors


def test_a_step_of_ours_stands_for_what_the_network_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """dt is 1e-4, which other simulators take; a step is one of 1 ms."""
    write_nir(tmp_path / "ours.nir", nir_graph(trained_network((12,))))
    events = events_of(tmp_path / "events.npz", 784)
    assert main(["energy", str(tmp_path / "ours.nir"), "--events", str(events)]) == 0
    text = capsys.readouterr().out
    assert re.search("window +10 ms\n", text)
    assert "a step stands for 1 ms" in text
    errors = refusal(
        capsys, tmp_path / "ours.nir", "--events", events, "--integration", "exponential"
    )
    assert "integration is given as exponential, but the graph's metadata say euler" in errors


def test_options_of_the_other_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, events = written(tmp_path, "fully connected")
    errors = refusal(capsys, graph, "--events", events, *SAID, "--images", "mnist5k")
    assert "--images is for a checkpoint" in errors
    checkpoint = write_example(tmp_path / "c.pth", replace(trained_network((12,))))
    for option in (("--dt", "1e-4"), ("--integration", "exponential"), ("--pruned",)):
        assert f"{option[0]} is for a graph of NIR" in refusal(capsys, checkpoint, *option)
