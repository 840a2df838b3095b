"""Small trained networks and their files, for tests of what follows training."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline, MeasuredBaseline, save_baseline
from spikejoule.counts.measurement import (
    LayerCounts,
    activity_of_layers,
    activity_of_products,
)
from spikejoule.counts.proxies import checkpoint_proxies
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.integers import floats_of, integers_of, with_grids
from spikejoule.network.network import Network
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.sections import EpochRecord
from spikejoule.network.trained import (
    InferenceResults,
    TrainedNetwork,
    completed,
)

# Timings and figures of a run, as the stages write them.
_FILES = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
TRAIN_TIMINGS = _FILES["train_timings"]
EVALUATION = _FILES["evaluation"]
LIF = LeakyIntegrateAndFire(threshold=1.0, decay=0.9)


def trained_network(
    hidden: tuple[int, ...] = (20,),
    seed: int = 1,
    neuron: Neuron = LIF,
    n_input: int = 784,
) -> TrainedNetwork:
    """Make a network in which every layer fires, with a history of two epochs."""
    generator = np.random.default_rng(seed)
    network = Network.of_layers(n_input, hidden, 10, neuron)
    state = {
        name: generator.normal(0.05, 0.35, shape).astype(np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    network = network.learned_from(state)
    spikes_by_epoch = [
        [1000 * (epoch + 3) + 10 * layer for layer in range(len(network.layer_names))]
        for epoch in (1, 2)
    ]
    return TrainedNetwork(
        network=network,
        state=state,
        encoder=Poisson(time_window=50, max_rate=80.0),
        seed=7,
        training_config=copy.deepcopy(_FILES["training_config"]),
        history=[
            EpochRecord(
                epoch=epoch,
                learning_rate=0.003 / epoch,
                train_loss=1.0 / epoch,
                train_accuracy_percent=80.0 + epoch,
                validation_accuracy_percent=85.0 + epoch,
                spikes=tuple(spikes),
                synaptic_events=tuple(
                    n_spikes * fan_out
                    for n_spikes, fan_out in zip(
                        spikes, network.layer_sizes[1:], strict=False
                    )
                ),
                synapses_touched=tuple(
                    n_spikes * fan_out // 2
                    for n_spikes, fan_out in zip(
                        spikes, network.layer_sizes[1:], strict=False
                    )
                ),
                pruned_fraction=0.0,
                samples=100,
            )
            for epoch, spikes in enumerate(spikes_by_epoch, start=1)
        ],
        best_epoch=2,
        data=copy.deepcopy(_FILES["data"]),
        engine="event",
        optimizer_state=adam_state(state),
    )


def quantised_network(
    weight_bits: int = 8, state_bits: int = 32, **neuron: Any
) -> TrainedNetwork:
    """Make an integer network."""
    trained = trained_network(neuron=LeakyIntegrateAndFire(**neuron))
    network = replace(
        trained.network, quantisation=Quantisation(weight_bits, state_bits)
    )
    network = with_grids(network, trained.state)
    state = floats_of(network, integers_of(network, trained.state))
    return replace(trained, network=network, state=state)


def adam_state(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state dict of a PyTorch Adam after one step on these weights."""
    parameters = [
        torch.nn.Parameter(torch.from_numpy(array.copy())) for array in state.values()
    ]
    optimizer = torch.optim.Adam(parameters, lr=0.003, weight_decay=1e-5)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return dict(optimizer.state_dict())


def inference_spikes(trained: TrainedNetwork) -> SpikeCounts:
    """Spikes of 4 images: 1600 from the input, 400 fewer from each further layer."""
    network = trained.network
    totals = 1600 - 400 * np.arange(len(network.layer_names))
    per_step = np.zeros((len(totals), 50), dtype=np.int64)
    per_step[:, 0] = totals
    per_neuron = tuple(
        np.array([total] + [0] * (size - 1))
        for total, size in zip(totals, network.layer_sizes, strict=True)
    )
    return SpikeCounts(
        network.layer_names, np.tile(totals // 4, (4, 1)), per_step, per_neuron
    )


def complete_checkpoint(network: TrainedNetwork | None = None) -> Checkpoint:
    """Assemble the complete checkpoint of a network."""
    network = network or trained_network()
    spikes = inference_spikes(network)
    means = LayerCounts(spikes=np.array([[*spikes.means.values()]]))
    proxies = checkpoint_proxies(activity_of_layers(network.network, 50, means))
    measured = InferenceResults(spikes, 0.25, EVALUATION, proxies)
    return completed(network.checkpoint(), measured, TRAIN_TIMINGS)


def complete_content(network: TrainedNetwork | None = None) -> dict[str, Any]:
    """Return the entries of a complete checkpoint, to be changed."""
    return copy.deepcopy(complete_checkpoint(network).content)


def write_example(path: Path, network: TrainedNetwork | None = None) -> Path:
    """Write the complete checkpoint of a network and return `path`."""
    complete_checkpoint(network).write(path)
    return path


def write_baselines(
    path: Path,
    labels: NDArray[np.uint8],
    validation_accuracy_percent: float = 89.0,
    name: str = "ReLU 784-20-10",
) -> Path:
    """Write the file of the baseline stage with a network of equal size.

    It multiplies 3,120 times for the first image, and once more for each further one.
    """
    n_images = len(labels)
    macs = np.stack([np.arange(3000, 3000 + n_images), np.full(n_images, 120)], axis=1)
    network = ConventionalNetwork.of_layers(784, (20,), 10)
    counts = CountedBaseline(
        name=name,
        activity=activity_of_products(network, macs),
        equal_size=True,
        validation_accuracy_percent=validation_accuracy_percent,
        accuracy_percent=90.0,
    )
    measured = MeasuredBaseline(counts, trained_network().state, labels)
    save_baseline(path, [measured], labels)
    return path
