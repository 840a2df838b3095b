"""Engines that run a network: one interface, two implementations.

interface        settings, the choice by name, and the Engine protocol
choice           which engine runs a network, on which device, with how many threads
dense            the PyTorch network: the reference, and the engine on a GPU
event            event lists and compiled kernels: the default on a CPU
learning         trainers: engines with gradients and an optimizer
differentiable   the event engine as a function that PyTorch differentiates

The event engine consists of

layout           the place of each parameter in one flat array
fully_connected  kernels of fully connected layers
chain            kernels of convolution, pooling and recurrence
kernel_calls     how Python calls these kernels
quantised        quantised networks in integers
kernels          the compiled functions

Running a network imports and makes nothing of `learning`.
"""

from spikejoule.engine.choice import make_engine, run_network
from spikejoule.engine.interface import Engine, EngineSettings, choose_engine

__all__ = [
    "Engine",
    "EngineSettings",
    "choose_engine",
    "make_engine",
    "run_network",
]
