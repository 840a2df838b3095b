"""The engines that run and train the network: one interface, two independent
implementations.

interface        what an engine is: settings, the Engine protocol, outcomes, and
                 snapshots
choice           which of the two a run uses, and why
dense            the torch network (the reference, and the engine on a GPU)
event            event lists and compiled kernels (the default on a CPU)

The event engine is composed of

layout           where parameters are in a flat array
kernel_set       what it asks of its kernels
fully_connected  the kernels of fully connected layers
chain            the kernels of any chain: convolution, pooling, recurrence
quantised        grids while a quantised network trains, and integers when it runs
optimizer        clipping and Adam
sharing          how a batch is shared out over threads
"""

from spikejoule.engine.choice import engine_to_train, make_engine, run_network
from spikejoule.engine.interface import (
    BatchOutcome,
    Engine,
    EngineSettings,
    choose_engine,
)

__all__ = [
    "BatchOutcome",
    "Engine",
    "EngineSettings",
    "choose_engine",
    "engine_to_train",
    "make_engine",
    "run_network",
]
