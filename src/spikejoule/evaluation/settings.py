"""What params.yaml may say of how a test set is read."""

from typing import Literal

ExitRule = Literal["lead", "first_spike"]
"""When a network answers early; see `spikejoule.evaluation.early_exit`."""
