"""A training that is killed after any epoch and resumes ends with the same bytes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spikejoule.core import torch_files
from spikejoule.data.dataset import Dataset
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.engine.learning import make_trainer
from spikejoule.network.layers import layers_of
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.readout import Readout
from spikejoule.network.torch_twin import initial_state
from spikejoule.training.settings import TrainingSettings
from spikejoule.training.training import Training, TrainingData, train
from tests.tools.interrupted import KilledError, Memory, cut_short_after_every_epoch
from tests.tools.settings import changed
from tests.training.test_training import problem

SEED = 3
EPOCHS = 4
SETTINGS = TrainingSettings(
    batch_size=8,
    max_epochs=EPOCHS,
    lr=0.02,
    logit_scale=0.3,
    grad_clip_norm=1.0,
    weight_decay=1e-4,
    schedule="one_cycle",
    shift_pixels=1,
)
CASES: dict[str, dict[str, Any]] = {
    "pruned": {
        "pruned_fraction": 0.3,
        "prune_start": 0.1,
        "reset": "subtract",
        "bias": False,
        "spike_penalty": 1.0,
    },
    "quantised, pruned": {
        "weight_bits": 8,
        "pruned_fraction": 0.6,
        "prune_end": 0.9,
    },
    "learned": {
        "learned": "both",
        "schedule": "cosine",
    },
    "potentials of integers": {"weight_bits": 4, "readout": Readout.POTENTIAL},
    "largest potentials, learned": {
        "learned": "both",
        "readout": Readout.MAX_POTENTIAL,
    },
    "stopped early": {
        "patience": 1,
        "schedule": "plateau",
        "plateau_patience": 0,
        "lr": 0.2,
    },
    "convolution and recurrence": {
        "layers": ("2c3", "6r"),
        "pruned_fraction": 0.3,
        "batch_size": 4,
    },
}


DENSE_CASES = ("quantised, pruned", "convolution and recurrence")
NEURON_KEYS = ("learned", "reset", "bias")
NETWORK_KEYS = ("weight_bits", "layers", "readout", *NEURON_KEYS)


def settings_of(case: dict[str, Any]) -> TrainingSettings:
    own = {key: value for key, value in case.items() if key not in NETWORK_KEYS}
    return changed(SETTINGS, **own)


def trained(name: str, case: dict[str, Any], state_store: Any = None) -> Training:
    own = {key: case[key] for key in NEURON_KEYS if key in case}
    neuron = LeakyIntegrateAndFire(threshold=0.7, decay=0.875, **own)
    bits = case.get("weight_bits")
    settings = settings_of(case)
    hidden = layers_of(case.get("layers", ("12", "9")))
    in_shape = (1, 4, 4) if "layers" in case else (16,)
    quantisation = bits and Quantisation(bits, 32)
    network = Network.of_chain(in_shape, hidden, 2, neuron, quantisation)
    network = network.with_readout(case.get("readout", Readout.SPIKES))
    state = {key: value.numpy() for key, value in initial_state(network, 1).items()}
    engine = make_trainer(name, network, state, settings)
    return train(Training(problem(), engine, settings, SEED), state_store)


def content(result: Training) -> bytes:
    """Everything in a result except its clocks."""
    return torch_files.encode(
        {
            "state": result.state,
            "optimizer": result.optimizer_state,
            "history": [record.entry() for record in result.history],
            "network": repr(result.network),
            "best": (result.best_epoch, result.best_validation_accuracy_percent),
            "stop": result.stop_reason,
        }
    )


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *(("event", case) for case in CASES),
        *(("dense", case) for case in DENSE_CASES),
    ],
)
def test_killed_after_every_epoch(name: str, case: str) -> None:
    whole = content(trained(name, CASES[case]))
    result, cuts = cut_short_after_every_epoch(
        lambda state_store: trained(name, CASES[case], state_store)
    )
    assert content(result) == whole
    assert cuts == len(result.history)
    if case == "stopped early":
        assert 1 < cuts < EPOCHS


def test_the_dense_engine_resumes_on_another_number_of_threads(
    mnist5k: Dataset,
) -> None:
    """The network is so large that PyTorch's rounding depends on the threads."""
    images = mnist5k.train
    encoder = Poisson(time_window=20, max_rate=80.0)
    key = encoder.draw_key(1, "validation", 0)
    events = encoder.events(images.images[192:224], key, np.arange(32))
    samples = replace(images.select(slice(192)), index=np.arange(192))
    data = TrainingData(samples, encoder, events, images.labels[192:224])
    network = Network.of_layers(784, (400,), 10)
    state = {key: value.numpy() for key, value in initial_state(network, 1).items()}
    settings = TrainingSettings(batch_size=64, max_epochs=2, lr=0.01)

    def run(threads: int, state_store: Any = None) -> bytes:
        torch.set_num_threads(threads)
        engine = make_trainer("dense", network, state, settings)
        return content(train(Training(data, engine, settings, SEED), state_store))

    before = torch.get_num_threads()
    try:
        whole = run(2)
        memory = Memory(epochs=1)
        with pytest.raises(KilledError):
            run(2, memory)
        assert run(1, Memory(memory.kept)) == whole
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
