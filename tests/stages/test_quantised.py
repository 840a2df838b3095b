"""The pipeline on few digits with integer weights, from training to the published checkpoint."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.encoding.events import EventList, load_events
from spikejoule.evaluation.inference import load_inference_spikes
from spikejoule.model.quantisation import Quantisation
from spikejoule.model.trained import load_trained
from tests import naive
from tests.tools.finished_project import call
from tests.tools.pipeline_tools import artifact_paths, set_parameters

CHOICES = {
    "4 bits, no leak, pruned": {
        "model.weight_bits": 4,
        "model.state_bits": 16,
        "model.decay": 1.0,
        "train.pruned_fraction": 0.5,
        "train.prune_start": 0.0,
    },
    "2 bits, dense engine": {"model.weight_bits": 2, "train.engine": "dense"},
}
STAGES = ("train", "measure_inference", "evaluate", "energy_report")


@pytest.mark.parametrize("choice", list(CHOICES))
def test_the_whole_pipeline_runs_in_integers(
    choice: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_parameters(copied, CHOICES[choice])
    for stage in STAGES:
        assert call(stage) == 0, capsys.readouterr().err
    paths = {name: copied / path for name, path in artifact_paths(copied).items()}
    network = load_trained(paths["trained"])
    weight_bits = CHOICES[choice]["model.weight_bits"]
    quantisation = network.architecture.quantisation
    assert isinstance(quantisation, Quantisation)
    assert quantisation.weight_bits == weight_bits

    content = torch.load(paths["trained"], weights_only=True)
    stated = content["quantisation"]
    assert stated["exponents"] == list(quantisation.exponents)
    for name, integers in stated["integers"].items():
        assert integers.dtype == (torch.int8 if integers.dim() == 2 else torch.int32)
        unit = 2.0 ** -quantisation.exponents[int(name[5]) - 1]
        assert torch.equal(content["state"][name], integers.float() * unit)
        if integers.dim() == 2:
            assert integers.abs().max() <= 2 ** (weight_bits - 1) - 1

    events, _ = load_events(paths["events_test"])
    assert_counted_as_the_loops_count(stated, network, events, paths)


def assert_counted_as_the_loops_count(
    stated: dict[str, Any], network: Any, events: EventList, paths: dict[str, Path]
) -> None:
    """The spikes of every layer in the file of measure_inference are those of plain integers."""
    layers = [
        tuple(stated["integers"][f"layer{number}.synapses.{part}"].tolist() for part in
              ("weight", "bias"))
        for number in (1, 2)
    ]  # fmt: skip
    constants = [
        (threshold, leak / 256)
        for threshold, leak in zip(stated["thresholds"], stated["leak_factors"], strict=True)
    ]
    dense = events.select(slice(5)).to_dense(np.int64)
    passed = naive.integer_run(layers, dense.tolist(), constants, stated["state_bits"])
    spikes = [dense, *(fired for _, fired in passed)]
    counts = load_inference_spikes(paths["inference_spikes"])
    assert np.array_equal(
        counts.per_sample[:5], np.stack([layer.sum(axis=(1, 2)) for layer in spikes], axis=1)
    )
