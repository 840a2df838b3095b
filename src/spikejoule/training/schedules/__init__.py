"""Schedules of the learning rate, a file each; `train.schedule` chooses one."""

from spikejoule.core.parameters import Kinds
from spikejoule.training.schedule import Schedule

SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
