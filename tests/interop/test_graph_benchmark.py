"""The benchmarks of NIR graphs, which compares results first, and of `price`."""

import json
from pathlib import Path

import pytest

from benchmarks.paper_graphs import PAPER
from docs.site import speed

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_the_benchmark_compares_what_is_equal(tmp_path: Path) -> None:
    """Every output spike of graphs of the shape of the eight files of NIR's paper,
    among others.

    Weights are such that sums are exact in float32.
    """
    pytest.importorskip("nirtorch", reason="needs the extra interop")
    from benchmarks.__main__ import main

    out = tmp_path / "graphs.json"
    few = [
        "--samples",
        "16",
        "--steps",
        "50",
        "--rounds",
        "1",
        "--threads",
        "1",
        "--many",
        "300",
    ]
    assert main(["graphs", "--allow-load", *few, "--output", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    engines = {row["graph"]: row["engine"] for row in found["graphs"]}
    assert engines.keys() >= set(PAPER)
    assert engines["fully_connected"] == "event"
    assert engines["scnn_mnist"] == "graph"
    assert all(row["density"] > 0 for row in found["graphs"])
    many = found["many_samples"]
    assert f"300 samples of 10 steps in `{many['graph']}`" in speed.graphs(out)


def test_loops_are_timed_with_and_without_a_tracker(tmp_path: Path) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    from benchmarks.__main__ import main

    out = tmp_path / "track.json"
    few = ["--rounds", "2", "--steps", "1", "--warmup", "1", "--first", "1"]
    small = ["--allow-load", "--allow-small"]
    assert main(["track", *small, *few, "--output", str(out)]) == 0
    loops = json.loads(out.read_text(encoding="utf-8"))["loops"]
    table = speed.track(out)
    for loop in loops:
        # Loose bounds: other processes disturb both.
        assert 0.3 < loop["ratio"] < 4
        assert (
            f"| {loop['loop']} | {1000 * loop['seconds_per_batch']['untracked']:.1f}"
            in table
        )


def test_pricing_is_compared_with_the_forward_pass(tmp_path: Path) -> None:
    pytest.importorskip("snntorch", reason="needs the extra interop")
    from benchmarks.__main__ import main

    out = tmp_path / "pricing.json"
    few = ["--rounds", "1", "--networks", "784-1000-10"]
    assert main(["pricing", "--allow-load", *few, "--output", str(out)]) == 0
    (found,) = json.loads(out.read_text(encoding="utf-8"))["models"]
    # Loose bounds: other processes disturb both.
    assert 1 < found["time_ratio"] < 4
    assert found["memory_ratio"] < 3
    assert f"| {found['time_ratio']:.2f} |" in speed.pricing(out)
