"""Every value of every choice runs through the pipeline, on few digits.

A new choice, or a value of one, is one line of `CHOICES`: the combinations hold every two values of
different choices together that are allowed together, not all of them.
"""

import csv
import json
import math
from pathlib import Path
from typing import Any

import nir
import pytest
import torch

from spikejoule.data.images import Dataset
from spikejoule.encoding.encoded_files import load_encoded_images
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import PRODUCTS
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.graphs import metadata_of
from spikejoule.params import load_params
from tests.tools.finished_project import finish_project
from tests.tools.pairwise import Combination, pairwise
from tests.tools.pipeline_tools import artifact_paths

CHOICES: dict[str, tuple[Any, ...]] = {
    "encode.encoding": tuple(name for name, code in ENCODERS.items() if code.takes == "images"),
    "encode.latency_curve": ("linear", "logarithmic"),
    "encode.direct_products": PRODUCTS,
    # A tuple is a list of params.yaml: here of one value for each layer.
    "model.decay": (0.9, 1.0, (0.95, 0.8)),
    "model.threshold": (0.3, (0.3, 0.4)),
    "model.reset": ("zero", "subtract"),
    "model.bias": (True, False),
    "model.learned": ("none", "decay", "threshold", "both"),
    "model.weight_bits": (32, 8),
    "model.state_bits": (32, 16),
    "train.engine": ("event", "dense"),
    "train.pruned_fraction": (0.0, 0.5),
    "train.prune_by": ("magnitude", "events"),
    "train.spike_penalty": (0.0, 0.1, (0.1, 0.2)),
    "train.event_penalty": (0.0, 0.1, (0.1,)),
    "train.distillation": (0.0, 0.5),
    "train.average_epochs": (0, 1),
    "evaluate.early_exit_rule": ("lead", "first_spike"),
}


def excluded(pair: Combination) -> bool:
    """Whether no network can have both of two values."""
    learned, decay = pair.get("model.learned", "none"), pair.get("model.decay")
    weights, states = pair.get("model.weight_bits"), pair.get("model.state_bits")
    integers = weights == 8 or states == 16
    if integers and (learned != "none" or pair.get("encode.encoding") == "direct"):
        return True
    return (states == 16 and weights == 32) or (learned in ("decay", "both") and decay == 1.0)


COMBINATIONS = pairwise(CHOICES, excluded)


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen", COMBINATIONS, ids=lambda chosen: "-".join(str(value) for value in chosen.values())
)
def test_a_combination(
    chosen: Combination, repository: Path, mnist5k: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    chosen = {
        key: list(value) if isinstance(value, tuple) else value for key, value in chosen.items()
    }
    finish_project(repository, mnist5k, folder, chosen, "energy_report")
    paths = {name: folder / path for name, path in artifact_paths(folder).items()}
    flat = load_params(folder / "params.yaml").flattened()
    assert chosen.items() <= flat.items()
    check_the_code(folder, paths)
    check_the_graph(chosen, paths)
    early = EarlyExit.read(paths["early_exit"])
    assert early.rule == chosen["evaluate.early_exit_rule"]
    numbers = {
        f"{name}.{key}": value
        for name in ("evaluate_metrics", "inference_metrics", "energy_metrics", "early_exit")
        for key, value in json.loads(paths[name].read_text(encoding="utf-8")).items()
        if isinstance(value, int | float)
    }
    assert numbers
    assert all(math.isfinite(value) for value in numbers.values())
    encoder = load_params(folder / "params.yaml").encode.encoder
    has_spikes = encoder.input_products is None
    assert (numbers["inference_metrics.input_spikes_per_inference"] > 0) == has_spikes
    assert ("energy_metrics.input_macs_per_inference" in numbers) != has_spikes
    # Without biases, and half of its synapses gone, so small a network may stay silent.
    if chosen["model.bias"]:
        assert numbers["inference_metrics.hidden_spikes_per_inference"] > 0
    with paths["energy_table"].open(encoding="utf-8", newline="") as stream:
        assert {row["profile"] for row in csv.DictReader(stream)} >= {"45nm-fp32"}
    page = paths["energy_page"].read_text(encoding="utf-8")
    assert "nan" not in page.split()
    assert ("first output spike" in page) == (early.rule == "first_spike")


def check_the_graph(chosen: Combination, paths: dict[str, Path]) -> None:
    """The NIR graph is one that nir reads, and says what was chosen."""
    graph = nir.read(paths["nir"])
    stated = metadata_of(graph)
    assert stated.reset == chosen["model.reset"]
    assert stated.encoding["type"] == chosen["encode.encoding"]
    assert (stated.input == "currents") == (chosen["encode.encoding"] == "direct")
    assert stated.pruned == (chosen["train.pruned_fraction"] > 0)
    assert (stated.quantisation is not None) == (chosen["model.weight_bits"] == 8)
    assert ("bias" in vars(graph.nodes["synapses1"])) == chosen["model.bias"]


def check_the_code(folder: Path, paths: dict[str, Path]) -> None:
    """All files tell of the code that params.yaml names, and none of a rate that it has not."""
    encoder = load_params(folder / "params.yaml").encode.encoder
    _, images = load_encoded_images(paths["events_test"])
    assert images.encoder == encoder
    stated = torch.load(paths["checkpoint"], weights_only=True)["encoding"]
    assert stated.items() >= encoder.entry().items()
    assert stated[encoder.formula_name] == encoder.formula
    page = paths["energy_page"].read_text(encoding="utf-8")
    has_a_rate = encoder.rate_hz is not None
    assert ("max_rate_hz" in stated) == has_a_rate
    assert ("maximum rate" in page) == has_a_rate
