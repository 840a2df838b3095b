"""The engines that run and train the network: one interface, two independent implementations.

interface  what an engine is: outcomes, the Engine protocol
snapshot   all that the next step of an engine depends on
settings   the parameters that choose one
event      event lists and compiled kernels (the default on a CPU)
dense      the torch network (the reference, and the engine on a GPU)
choice     which of the two a run uses, and why
"""

from spikejoule.engine.choice import choose_engine, engine_to_train, make_engine, run_network
from spikejoule.engine.interface import BatchOutcome, Engine
from spikejoule.engine.settings import EngineSettings

__all__ = [
    "BatchOutcome",
    "Engine",
    "EngineSettings",
    "choose_engine",
    "engine_to_train",
    "make_engine",
    "run_network",
]
