"""The page on packages: the running code makes each call of its tables."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import spikejoule
from spikejoule.cli import main
from spikejoule.params import parse_params
from tests.tools.committed import committed_params
from tests.tools.without_torch import needs_torch

SOURCES = f"{Path(spikejoule.__file__).parent}/"
ROW = re.compile(r"\| `([\w/]+\.py)` \| `([\w.]+)` \| `(\w+)` \|")

pytestmark = needs_torch


class Call(NamedTuple):
    """A call that ended: file, function, and the class of the result.

    For a list or a tuple, the class of its first item.
    """

    file: str
    function: str
    returns: str


def calls_of(run: Callable[[], object]) -> list[Call]:
    """The calls of the library's functions during `run`, in the order they end."""
    calls: list[Call] = []

    def look(frame: FrameType, event: str, returned: Any) -> None:
        path = frame.f_code.co_filename
        if event != "return" or not path.startswith(SOURCES):
            return
        if type(returned) in (list, tuple) and returned:
            returned = returned[0]
        file = path.removeprefix(SOURCES)
        calls.append(Call(file, frame.f_code.co_qualname, type(returned).__name__))

    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def check_flow(repository: Path, heading: str, run: Callable[[], object]) -> list[Call]:
    """Fail unless `run` makes the calls below a heading, in their order."""
    page = repository / "docs" / "explanation" / "packages.md"
    _, _, below = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    rows = [Call(*row) for row in ROW.findall(below.partition("\n## ")[0])]
    assert rows
    calls = calls_of(run)
    after = 0
    for row in rows:
        assert row in calls[after:], f"{row} does not end after the row above it"
        after = calls.index(row, after) + 1
    return calls


def test_a_spike_becomes_a_joule(repository: Path, tmp_path: Path) -> None:
    from tests.tools.examples import write_example

    file = str(write_example(tmp_path / "network.pth"))
    command = ["energy", file, "--images", "mnist5k", "--samples", "4"]
    check_flow(repository, "From a hidden spike to a joule", lambda: main(command))


def test_a_model_becomes_a_report(repository: Path) -> None:
    import torch

    snntorch = pytest.importorskip("snntorch")
    neurons = snntorch.Leaky(beta=0.9, init_hidden=True)
    model = torch.nn.Sequential(torch.nn.Linear(20, 10), neurons).eval()
    batches = [(torch.ones(8, 7, 20),)]
    check_flow(
        repository,
        "From a PyTorch model to a report",
        lambda: spikejoule.price(model, batches, time_axis=1),
    )


def test_layers_are_parsed_once(repository: Path) -> None:
    from spikejoule.engine.learning import chosen_trainer

    content = committed_params().model_dump(mode="json")
    content["model"]["layers"] = ["4c5s2", "20r"]

    def run() -> None:
        params = parse_params(content)
        network = params.model.network_of((28, 28), 10)
        chosen_trainer(params.train, network, params.train, params.seed)

    calls = check_flow(repository, "From `model.layers` to a trainer", run)
    assert [call.function for call in calls].count("layers_of") == 1
