"""Training: every operation and memory access, by epoch, and their energy.

record      what is recorded of a training
arrays      the arrays of a training step, and their memories
step        what all variants have in common
step_event  the event-driven step
optimizer   Adam
data        samples and a teacher's answers
counting    the counts of a training
pricing     their energy
"""

from spikejoule.energy.training.counting import count_training
from spikejoule.energy.training.pricing import TrainingEnergy, training_energy
from spikejoule.energy.training.record import PHASES, TRAINING, TrainingRecord

__all__ = [
    "PHASES",
    "TRAINING",
    "TrainingEnergy",
    "TrainingRecord",
    "count_training",
    "training_energy",
]
