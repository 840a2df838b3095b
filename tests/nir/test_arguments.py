"""Mistakes in calls of the Python API: refused in one sentence that names them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikejoule
from spikejoule.compare.from_counts import SampleSet
from spikejoule.core.errors import SpikejouleError
from spikejoule.encoding.events import EventList
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.running import run_graph
from spikejoule.pricing.graph import price_graph
from tests.nir.foreign import DT, GRAPHS, Maker
from tests.tools.without_torch import WITH_TORCH

GIVEN = Conventions(dt=DT, reset="zero", comparison="ge")
SPIKES = np.random.default_rng(0).random((6, 10, 6)) < 0.3
EVENTS = EventList.from_dense(SPIKES)


def graph() -> Any:
    return GRAPHS["fully connected"](Maker())


def refusal(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The sentence with which a call is refused."""
    with pytest.raises(SpikejouleError) as error:
        call(*arguments, **named)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    "value",
    [np, [[1, 0], [1]], Path("spikes.npy")],
    ids=["module", "ragged list", "path"],
)
def test_arguments_of_other_types(value: Any) -> None:
    kind = type(value).__name__
    assert "spikes must be an array of numbers" in refusal(EventList.from_dense, value)
    assert f"a NIRGraph is needed, not a {kind}: " in refusal(run_graph, value, EVENTS)
    assert f"must be an EventList, not a {kind}: " in refusal(
        run_graph, graph(), value, GIVEN
    )
    assert f"must be Conventions, not a {kind}." in refusal(
        run_graph, graph(), EVENTS, value
    )
    sentence = refusal(price_graph, graph(), EVENTS, GIVEN, SampleSet(labels=value))
    assert "labels must be an array of numbers" in sentence


@pytest.mark.parametrize(
    "labels", [[1] * 5, [4] * 6, [0.5] * 6, np.eye(6, 4, dtype=int)]
)
def test_labels_that_do_not_fit(labels: Any) -> None:
    sentence = refusal(price_graph, graph(), EVENTS, GIVEN, SampleSet(labels=labels))
    assert (
        "each of the 6 samples needs one label from 0 to 3, but there are " in sentence
    )


@pytest.mark.skipif(not WITH_TORCH, reason="needs PyTorch")
def test_tensors_and_lists_are_taken() -> None:
    import torch

    tensor = torch.from_numpy(SPIKES).float().requires_grad_()
    for spikes in (tensor, tensor.half(), SPIKES.tolist()):
        assert np.array_equal(EventList.from_dense(spikes).sources, EVENTS.sources)
    labels = torch.tensor([0, 1, 2, 3, 0, 1], dtype=torch.uint8)
    analysis = price_graph(graph(), EVENTS, GIVEN, SampleSet(labels=labels))
    assert analysis.inputs.labels.tolist() == labels.tolist()


def test_without_torch_the_extra_is_named() -> None:
    code = "import sys; sys.modules['torch'] = None; import spikejoule as s; s.price"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(spikejoule.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert "spikejoule.price needs torch" in done.stderr
    assert "pip install 'spikejoule[torch]'" in done.stderr
