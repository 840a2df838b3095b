"""What the attributes of a trial in the study hold, and how its run in MLflow ends."""

from dataclasses import asdict
from typing import Final

from spikejoule.search.trial import TrialResult
from spikejoule.tracking.search_runs import EndedTrial

RESULT: Final = "result"
"""Attribute of a trial: the fields of its `TrialResult`."""

PARAMETERS: Final = "parameters"
"""Attribute of a trial: what was drawn, by full key, as it was used."""

CURVE: Final = "curve"
"""Attribute of a trial: its `Curve` as text."""

STOPPED_TAG: Final = "spikejoule.stopped"
"""Tag of a run whose trial ended early: in words why."""


def ended_trial(result: TrialResult) -> EndedTrial:
    """A trial that was trained to its end, as its run has it."""
    values = {name: value for name, value in asdict(result).items() if value is not None}
    digest = str(values.pop("trained_sha256"))
    metrics = {name: float(value) for name, value in values.items()}
    return EndedTrial("FINISHED", metrics, {"spikejoule.trained_sha256": digest})
