"""The page on packages: the running code makes each call of its tables."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import spikejoule
from spikejoule.energy import BootstrapSettings, analyse, load_profiles, select_profile
from spikejoule.energy.from_checkpoint import MeasuredSamples, analysis_inputs
from spikejoule.params import parse_params
from tests.tools.committed import committed_params
from tests.tools.without_torch import needs_torch

SOURCES = Path(spikejoule.__file__).parent
PAGE = Path("docs") / "explanation" / "packages.md"
ROW = re.compile(r"\| `([\w/]+\.py)` \| `([\w.]+)` \| `(\w+)` \|")

pytestmark = needs_torch


@dataclass(frozen=True)
class Call:
    """A call that ended: file, function, and the class of the result.

    For a list or a tuple, the class of its first item.
    """

    file: str
    function: str
    returns: str


def rows_of(repository: Path, heading: str) -> list[Call]:
    """The table below a heading of the page."""
    page = (repository / PAGE).read_text(encoding="utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [Call(*row) for row in ROW.findall(section)]


def calls_of(run: Callable[[], object]) -> list[Call]:
    """The calls of the library's functions during `run`, in the order they end."""
    calls: list[Call] = []

    def look(frame: FrameType, event: str, returned: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "return" or not path.is_relative_to(SOURCES):
            return
        first = (
            returned[0] if type(returned) in (list, tuple) and returned else returned
        )
        file = path.relative_to(SOURCES).as_posix()
        calls.append(Call(file, frame.f_code.co_qualname, type(first).__name__))

    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


def check_flow(rows: list[Call], calls: list[Call]) -> None:
    """Fail unless the calls of the rows are made in their order."""
    assert rows
    after = 0
    for row in rows:
        assert row in calls[after:], f"{row} does not end after the row above it"
        after = calls.index(row, after) + 1


def test_a_spike_becomes_a_joule(repository: Path) -> None:
    from spikejoule.evaluation.inference import measure_network
    from spikejoule.network.checkpoint import complete_checkpoint
    from tests.tools.examples import complete_content, trained_network

    trained = trained_network()
    checkpoint = complete_checkpoint(Path("network.pth"), complete_content(trained))
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28)).astype(np.uint8)
    events = trained.encoder.events(images, np.uint64(7))
    profiles = load_profiles()
    headline = select_profile(profiles, "lemaire-complete", "profile")
    arithmetic = select_profile(profiles, "45nm-fp32", "arithmetic_profile")

    def run() -> None:
        measured = measure_network(trained.state, trained.network, events)
        samples = MeasuredSamples(measured, np.zeros(4, np.uint8), images)
        inputs = analysis_inputs(checkpoint, samples)
        analyse(inputs, profiles, headline, arithmetic, BootstrapSettings(20))

    check_flow(rows_of(repository, "From a hidden spike to a joule"), calls_of(run))


def test_a_model_becomes_a_report(repository: Path) -> None:
    import torch

    snntorch = pytest.importorskip("snntorch")
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(20, 10),
        snntorch.Leaky(beta=0.9, init_hidden=True),
        torch.nn.Linear(10, 5),
        snntorch.Leaky(beta=0.9, init_hidden=True),
    ).eval()
    spikes = (torch.rand(8, 7, 20) < 0.5).float()
    calls = calls_of(lambda: spikejoule.price(model, [(spikes,)], time_axis=1))
    check_flow(rows_of(repository, "From a PyTorch model to a report"), calls)


def test_layers_are_parsed_once(repository: Path) -> None:
    from spikejoule.engine import engine_to_train

    content = committed_params().model_dump(mode="json")
    content["model"]["layers"] = ["4c5s2", "20r"]

    def run() -> None:
        params = parse_params(content)
        network = params.model.network_of((28, 28), 10)
        engine_to_train(params.train, network, params.train, params.seed)

    calls = calls_of(run)
    check_flow(rows_of(repository, "From `model.layers` to an engine"), calls)
    assert [call.function for call in calls].count("layers_of") == 1
