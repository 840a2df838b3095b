"""Engines that train and run a network: one interface, two implementations.

interface        settings, the Engine protocol, results of a batch, and snapshots
choice           which engine a run uses, on which device and with how many threads
dense            the PyTorch network: the reference, and the engine on a GPU
event            event lists and compiled kernels: the default on a CPU

The event engine consists of

layout           the place of each parameter in one flat array
kernel_set       the interface of its kernels
fully_connected  kernels of fully connected layers
chain            kernels of convolution, pooling and recurrence
quantised        grids while a quantised network trains, integers when it runs
optimizer        gradient clipping and Adam
sharing          how threads share the gradient of a batch
kernels          the compiled functions
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
