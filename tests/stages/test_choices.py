"""Every value of every choice runs through the pipeline, on few digits.

A new choice, or a value of one, is one line of `CHOICES`. SPIKEJOULE_CHOICES=40 runs so many
combinations, nearly every two values of different choices together.
"""

import json
import math
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from spikejoule.data.images import Dataset
from spikejoule.encoding.encoded_files import load_encoded_images
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.events import PRODUCTS, load_events
from spikejoule.evaluation.accuracy import EarlyExit
from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.trained import load_trained
from spikejoule.nir.writing import metadata_of
from spikejoule.params import Params, load_params
from stages.shared.common import run_stage
from tests import naive
from tests.tools.finished_project import finish_project
from tests.tools.pipeline_tools import artifact_paths, set_parameters

Combination = dict[str, Any]
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


def drawn(number: int) -> list[Combination]:
    """So many combinations, each of values that came least often in those before it."""
    draw, used = random.Random(1), Counter[tuple[str, Any]]()
    found: list[Combination] = []
    for _ in range(number):
        chosen: Combination = {}
        for key in draw.sample(list(CHOICES), len(CHOICES)):
            possible = [
                value
                for value in draw.sample(CHOICES[key], len(CHOICES[key]))
                if not any(excluded({key: value, other: of}) for other, of in chosen.items())
            ]
            chosen[key] = min(possible, key=lambda value, key=key: used[key, value])
        used.update(chosen.items())
        found.append(chosen)
    return found


COMBINATIONS = drawn(int(os.environ.get("SPIKEJOULE_CHOICES", "6")))


def test_every_value_is_drawn() -> None:
    for key, values in CHOICES.items():
        assert all(any(chosen[key] == value for chosen in COMBINATIONS) for value in values), key


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
    if chosen["model.weight_bits"] == 8:
        check_the_integers(paths, 8)
    params = load_params(folder / "params.yaml")
    assert chosen.items() <= params.flattened().items()
    _, images = load_encoded_images(paths["events_test"])
    assert images.encoder == params.encode.encoder
    assert EarlyExit.read(paths["early_exit"]).rule == chosen["evaluate.early_exit_rule"]
    numbers = numbers_in(paths, "evaluate_metrics", "inference_metrics", "early_exit")
    has_spikes = params.encode.encoder.input_products is None
    assert (numbers["inference_metrics.input_spikes_per_inference"] > 0) == has_spikes
    # Without biases, and half of its synapses gone, so small a network may stay silent.
    if chosen["model.bias"]:
        assert numbers["inference_metrics.hidden_spikes_per_inference"] > 0
    check_the_report(chosen, params, paths)


def numbers_in(paths: dict[str, Path], *names: str) -> dict[str, float]:
    """What files of metrics hold, which must be finite."""
    numbers = {
        f"{name}.{key}": value
        for name in names
        for key, value in json.loads(paths[name].read_text(encoding="utf-8")).items()
        if isinstance(value, int | float)
    }
    assert numbers
    assert all(math.isfinite(value) for value in numbers.values())
    return numbers


def check_the_report(chosen: Combination, params: Params, paths: dict[str, Path]) -> None:
    """Its files state the encoding that params.yaml names."""
    encoder = params.encode.encoder
    numbers = numbers_in(paths, "energy_metrics")
    has_currents = encoder.input_products is not None
    assert ("energy_metrics.input_macs_per_inference" in numbers) == has_currents
    check_the_graph(chosen, paths["nir"])
    stated = torch.load(paths["checkpoint"], weights_only=True)["encoding"]
    assert stated.items() >= encoder.entry().items()
    assert "nan" not in paths["energy_page"].read_text(encoding="utf-8").split()


def check_the_graph(chosen: Combination, path: Path) -> None:
    """The NIR graph is one that nir reads, and says what was chosen."""
    graph = nir.read(path)
    stated = metadata_of(graph)
    assert stated.reset == chosen["model.reset"]
    assert stated.encoding["type"] == chosen["encode.encoding"]
    assert (stated.input == "currents") == (chosen["encode.encoding"] == "direct")
    assert stated.pruned == (chosen["train.pruned_fraction"] > 0)
    assert (stated.quantisation is not None) == (chosen["model.weight_bits"] == 8)
    assert ("bias" in vars(graph.nodes["synapses1"])) == chosen["model.bias"]


def test_the_whole_pipeline_runs_in_integers(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 4 bits, pruned and without a leak."""
    chosen = {"model.weight_bits": 4, "model.state_bits": 16, "model.decay": 1.0}
    set_parameters(copied, chosen | {"train.pruned_fraction": 0.5, "train.prune_start": 0.0})
    for stage in ("train", "measure_inference", "evaluate", "energy_report"):
        assert run_stage(stage) == 0, capsys.readouterr().err
    check_the_integers({name: Path(path) for name, path in artifact_paths(copied).items()}, 4)


def check_the_integers(paths: dict[str, Path], weight_bits: int) -> None:
    """The file states them beside its floats, and their loops count what the stage has counted."""
    quantisation = load_trained(paths["trained"]).network.quantisation
    assert isinstance(quantisation, Quantisation)
    assert quantisation.weight_bits == weight_bits
    content = torch.load(paths["trained"], weights_only=True)
    stated = content["quantisation"]
    assert stated["exponents"] == list(quantisation.exponents)
    for name, integers in stated["integers"].items():
        unit = 2.0 ** -quantisation.exponents[naive.layer_number(name)]
        assert torch.equal(content["model_state_dict"][name], integers.float() * unit)
        is_weight = name.endswith("weight")
        assert integers.dtype == (torch.int8 if is_weight else torch.int32)
        assert not is_weight or integers.abs().max() <= 2 ** (weight_bits - 1) - 1
    decays = [leak / 256 for leak in stated["leak_factors"]]
    dense = load_events(paths["events_test"])[0].select(slice(5)).to_dense(np.int64)
    network = load_trained(paths["trained"])
    reset = network.network.neuron.reset
    integers = {name: of.numpy() for name, of in stated["integers"].items()}
    constants = (stated["thresholds"], decays, reset)
    passed = [
        naive.integer_forward(integers, sample, constants, stated["state_bits"])
        for sample in dense.tolist()
    ]
    spikes = [dense, *(np.array([of[layer][1] for of in passed]) for layer in range(2))]
    counts = read_measurement(paths, network).counts
    assert np.array_equal(
        counts.per_sample[:5], np.stack([layer.sum(axis=(1, 2)) for layer in spikes], axis=1)
    )
