"""Training: every operation and memory access, by epoch, and their energy.

record        what is recorded of a training, of either side
history       the record of epochs, and their energy while training runs
arrays        the arrays of a training, and their memories
step          a step in any dataflow: its sizes, and the forward pass
backward      the backward pass
optimizer     Adam
data          samples
counting      the counts of a training
pricing       their energy, over dataflows, and the ratio of both sides
kinds         their energy by phase and kind of access
"""

from spikejoule.energy.training.counting import count_training
from spikejoule.energy.training.pricing import TrainingEnergy, training_ledger
from spikejoule.energy.training.record import PHASES, TRAINING, TrainingRecord

__all__ = [
    "PHASES",
    "TRAINING",
    "TrainingEnergy",
    "TrainingRecord",
    "count_training",
    "training_ledger",
]
