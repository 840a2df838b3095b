"""Which engine a run uses, on which device and with how many threads."""

import logging

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import Engine, choose_engine
from spikejoule.network.integers import with_grids
from spikejoule.network.network import Network, State

logger = logging.getLogger(__name__)


def use_threads(count: int) -> int:
    """Let kernels and PyTorch use `count` threads, or all cores for 0.

    Returns:
        the number in force: at most the number of cores, with a warning.
    """
    # Imported here because reading parameters needs neither.
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


def engine_for(name: str, device: str, network: Network) -> str:
    """Return the name of the engine for a network, see `choose_engine`."""
    is_integer_chain = network.quantisation is not None and not network.is_plain
    return choose_engine(name, device, network.neuron.name, is_integer_chain)


def with_fitting_grids(network: Network, state: State) -> Network:
    """Give a quantised network without grids those that fit its weights."""
    quantisation = network.quantisation
    if quantisation is None or quantisation.exponents:
        return network
    return with_grids(network, state)


def make_engine(
    name: str, network: Network, state: State, dtype: DTypeLike = np.float32
) -> Engine:
    """Make an engine that runs on the CPU. Only its own libraries are imported.

    Args:
        name: ``event`` or ``dense``, from :func:`choose_engine`.
        network: layers and neurons; a quantised network without grids gets those that
            fit its weights.
        state: parameters by name.
        dtype: float32, or float64 for exact comparisons.
    """
    network = with_fitting_grids(network, state)
    if name == "event":
        from spikejoule.engine.event import EventEngine

        return EventEngine(network, state, dtype)
    from spikejoule.engine.dense import DenseEngine

    return DenseEngine(network, state, dtype=dtype)


def run_network(
    state: State, network: Network, events: EventList, engine: str = "auto"
) -> list[EventList]:
    """Run a trained network on the CPU.

    A quantised network runs in integers, except in the dense engine, which rounds
    floating-point numbers to the grids.

    Args:
        state: parameters by name.
        network: layers and neurons.
        events: the input spikes.
        engine: ``auto``, ``event`` or ``dense``.

    Returns:
        the spikes of every layer after the input, the output last.
    """
    return make_engine(engine_for(engine, "cpu", network), network, state).run(events)


def resolve_device(device: str) -> str:
    """Return the dense engine's device: for ``auto``, CUDA where PyTorch finds it.

    Raises:
        ParameterError: PyTorch finds no CUDA device with the number asked for.
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
