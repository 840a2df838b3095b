"""Every value of every choice runs through the pipeline, on few digits.

A new choice or value is one line of `CHOICES`. SPIKEJOULE_CHOICES=40 runs that many
combinations, which pair nearly every two values of different choices.
"""

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from spikejoule.data.dataset import Dataset
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import PRODUCTS, load_events
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.readout import Readout
from spikejoule.nir.writing import metadata_of
from spikejoule.params import load_params
from tests import naive
from tests.tools.finished_project import finish_project
from tests.tools.pipeline_tools import artifact_paths

Combination = dict[str, Any]
CHOICES: dict[str, tuple[Any, ...]] = {
    "encode.encoding": tuple(
        name for name, code in ENCODERS.items() if code.takes == "images"
    ),
    "encode.latency_curve": ("linear", "logarithmic"),
    "encode.direct_products": PRODUCTS,
    # A tuple is a list of params.yaml: here of one value for each layer.
    "model.decay": (0.9, 1.0, (0.95, 0.8)),
    "model.threshold": (0.3, (0.3, 0.4)),
    "model.reset": ("zero", "subtract"),
    "model.bias": (True, False, "initial"),
    "model.learned": ("none", "decay", "threshold", "both"),
    "model.readout": tuple(Readout),
    "model.weight_bits": (32, 8),
    "model.state_bits": (32, 16),
    "train.engine": ("event", "dense"),
    "train.pruned_fraction": (0.0, 0.5),
    "train.spike_penalty": (0.0, 0.1, (0.1, 0.2)),
    "evaluate.early_exit_rule": ("lead", "first_spike"),
}


def excluded(pair: Combination) -> bool:
    """Whether no network can have both values."""
    learned = pair.get("model.learned", "none")
    decay = pair.get("model.decay")
    weights = pair.get("model.weight_bits")
    states = pair.get("model.state_bits")
    integers = weights == 8 or states == 16
    spikes = pair.get("model.readout", "spikes") == "spikes"
    if not spikes and pair.get("evaluate.early_exit_rule") == "first_spike":
        return True
    if integers and (learned != "none" or pair.get("encode.encoding") == "direct"):
        return True
    return (states == 16 and weights == 32) or (
        learned in ("decay", "both") and decay == 1.0
    )


def drawn(number: int) -> list[Combination]:
    """Draw combinations, each of the values that were least frequent before it."""
    draw = random.Random(1)
    used = Counter[tuple[str, Any]]()
    combinations: list[Combination] = []
    for _ in range(number):
        chosen: Combination = {}
        for key in draw.sample(list(CHOICES), len(CHOICES)):
            possible = [
                value
                for value in draw.sample(CHOICES[key], len(CHOICES[key]))
                if not any(
                    excluded({key: value, other: chosen[other]}) for other in chosen
                )
            ]
            chosen[key] = min(possible, key=lambda value, key=key: used[key, value])
        used.update(chosen.items())
        combinations.append(chosen)
    return combinations


COMBINATIONS = drawn(int(os.environ.get("SPIKEJOULE_CHOICES", "5")))


def test_every_value_is_drawn() -> None:
    for key, values in CHOICES.items():
        assert all(
            any(chosen[key] == value for chosen in COMBINATIONS) for value in values
        ), key


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    COMBINATIONS,
    ids=lambda chosen: "-".join(str(value) for value in chosen.values()),
)
def test_a_combination(
    chosen: Combination, repository: Path, mnist5k: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    chosen = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in chosen.items()
    }
    finish_project(repository, mnist5k, folder, chosen, "energy_report")
    paths = {name: folder / path for name, path in artifact_paths(folder).items()}
    params = load_params(folder / "params.yaml")
    assert chosen.items() <= params.flattened().items()
    exits = EarlyExit.read(paths["early_exit"])
    assert exits.rule == chosen["evaluate.early_exit_rule"]
    has_currents = params.encode.encoder.input_products is not None
    inference = json.loads(paths["inference_metrics"].read_text())
    assert (inference["input_spikes_per_inference"] == 0) == has_currents
    # Without biases, and half of its synapses gone, so small a network may stay silent.
    assert inference["hidden_spikes_per_inference"] > 0 or not chosen["model.bias"]
    energy = json.loads(paths["energy_metrics"].read_text())
    assert ("input_macs_per_inference" in energy) == has_currents
    check_the_graph(nir.read(paths["nir"]), chosen)
    if chosen["model.weight_bits"] == 8:
        check_the_integers(paths)


def check_the_graph(graph: nir.NIRGraph, chosen: Combination) -> None:
    """It states what was chosen; one with initial potentials cannot exist."""
    if chosen["model.bias"] == "initial":
        assert "'initial' has no place in NIR" in graph.metadata["reason"]
        return
    stated = metadata_of(graph)
    assert stated.reset == chosen["model.reset"]
    assert stated.readout == chosen["model.readout"]
    assert stated.encoding["type"] == chosen["encode.encoding"]
    assert stated.pruned == (chosen["train.pruned_fraction"] > 0)
    assert ("bias" in vars(graph.nodes["synapses1"])) == chosen["model.bias"]


def check_the_integers(paths: dict[str, Path]) -> None:
    """Loops over the integers of the file count what the stage has counted."""
    stated = torch.load(paths["trained"], weights_only=True)["quantisation"]
    trained = Checkpoint.read_trained(paths["trained"])
    integers = {name: values.numpy() for name, values in stated["integers"].items()}
    decays = [leak / 256 for leak in stated["leak_factors"]]
    network = trained.network
    thresholds = stated["thresholds"]
    if not network.readout.is_spiking:
        thresholds = [*thresholds, None]  # the output has none
    neuron = network.neuron
    constants = (
        *(thresholds, decays, neuron.reset),
        *(network.readout.value, neuron.starts_at_bias),
    )
    inputs = load_events(paths["events_test"])[0].select(slice(5)).to_dense(np.int64)
    passed = [
        naive.forward(integers, sample, constants, None, stated["state_bits"])
        for sample in inputs.tolist()
    ]
    later = [np.array([layers[number][1] for layers in passed]) for number in range(2)]
    by_loop = np.stack([spikes.sum(axis=(1, 2)) for spikes in (inputs, *later)], axis=1)
    assert np.array_equal(
        read_measurement(paths, trained).counts.per_sample[:5], by_loop
    )
