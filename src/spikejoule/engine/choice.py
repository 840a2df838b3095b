"""Which engine a run uses, and why."""

from spikejoule.engine.interface import Engine, LearningSettings, State
from spikejoule.foundation.errors import ParameterError
from spikejoule.model.architecture import Architecture
from spikejoule.spikes.events import EventList

ENGINES = ("auto", "event", "dense")

CROSSOVER_DENSITY = 1.0
"""Share of ones among the input bits above which `auto` takes the dense engine on a CPU.

`benchmarks.growth` (metrics/growth.csv) raised it to 1, every input firing in every step, and the
event engine was still the faster one for 784-400-10. So there is no crossover yet; the rule stays
for the day when a faster dense engine makes one.
"""


def choose_engine(name: str, device: str, density: float) -> str:
    """``event`` or ``dense``, for ``auto`` by the device and the density of the input spikes.

    Args:
        name: ``auto``, ``event`` or ``dense``.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        density: expected share of ones among the input bits.

    Raises:
        ParameterError: an unknown name, or the event engine asked for on another device.
    """
    if name not in ENGINES:
        raise ParameterError(f"engine is {name!r}; allowed are {', '.join(ENGINES)}")
    if name == "event" and device != "cpu":
        raise ParameterError(f"engine event runs on the CPU alone; device is {device}")
    if name != "auto":
        return name
    return "event" if device == "cpu" and density <= CROSSOVER_DENSITY else "dense"


def make_engine(
    name: str,
    architecture: Architecture,
    state: State,
    settings: LearningSettings | None = None,
    device: str = "cpu",
) -> Engine:
    """The engine of a name that :func:`choose_engine` returned; imports only what it needs."""
    if name == "event":
        from spikejoule.engine.event import EventEngine

        return EventEngine(architecture, state, settings)
    from spikejoule.engine.dense import DenseEngine

    return DenseEngine(architecture, state, settings, device)


def run_network(
    state: State, architecture: Architecture, events: EventList, engine: str = "auto"
) -> list[EventList]:
    """Run a trained network on the CPU.

    Args:
        state: parameters by name.
        architecture: layer sizes and neuron constants.
        events: the input spikes.
        engine: ``auto``, ``event`` or ``dense``.

    Returns:
        the spikes of every layer after the input, hidden layers first.
    """
    chosen = choose_engine(engine, "cpu", events.density)
    return make_engine(chosen, architecture, state).run(events)


def resolve_device(device: str) -> str:
    """The device that ``auto`` stands for: cuda where torch finds one, else the cpu.

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
            f"device is {device!r}, but torch finds {available} CUDA devices here; use cpu or auto."
        )
    return device
