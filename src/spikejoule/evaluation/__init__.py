"""What a trained network does: spikes and synaptic events by image, accuracies, early
exit.

accuracy    accuracy with its interval: at the end, at every step, and with an early
            exit
evaluation  the metrics of a test set, and their files
inference   running a trained network on spikes, and the files of measured inference
"""

from typing import Literal

ExitRule = Literal["lead", "first_spike"]
"""When a network stops early; see `spikejoule.evaluation.accuracy`."""
