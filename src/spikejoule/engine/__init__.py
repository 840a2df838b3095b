"""The engines that run and train the network: one interface, two independent implementations.

interface  what an engine is: settings, outcomes, the Engine protocol
event      event lists and compiled kernels (the default on a CPU)
dense      the torch network (the reference, and the engine on a GPU)
choice     which of the two a run uses, and why
"""

from spikejoule.engine.choice import choose_engine, make_engine, resolve_device, run_network
from spikejoule.engine.interface import BatchOutcome, Engine, LearningSettings

__all__ = [
    "BatchOutcome",
    "Engine",
    "LearningSettings",
    "choose_engine",
    "make_engine",
    "resolve_device",
    "run_network",
]
