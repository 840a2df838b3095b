"""The sections `measure_inference` and `evaluate` of params.yaml."""

from pydantic import Field

from spikejoule.core.parameters import ParameterSection, Real
from spikejoule.evaluation import ExitRule


class MeasureInferenceParams(ParameterSection):
    """How many test images the spikes are counted on; None for all."""

    n_samples: int | None = Field(ge=1)


class EvaluateParams(ParameterSection):
    """The interval of the test accuracy, and what early exit may cost."""

    confidence: Real = Field(ge=1e-6, le=0.999999)
    early_exit_rule: ExitRule
    early_exit_tolerance_percent: Real = Field(ge=0, le=100)
