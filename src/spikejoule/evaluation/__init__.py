"""Evaluating a trained network: measured spikes, accuracies, early exit.

accuracy    accuracy with its interval
early_exit  answers before the end of the window, and early exit
evaluation  the metrics of a test set, and their files
params      the sections `measure_inference` and `evaluate` of params.yaml
inference   running a trained network on spikes, and the files of measured inference
runs        ways of running a network, counted, and their file
"""

from typing import Literal

ExitRule = Literal["lead", "first_spike"]
"""When a network stops early; see `spikejoule.evaluation.early_exit`."""
