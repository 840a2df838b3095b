"""The section `energy_report` of params.yaml."""

from pydantic import Field

from spikejoule.core.parameters import Line, ParameterSection, Real


class EnergyReportParams(ParameterSection):
    """Price lists of the headline, what the report shows, and limits for a run."""

    profile: Line = Field(description="the id of a price list")
    arithmetic_profile: Line = Field(description="the id of a price list")
    bootstrap_samples: int = Field(ge=100, le=100_000)
    figure_sample: int = Field(ge=0)
    budget_nj: Real | None = Field(gt=0)
    min_accuracy_percent: Real | None = Field(ge=0, le=100)
