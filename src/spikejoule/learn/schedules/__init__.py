"""Schedules of the learning rate, a file each; `train.schedule` chooses one."""

from spikejoule.foundation.sections import Kinds
from spikejoule.learn.schedule import Schedule

SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
