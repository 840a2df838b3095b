"""What people pass to the Python API by mistake: refused in one sentence that names it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikejoule
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.energy.from_graph import price_graph
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import run_graph
from tests.nir.foreign import DT, GRAPHS, Maker
from tests.tools.without_torch import WITH_TORCH

GIVEN = Conventions(dt=DT, reset="zero", comparison="ge")
SPIKES = np.random.default_rng(0).random((6, 10, 6)) < 0.3


OTHERS: dict[str, Any] = {
    "nothing": None, "a module of Python": np, "a ragged list": [[1, 0], [1]],
    "objects": np.array([None, {}]), "words": ["a", "b"], "a path": Path("spikes.npy"),
}  # fmt: skip
"""By what it is, something that is neither an array nor a graph."""


def graph() -> Any:
    return GRAPHS["fully connected"](Maker())


def events() -> EventList:
    return EventList.from_dense(SPIKES)


def sentence(call: Callable[[], object]) -> str:
    """The one sentence of a refusal."""
    with pytest.raises(SpikejouleError) as error:
        call()
    said = str(error.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 400
    return said


@pytest.mark.parametrize("name", OTHERS)
def test_no_array_no_graph_no_events_and_no_conventions(name: str) -> None:
    given = OTHERS[name]
    kind = type(given).__name__
    said = sentence(lambda: EventList.from_dense(given))
    assert said.startswith("spikes must be an array of numbers, or a dense tensor that holds them")
    assert f"are a {kind}" in said
    assert f"a NIRGraph is needed, not a {kind}: " in sentence(lambda: run_graph(given, events()))
    said = sentence(lambda: run_graph(graph(), given, GIVEN))
    assert said.startswith(f"events must be an EventList, not a {kind}: `EventList.from_dense`")
    if given is not None:
        labels = {"labels": given}
        said = sentence(lambda: price_graph(graph(), events(), GIVEN, **labels))
        assert "labels must be an array of numbers" in said
        said = sentence(lambda: run_graph(graph(), events(), given))
        assert said == f"given must be Conventions, not a {kind}."


@pytest.mark.parametrize(
    "labels", [[1] * 5, [-1] * 6, [4] * 6, [0.5] * 6, np.eye(6, 4, dtype=int), True, []]
)
def test_labels_that_are_none(labels: Any) -> None:
    said = sentence(lambda: price_graph(graph(), events(), GIVEN, labels=labels))
    assert said.startswith("each of the 6 samples needs one label from 0 to 3, but there are ")


@pytest.mark.skipif(not WITH_TORCH, reason="needs PyTorch")
def test_tensors_and_lists_are_taken() -> None:
    import torch

    tensor = torch.from_numpy(SPIKES).float().requires_grad_()
    for given in (tensor, tensor.half(), SPIKES.tolist(), torch.from_numpy(SPIKES).mT.mT):
        assert np.array_equal(EventList.from_dense(given).sources, events().sources)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    for one in (labels, labels.tolist(), labels.to(torch.uint8)):
        analysis = price_graph(graph(), events(), GIVEN, labels=one)
        assert analysis.inputs.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("name", ["price", "verify"])
def test_without_torch_the_extra_is_named(name: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import spikejoule\n"
        "try:\n"
        f"    spikejoule.{name}\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(spikejoule.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"spikejoule.{name} needs PyTorch")
    assert "pip install 'spikejoule[torch]'" in done.stdout
