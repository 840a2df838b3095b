"""Which trainer a training uses, on which device and with how many threads."""

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.engine.choice import (
    engine_for,
    resolve_device,
    use_threads,
    with_fitting_grids,
)
from spikejoule.engine.interface import EngineSettings
from spikejoule.engine.learning.interface import Trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network, State


def make_trainer(
    name: str,
    network: Network,
    state: State,
    settings: LearningSettings,
    dtype: DTypeLike = np.float32,
) -> Trainer:
    """Make a trainer on the CPU. Only its own libraries are imported.

    Args:
        name: ``event`` or ``dense``, from :func:`choose_engine`.
        network: layers and neurons; a quantised network without grids gets those that
            fit its weights.
        state: initial parameters by name.
        settings: how to learn.
        dtype: float32, or float64 for exact comparisons.

    Raises:
        ParameterError: the engine cannot sample the deltas of this network.
    """
    network = with_fitting_grids(network, state)
    plain_layers = len(network.layer_names) - 2 if network.is_plain else 0
    settings.check_backward(name, plain_layers)
    if name == "event":
        from spikejoule.engine.learning.event import EventTrainer

        return EventTrainer(network, state, settings, dtype)
    from spikejoule.engine.learning.dense import DenseTrainer

    return DenseTrainer(network, state, settings, dtype=dtype)


def chosen_trainer(
    settings: EngineSettings, network: Network, learning: LearningSettings, seed: int
) -> tuple[Trainer, int]:
    """Make the trainer that the settings ask for, with fresh weights.

    Args:
        settings: engine, device, threads.
        network: layers and neurons.
        learning: loss, gradient and optimizer.
        seed: of the initial weights.

    Returns:
        the trainer, and the number of threads that it uses.

    Raises:
        ParameterError: the engine does not fit the network, or there is no such device.
    """
    from spikejoule.network.torch_twin import initial_state

    threads = use_threads(settings.threads)
    name = engine_for(settings.engine, settings.device, network)
    device = "cpu" if name == "event" else resolve_device(settings.device)
    if settings.engine == "auto" and name == "dense" and device == "cpu":
        # The last bits of PyTorch's sums depend on the number of threads. Whoever did
        # not choose the engine gets the same result on every machine.
        threads = use_threads(1)
    state = {key: value.numpy() for key, value in initial_state(network, seed).items()}
    if device == "cpu":
        return make_trainer(name, network, state, learning), threads
    from spikejoule.engine.learning.dense import DenseTrainer

    network = with_fitting_grids(network, state)
    return DenseTrainer(network, state, learning, device), threads
