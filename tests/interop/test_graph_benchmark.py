"""Before it times, the benchmark of NIR graphs compares results with nirtorch and
snnTorch.
"""

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
    for name in ("nirtorch", "snntorch"):
        pytest.importorskip(name, reason="needs the extra interop")
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
    assert main(["graphs", *few, "--output", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    engines = {row["graph"]: row["engine"] for row in found["graphs"]}
    assert engines.keys() >= set(PAPER)
    assert engines["fully_connected"] == "event"
    assert engines["scnn_mnist"] == "graph"
    assert all(row["density"] > 0 for row in found["graphs"])
    many = found["many_samples"]
    assert f"300 samples of 10 steps in `{many['graph']}`" in speed.graphs(out)
    assert (
        f"takes {found['counting']['ratio']:.2f} times the model's own"
        in speed.graphs(out)
    )
