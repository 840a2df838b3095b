"""The engines that run and train the network: one interface, two independent implementations.

interface  what an engine is: settings, the Engine protocol, outcomes, and what is kept of one
choice     which of the two a run uses, and why
event      event lists and compiled kernels (the default on a CPU); integers alone
chain      the same with convolution, pooling and recurrence
dense      the torch network (the reference, and the engine on a GPU)
workspace  of the event engine: constants, memory and threads
"""

from spikejoule.engine.choice import engine_to_train, make_engine, run_network
from spikejoule.engine.interface import BatchOutcome, Engine, EngineSettings, choose_engine

__all__ = [
    "BatchOutcome",
    "Engine",
    "EngineSettings",
    "choose_engine",
    "engine_to_train",
    "make_engine",
    "run_network",
]
