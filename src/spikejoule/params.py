"""Typed sections of params.yaml: an unknown key or a value out of its range is a clear error.

To add a parameter, add one line to its section here and one, with a comment, to params.yaml. What
is allowed is stated once, in `Field`: messages derive the words from the bounds, or take the
`description` where bounds do not say it. No field has a default: params.yaml holds the defaults.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from spikejoule.foundation.errors import ParameterError
from spikejoule.foundation.parameter_problems import (
    ADDENDUM,
    WHOLE_LINE,
    names_of,
    problem_lines,
    shown,
)
from spikejoule.foundation.yaml_files import read_yaml

Scalar = str | int | float | None


def _exact(value: object) -> object:
    # A number is recorded as it is written: one that no float equals would not be the one used.
    if isinstance(value, int) and abs(value) > 2**53:
        raise PydanticCustomError(ADDENDUM, ", and written with an exponent beyond 2**53")
    return value


def _tuple_of_sizes(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) else value


# One line of printable text: of control characters and separators of lines, none.
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Real = Annotated[float, BeforeValidator(_exact)]
LayerSizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65535)], ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_tuple_of_sizes),
]


class Section(BaseModel):
    """A section of params.yaml: immutable, without implicit conversions, NaN or unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataParams(Section):
    """Which images, and how they are split."""

    source: Text = Field(description="auto, mnist, mnist5k or a directory")
    validation_size: Real = Field(ge=0, le=0.5)


class EncodeParams(Section):
    """The Poisson rate code: `time_window` steps of 1 ms, `max_rate` in Hz for a white pixel."""

    time_window: int = Field(ge=1, le=10_000)
    max_rate: Real = Field(gt=0, le=1000)


class ModelParams(Section):
    """The network of leaky integrate-and-fire neurons between the pixels and the classes."""

    hidden: LayerSizes = Field(
        description="a whole number from 1 to 65535, or a list of 1 to 8 of them"
    )
    threshold: Real = Field(ge=1e-30, le=1e30)
    decay: Real = Field(ge=0, le=1)


class TrainParams(Section):
    """How the network learns."""

    engine: Literal["auto", "event", "dense"]
    device: str = Field(
        pattern="^(auto|cpu|cuda(:[0-9]+)?)$", description="auto, cpu, cuda, cuda:N"
    )
    threads: int = Field(ge=0, le=1024)
    batch_size: int = Field(ge=1, le=65_536)
    max_epochs: int = Field(ge=1, le=100_000)
    lr: Real = Field(gt=0, le=10)
    weight_decay: Real = Field(ge=0, le=1)
    grad_clip_norm: Real = Field(ge=0)
    schedule: Literal["one_cycle", "plateau", "cosine", "constant"]
    plateau_factor: Real = Field(gt=0, lt=1)
    plateau_patience: int = Field(ge=0)
    warmup_fraction: Real = Field(gt=0, lt=1)
    patience: int = Field(ge=0)
    target_accuracy: Real | None = Field(gt=0, le=100)
    surrogate: Literal[
        "constant", "arctangent", "fast_sigmoid", "sigmoid", "triangle", "boxcar", "gaussian"
    ]
    surrogate_slope: Real | None = Field(gt=0)
    logit_scale: Real = Field(gt=0)
    label_smoothing: Real = Field(ge=0, lt=1)
    shift_pixels: int = Field(ge=0, le=10)
    rotate_degrees: Real = Field(ge=0, le=180)
    scale_fraction: Real = Field(ge=0, lt=1)
    shear_degrees: Real = Field(ge=0, lt=90)
    pruned_fraction: Real = Field(ge=0, lt=1)
    prune_start: Real = Field(ge=0, lt=1)
    prune_end: Real = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _engine_fits_device(self) -> Self:
        if self.engine == "event" and self.device.startswith("cuda"):
            raise PydanticCustomError(
                WHOLE_LINE,
                "train.engine: 'event' runs on the CPU alone, but train.device is '{device}'; "
                "allowed: engine auto or dense with this device, or device auto or cpu",
                {"device": self.device},
            )
        return self

    @model_validator(mode="after")
    def _pruning_ends_after_its_start(self) -> Self:
        if self.prune_start >= self.prune_end:
            raise PydanticCustomError(
                WHOLE_LINE,
                "train.prune_end: {end} is not allowed; allowed: more than train.prune_start, "
                "which is {start}",
                {"end": self.prune_end, "start": self.prune_start},
            )
        return self


class MeasureInferenceParams(Section):
    """How many test images the spike counts are taken from."""

    n_samples: int = Field(ge=1)


class EvaluateParams(Section):
    """How the test accuracy is stated, and what stopping early may cost."""

    confidence: Real = Field(ge=1e-6, le=0.999999)
    early_exit_tolerance_percent: Real = Field(ge=0, le=100)


class BaselineParams(Section):
    """How the ReLU network learns; what is not said here is as in `train`."""

    max_epochs: int | None = Field(ge=1, le=100_000)
    lr: Real = Field(gt=0, le=10)
    weight_decay: Real = Field(ge=0, le=1)
    label_smoothing: Real = Field(ge=0, lt=1)
    weight_bits: int = Field(ge=2, le=16)


class EnergyReportParams(Section):
    """Which prices stand in the headline, and what the report shows."""

    profile: Text = Field(description="the id of a hardware profile")
    bootstrap_samples: int = Field(ge=100, le=100_000)
    figure_sample: int = Field(ge=0)


class PublishParams(Section):
    """Where the run is tracked."""

    experiment: Text = Field(description="a name of 1 to 500 printable characters")


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**32)
    data: DataParams
    encode: EncodeParams
    model: ModelParams
    train: TrainParams
    measure_inference: MeasureInferenceParams
    evaluate: EvaluateParams
    baseline: BaselineParams
    energy_report: EnergyReportParams
    publish: PublishParams

    @model_validator(mode="after")
    def _figure_shows_a_measured_image(self) -> Self:
        measured = self.measure_inference.n_samples
        if self.energy_report.figure_sample >= measured:
            raise PydanticCustomError(
                WHOLE_LINE,
                "energy_report.figure_sample: {sample} is not allowed; allowed: below "
                "measure_inference.n_samples, which is {measured}",
                {"sample": self.energy_report.figure_sample, "measured": measured},
            )
        return self

    def flattened(self) -> dict[str, Scalar | list[int]]:
        """Every parameter under its full key (`train.lr`), as a plain YAML value."""
        flat: dict[str, Scalar | list[int]] = {}
        for name, value in self.model_dump(mode="json").items():
            if isinstance(value, dict):
                flat.update({f"{name}.{key}": inner for key, inner in value.items()})
            else:
                flat[name] = value
        return flat


def load_params(path: str | os.PathLike[str]) -> Params:
    """Read and check a params.yaml; raises ParameterError with one line for each problem."""
    content = read_yaml(path, ParameterError)
    if content is None:
        raise ParameterError(f"{path} is empty, but must hold the sections {names_of(Params)}.")
    if not isinstance(content, dict):
        raise ParameterError(
            f"{path} must hold sections of keys and values, but holds {shown(content)}."
        )
    return parse_params(content)


def parse_params(mapping: Mapping[str, Any]) -> Params:
    """Check the content of a params.yaml; raises ParameterError with one line for each problem."""
    try:
        return Params.model_validate(dict(mapping))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise ParameterError("\n".join(problem_lines(problems, mapping, Params))) from error
