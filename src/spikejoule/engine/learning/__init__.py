"""Trainers: an engine that runs a network, with gradients and an optimizer.

interface        the Trainer protocol, results of a batch, and snapshots
choice           which trainer a training uses, on which device, with how many threads
dense            PyTorch's gradients and Adam: the reference
event            compiled gradients and Adam: the default on a CPU

The event trainer consists of

gradient_set     the interface of its kernels
fully_connected  gradients of fully connected layers
chain            gradients of convolution, pooling and recurrence
optimizer        gradient clipping, Adam, and the grids of quantised networks
sampling         how many deltas travel back between hidden layers
sharing          how threads share the gradient of a batch
kernels          the compiled functions
"""

from spikejoule.engine.learning.choice import chosen_trainer, make_trainer
from spikejoule.engine.learning.interface import BatchOutcome, Trainer

__all__ = ["BatchOutcome", "Trainer", "chosen_trainer", "make_trainer"]
