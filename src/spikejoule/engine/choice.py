"""Which engine a run uses, on what and with how many threads, and why."""

import logging

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import Engine, EngineSettings, choose_engine
from spikejoule.network.integers import with_grids
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network, State

logger = logging.getLogger(__name__)


def use_threads(count: int) -> int:
    """Let the kernels and torch use `count` threads, or every core for 0.

    Returns:
        the number in force; more threads than cores are not given, and a warning says
        so.
    """
    # Here and not above: who reads parameters needs neither.
    import numba
    import torch

    available = int(numba.config.NUMBA_NUM_THREADS)
    granted = min(count or available, available)
    if count > available:
        logger.warning(
            "train.threads is %d, but there are %d cores: %d", count, available, granted
        )
    numba.set_num_threads(granted)
    torch.set_num_threads(granted)
    return granted


def _chosen(name: str, device: str, network: Network) -> str:
    """The engine of a network; see `choose_engine`."""
    is_integer_chain = network.quantisation is not None and not network.is_plain
    return choose_engine(name, device, network.neuron.name, is_integer_chain)


def make_engine(
    name: str,
    network: Network,
    state: State,
    settings: LearningSettings | None = None,
    device: str = "cpu",
    dtype: DTypeLike = np.float32,
) -> Engine:
    """The engine of a name that :func:`choose_engine` returned; imports only what it
    needs.

    Args:
        name: ``event`` or ``dense``.
        network: layer sizes and neurons; a quantised one without grids gets those that
            fit.
        state: parameters to begin with.
        settings: how to learn; not needed to run.
        device: of the dense engine.
        dtype: float32, or float64 for exact comparisons.
    """
    if network.quantisation is not None and not network.quantisation.exponents:
        network = with_grids(network, state)
    if name == "event":
        from spikejoule.engine.event import event_engine

        return event_engine(network, state, settings, dtype)
    from spikejoule.engine.dense import DenseEngine

    return DenseEngine(network, state, settings, device, dtype)


def engine_to_train(
    settings: EngineSettings, network: Network, learning: LearningSettings, seed: int
) -> tuple[Engine, int]:
    """A fresh network in the engine that the settings ask for, and the threads that it
    may use.

    Args:
        settings: engine, device, threads.
        network: layer sizes and neurons.
        learning: loss, gradient and optimizer.
        seed: of the first weights.

    Raises:
        ParameterError: an engine or a device that cannot be had.
    """
    from spikejoule.network.torch_twin import initial_state

    threads = use_threads(settings.threads)
    name = _chosen(settings.engine, settings.device, network)
    device = "cpu" if name == "event" else resolve_device(settings.device)
    if settings.engine == "auto" and name == "dense" and device == "cpu":
        # torch rounds by its threads, and who takes what comes gets the same from any
        # number.
        threads = use_threads(1)
    state = {key: value.numpy() for key, value in initial_state(network, seed).items()}
    return make_engine(name, network, state, learning, device), threads


def run_network(
    state: State, network: Network, events: EventList, engine: str = "auto"
) -> list[EventList]:
    """Run a trained network on the CPU.

    A quantised one runs in integers, but for the dense engine, which rounds in floating
    point.

    Args:
        state: parameters by name.
        network: layer sizes and neurons.
        events: the input spikes.
        engine: ``auto``, ``event`` or ``dense``.

    Returns:
        the spikes of every layer after the input, hidden layers first.
    """
    return make_engine(_chosen(engine, "cpu", network), network, state).run(events)


def resolve_device(device: str) -> str:
    """The dense engine's device, for ``auto``: cuda where torch finds one, else the
    cpu.

    Raises:
        ParameterError: a cuda device is asked for and torch finds none of that number.
    """
    if device == "cpu":
        return device
    import torch

    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if available else "cpu"
    if int(device.partition(":")[2] or 0) >= available:
        raise ParameterError(
            f"device is {device!r}, but torch finds {available} CUDA devices here; "
            "use cpu or auto."
        )
    return device
