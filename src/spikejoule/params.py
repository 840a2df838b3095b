"""The whole of params.yaml: an unknown key or a value out of its range is a clear error.

Each section is a class of the room that uses it. To add a parameter, add one line to its class and
one, with a comment, to params.yaml, which holds every key: what a class has as a default is for
those who make one in code.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from spikejoule.data.source import Source
from spikejoule.data.sources import SOURCES
from spikejoule.engine.settings import EngineSettings
from spikejoule.foundation.errors import ParameterError
from spikejoule.foundation.parameter_problems import (
    WHOLE_LINE,
    names_of,
    problem_lines,
    shown,
)
from spikejoule.foundation.sections import Line, Real, Section, chooses
from spikejoule.foundation.yaml_files import read_yaml
from spikejoule.learn.settings import TrainingSettings
from spikejoule.measure.settings import ExitRule
from spikejoule.model.neuron import Neuron
from spikejoule.model.neurons import NEURONS
from spikejoule.model.quantisation import NO_CURRENTS, WidthSettings, unfit_for_integers
from spikejoule.rival.settings import BaselineSettings
from spikejoule.spikes.encoder import Encoder
from spikejoule.spikes.encoders import ENCODERS

Scalar = str | int | float | None
Values = dict[str, Scalar | list[int] | list[float]]

EARLIER: Mapping[str, Scalar] = {
    "encode.code": "poisson",
    "model.neuron": "lif",
    "train.distillation": 0.0,
    "train.spike_penalty": 0.0,
    "train.spike_target": 0.0,
    "train.event_penalty": 0.0,
    "train.event_target": 0.0,
    "train.average_epochs": 0,
    "train.prune_by": "magnitude",
    "model.reset": "zero",
    "model.bias": True,
    "evaluate.early_exit_rule": "lead",
    "model.weight_bits": 32,
    "model.state_bits": 32,
    "model.learned": "none",
}
"""Keys that came after the first results, each with what those were made with."""

_ALWAYS_PART = ("train.plateau_factor", "train.plateau_patience", "train.warmup_fraction")
"""Parameters of schedules that belong to every result, from before choices had their own."""


def _tuple_of_sizes(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) else value


LayerSizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65535)], ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_tuple_of_sizes),
]


@chooses(SOURCES)
class DataParams(Section):
    """Which images, and how they are split."""

    source: Line = Field(description=f"{', '.join(SOURCES)} or a directory")
    validation_size: Real = Field(ge=0, le=0.5)

    @property
    def chosen_source(self) -> Source | str:
        """The source with its parameters, or the path of a directory."""
        return SOURCES.chosen_in(self) if self.source in SOURCES else self.source


@chooses(ENCODERS)
class EncodeParams(Section):
    """How images become spikes: a code and its parameters."""

    code: str
    time_window: int

    @property
    def encoder(self) -> Encoder:
        """The code with its parameters."""
        return ENCODERS.chosen_in(self)


@chooses(NEURONS)
class ModelParams(WidthSettings):
    """The network of spiking neurons between the pixels and the classes."""

    hidden: LayerSizes = Field(
        description="a whole number from 1 to 65535, or a list of 1 to 8 of them"
    )
    neuron: str

    @property
    def chosen_neuron(self) -> Neuron:
        """The neuron with its parameters."""
        return NEURONS.chosen_in(self)

    @model_validator(mode="after")
    def _neuron_fits_the_widths(self) -> Self:
        problem = self.quantisation and unfit_for_integers(self.chosen_neuron)
        if problem:
            raise PydanticCustomError(WHOLE_LINE, "{problem}", {"problem": problem})
        return self

    @model_validator(mode="after")
    def _neuron_fits_the_layers(self) -> Self:
        problem = self.chosen_neuron.problem(len(self.hidden) + 1)
        if problem:
            name, allowed = problem
            value = shown(self.model_dump(mode="json")[name])
            raise PydanticCustomError(
                WHOLE_LINE,
                "model.{name}: {value} is not allowed; allowed: {allowed}",
                {"name": name, "value": value, "allowed": allowed},
            )
        return self


class TrainParams(TrainingSettings, EngineSettings):
    """How the network learns, and on what."""


class MeasureInferenceParams(Section):
    """How many test images the spike counts are taken from."""

    n_samples: int = Field(ge=1)


class EvaluateParams(Section):
    """How the test accuracy is stated, and what stopping early may cost."""

    confidence: Real = Field(ge=1e-6, le=0.999999)
    early_exit_rule: ExitRule
    early_exit_tolerance_percent: Real = Field(ge=0, le=100)


class EnergyReportParams(Section):
    """Which prices stand in the headline, and what the report shows."""

    profile: Line = Field(description="the id of a hardware profile")
    bootstrap_samples: int = Field(ge=100, le=100_000)
    figure_sample: int = Field(ge=0)


class PublishParams(Section):
    """Where the run is tracked."""

    experiment: Line = Field(description="a name of 1 to 500 printable characters")


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**32)
    data: DataParams
    encode: EncodeParams
    model: ModelParams
    train: TrainParams
    measure_inference: MeasureInferenceParams
    evaluate: EvaluateParams
    baseline: BaselineSettings
    energy_report: EnergyReportParams
    publish: PublishParams

    @model_validator(mode="after")
    def _integers_add_spikes(self) -> Self:
        if self.model.quantisation and self.encode.encoder.input_products is not None:
            raise PydanticCustomError(
                WHOLE_LINE,
                "encode.code: '{code}' is not allowed with model.weight_bits {bits}: {problem}",
                {
                    "code": self.encode.code,
                    "bits": self.model.weight_bits,
                    "problem": NO_CURRENTS,
                },
            )
        return self

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

    def flattened(self) -> Values:
        """Every parameter under its full key (`train.lr`), as a plain YAML value."""
        flat: Values = {}
        for name, value in self.model_dump(mode="json").items():
            if isinstance(value, dict):
                flat.update({f"{name}.{key}": inner for key, inner in value.items()})
            else:
                flat[name] = value
        return flat

    def deciding(self) -> Values:
        """The parameters by which a result is known, as those of before `EARLIER` were.

        Without those of kinds that were not chosen: they decide nothing.
        """
        idle = {
            f"{name}.{key}"
            for name in type(self).model_fields
            if isinstance(section := getattr(self, name), Section)
            for kinds in section.choices()
            for key in kinds.idle_in(section)
        }
        return {
            key: value
            for key, value in self.flattened().items()
            if (key not in idle or key in _ALWAYS_PART)
            and not (key in EARLIER and EARLIER[key] == value)
        }


def load_params(path: str | os.PathLike[str], of_a_result: bool = False) -> Params:
    """Read and check a params.yaml; raises ParameterError with one line for each problem.

    One that belongs to a result may be from before the keys of `EARLIER`.
    """
    content = read_yaml(path, ParameterError)
    if content is None:
        raise ParameterError(f"{path} is empty, but must hold the sections {names_of(Params)}.")
    if not isinstance(content, dict):
        raise ParameterError(
            f"{path} must hold sections of keys and values, but holds {shown(content)}."
        )
    return parse_params(_with_earlier(content) if of_a_result else content)


def _with_earlier(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a params.yaml, with what keys that came later stand for."""
    filled = dict(content)
    for name, section in _sections():
        if isinstance(filled.get(name), Mapping):
            defaults = {
                key: EARLIER.get(f"{name}.{key}", field.default)
                for key, field in section.model_fields.items()
                if f"{name}.{key}" in EARLIER or not field.is_required()
            }
            filled[name] = {**defaults, **filled[name]}
    return filled


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Params.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def parse_params(mapping: Mapping[str, Any]) -> Params:
    """Check the content of a params.yaml; raises ParameterError with one line for each problem."""
    problems = _unwritten(mapping)
    try:
        params = Params.model_validate(dict(mapping))
    except ValidationError as error:
        # A key that is missing is told already, with what to write.
        problems += [
            problem
            for problem in error.errors(include_url=False)
            if problem["type"] != "missing" or len(problem["loc"]) == 1
        ]
    if problems:
        raise ParameterError("\n".join(problem_lines(problems, mapping, Params)))
    return params


def _unwritten(mapping: Mapping[str, Any]) -> list[ErrorDetails]:
    """The keys that are missing, whether their classes have defaults or not."""
    return [
        _missing(name, key, written)
        for name, section in _sections()
        if isinstance(written := mapping.get(name), Mapping)
        for key in section.model_fields
        if key not in written
    ]


def _missing(section: str, key: str, written: Mapping[str, Any]) -> ErrorDetails:
    value = EARLIER.get(f"{section}.{key}")
    if value is None:
        return ErrorDetails(type="missing", loc=(section, key), msg="", input=written)
    text = value if isinstance(value, str) else shown(value)
    line = f"{section}.{key}: is missing; add `{key}: {text}`, which is what there was before"
    return ErrorDetails(type=WHOLE_LINE, loc=(section, key), msg=line, input=written)
