"""Training: every operation and memory access, by epoch, and their energy.

record        what is recorded of a training
history       the record of epochs, and their energy while training runs
arrays        the arrays of a training step, and their memories
products      dense products through a connection, forward and back
step          what all variants of a step have in common
step_event    the event-driven step
step_dense    the dense step
optimizer     Adam
data          reading, augmenting and encoding the samples
counting      the counts of a training
conventional  the counts of training a conventional network
pricing       their energy, per epoch and against conventional networks
kinds         their energy by phase and kind of access
"""

from spikejoule.energy.training.conventional import count_conventional_training
from spikejoule.energy.training.counting import count_training
from spikejoule.energy.training.pricing import TrainingEnergy, training_ledger
from spikejoule.energy.training.record import PHASES, TRAINING, TrainingRecord

__all__ = [
    "PHASES",
    "TRAINING",
    "TrainingEnergy",
    "TrainingRecord",
    "count_conventional_training",
    "count_training",
    "training_ledger",
]
