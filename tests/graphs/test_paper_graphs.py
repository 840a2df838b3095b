"""Graphs of the shape of the public files of NIR's paper: each runs, and is priced."""

from pathlib import Path

import nir
import numpy as np
import pytest

from benchmarks.paper_graphs import DT, PAPER
from spikejoule.cli import main
from spikejoule.encoding.events import EventList, save_events
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.nir_in import network_of
from spikejoule.graphs.running import run_graph

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", PAPER)
def test_it_runs_from_its_file_and_is_priced(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, page = PAPER[name](), tmp_path / "page.html"
    network = network_of(graph)
    generator = np.random.default_rng(6)
    spikes = generator.random((10, 40, network.input.n_out)) < 0.1
    nir.write(tmp_path / "graph.nir", graph)
    save_events(tmp_path / "events.npz", EventList.from_dense(spikes), {})
    said = ["--dt", str(DT), "--reset", "zero", "--threshold", "ge"]
    if any(
        type(node).__name__ == "Neurons" and node.has_current for node in network.nodes.values()
    ):
        said += ["--current", "same_step"]
    files = [str(tmp_path / "graph.nir"), "--events", str(tmp_path / "events.npz")]
    assert main(["energy", *files, *said, "--html", str(page)]) == 0
    text = capsys.readouterr().out
    assert "per inference under 45nm-fp32" in text
    given = Conventions(dt=DT, reset="zero", comparison="ge", current="same_step")
    run = run_graph(graph, EventList.from_dense(spikes), given)
    assert f"{run.total('events').mean():,.1f}" in text
    assert run.output.sum() > 0
    assert "graph graph.nir, SHA-256" in page.read_text(encoding="utf-8")
