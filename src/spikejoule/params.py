"""The content of params.yaml, checked: one clear line for each problem.

Each section is a class of the package that uses it. To add a parameter, add a line to
its class and one, with a comment, to params.yaml, which holds every key: the defaults
of classes are for code.
"""

import math
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from spikejoule.baselines.settings import BaselineSettings
from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import (
    Line,
    ParameterSection,
    Real,
    chooses,
    flat,
    parsed,
    refused,
)
from spikejoule.core.yaml_files import read_mapping
from spikejoule.data.source import Source
from spikejoule.data.sources import SOURCES
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.engine.interface import EngineSettings, choose_engine
from spikejoule.evaluation import ExitRule
from spikejoule.network.layers import (
    ALLOWED,
    DenseLayer,
    HiddenLayer,
    is_plain,
    layers_of,
    neuron_layers,
)
from spikejoule.network.network import Network
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons import NEURONS
from spikejoule.network.quantisation import (
    NO_CURRENTS,
    WidthSettings,
    unfit_for_integers,
)
from spikejoule.training import Augmentation, TrainingSettings

Value = str | int | float | list[int] | list[float] | list[str] | None
Values = dict[str, Value]

LIMITS = ("energy_report.budget_nj", "energy_report.min_accuracy_percent")
"""Parameters that judge a result without changing it."""

WITHOUT_EFFECT = ("train.resume",)
"""Parameters that change neither results nor reports."""

NOT_FOR_EVENTS: Mapping[str, int] = {
    **{f"train.{name}": 0 for name in Augmentation.model_fields},
}
"""Parameters for images only, by full key, with the value that events need."""


def _tuple_of_sizes(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, int) else value


def _layers_of_words(value: object) -> object:
    """Parse hidden layers from words; in YAML ``400`` is a number."""
    if not isinstance(value, list | tuple):
        return value
    words = [str(word) if type(word) is int else word for word in value]
    if not all(isinstance(word, str) for word in words):
        raise ValueError("words are needed")
    try:
        return layers_of(words)
    except ParameterError as error:
        line = f"model.layers: {shown(value)} is not allowed, since {error}"
        raise refused(line) from error


def _words_of_layers(layers: tuple[HiddenLayer, ...] | None) -> list[str] | None:
    return None if layers is None else [str(layer) for layer in layers]


def _not_allowed(name: str, problem: tuple[str, str], section: ParameterSection) -> str:
    """Write the line for a problem of the section `name`: a key, and what is allowed.

    The value is the one in the section.
    """
    key, allowed = problem
    value = shown(section.model_dump(mode="json")[key])
    return f"{name}.{key}: {value} is not allowed; allowed: {allowed}"


LayerSizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65535)], ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_tuple_of_sizes),
]


@chooses(SOURCES)
class DataParams(ParameterSection):
    """Which samples, and how they are split."""

    source: Line = Field(description=f"{', '.join(SOURCES)} or a directory")
    validation_size: Real = Field(ge=0, le=0.5)

    @property
    def chosen_source(self) -> Source | str:
        """The source with its parameters, or the path to a directory."""
        return SOURCES.chosen_in(self) if self.source in SOURCES else self.source

    @model_validator(mode="after")
    def _files_are_read(self) -> Self:
        if "files" in SOURCES.idle_in(self) and self.model_dump()["files"] is not None:
            allowed = f"null with data.source {self.source}, or data.source events"
            raise refused(_not_allowed("data", ("files", allowed), self))
        return self


@chooses(ENCODERS)
class EncodeParams(ParameterSection):
    """How images become spikes: an encoding and its parameters."""

    encoding: str
    time_window: int
    window_ms: float

    @property
    def encoder(self) -> Encoder:
        """The encoding with its parameters."""
        return ENCODERS.chosen_in(self)


@chooses(NEURONS)
class ModelParams(WidthSettings):
    """The spiking network.

    Attributes:
        hidden: sizes of the fully connected hidden layers, also for the conventional
            network of equal size.
        layers: hidden layers of any kind, which replace `hidden` in the spiking
            network; None for `hidden`. Files have them in words
            (:mod:`spikejoule.network.layers`), which are parsed here only.
    """

    hidden: LayerSizes = Field(
        description="a whole number from 1 to 65535, or a list of 1 to 8 of them"
    )
    layers: Annotated[
        tuple[HiddenLayer, ...] | None,
        BeforeValidator(_layers_of_words),
        PlainSerializer(_words_of_layers),
    ] = Field(default=None, description=f"null, or a list of {ALLOWED}")
    neuron: str

    @cached_property
    def hidden_layers(self) -> tuple[HiddenLayer, ...]:
        """The hidden layers of the spiking network."""
        if self.layers is None:
            return tuple(DenseLayer(n_units) for n_units in self.hidden)
        return self.layers

    @property
    def is_integer_chain(self) -> bool:
        """Whether layers that are not fully connected have integer weights."""
        return self.quantisation is not None and not all(
            map(is_plain, self.hidden_layers)
        )

    def shape_of(self, samples: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape in which the spiking network reads samples.

        It is flat for fully connected layers, else (channels, height, width) or the
        samples' own shape.
        """
        if all(isinstance(layer, DenseLayer) for layer in self.hidden_layers):
            return (math.prod(samples),)
        return (1, *samples) if len(samples) == 2 else samples

    def network_of(self, samples: tuple[int, ...], n_classes: int) -> Network:
        """Build the network for samples of a shape; ParameterError if one misfits."""
        return Network.of_chain(
            self.shape_of(samples),
            self.hidden_layers,
            n_classes,
            self.chosen_neuron,
            self.quantisation,
        )

    @property
    def n_layers(self) -> int:
        """Number of layers of neurons after the input."""
        return neuron_layers(self.hidden_layers) + 1

    @property
    def chosen_neuron(self) -> Neuron:
        """The neuron with its parameters."""
        return NEURONS.chosen_in(self)

    @model_validator(mode="after")
    def _neuron_fits(self) -> Self:
        unfit = self.quantisation and unfit_for_integers(
            self.chosen_neuron, self.hidden_layers
        )
        if unfit:
            raise refused(unfit)
        problem = self.chosen_neuron.problem(self.n_layers)
        if problem:
            raise refused(_not_allowed("model", problem, self))
        return self


class TrainParams(TrainingSettings, EngineSettings):
    """How the network is trained, and on which device.

    Attributes:
        resume: whether training, also of the ReLU networks, resumes from its last
            finished epoch after a kill. It does not change results.
    """

    resume: bool = True


class MeasureInferenceParams(ParameterSection):
    """How many test images the spikes are counted on; None for all."""

    n_samples: int | None = Field(ge=1)


class EvaluateParams(ParameterSection):
    """The interval of the test accuracy, and what early exit may cost."""

    confidence: Real = Field(ge=1e-6, le=0.999999)
    early_exit_rule: ExitRule
    early_exit_tolerance_percent: Real = Field(ge=0, le=100)


class EnergyReportParams(ParameterSection):
    """Price lists of the headline, what the report shows, and limits for a run."""

    profile: Line = Field(description="the id of a price list")
    arithmetic_profile: Line = Field(description="the id of a price list")
    bootstrap_samples: int = Field(ge=100, le=100_000)
    figure_sample: int = Field(ge=0)
    budget_nj: Real | None = Field(gt=0)
    min_accuracy_percent: Real | None = Field(ge=0, le=100)


class PublishParams(ParameterSection):
    """The MLflow experiment of the run."""

    experiment: Line = Field(description="a name of 1 to 500 printable characters")


class Params(ParameterSection):
    """The content of params.yaml."""

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

    @property
    def samples_are(self) -> Literal["images", "events"]:
        """Kind of the samples; a directory holds images."""
        source = self.data.chosen_source
        return source.gives if isinstance(source, Source) else "images"

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        problem = self._problem_of_network() or self._problem_of_samples()
        if problem:
            raise refused(problem)
        measured = self.measure_inference.n_samples
        sample = self.energy_report.figure_sample
        if measured is not None and sample >= measured:
            raise refused(
                f"energy_report.figure_sample: {sample} is not allowed; allowed: below "
                f"measure_inference.n_samples, which is {measured}"
            )
        return self

    def _problem_of_network(self) -> str:
        """Return the line about a parameter that misfits the network; else empty."""
        train = self.train
        penalty = train.penalty_problem(self.model.n_layers)
        if penalty:
            return _not_allowed("train", penalty, train)
        try:
            engine = choose_engine(
                train.engine,
                train.device,
                self.model.neuron,
                self.model.is_integer_chain,
            )
        except ParameterError as error:
            return f"train.engine: {shown(train.engine)} is not allowed, since {error}"
        hidden = self.model.hidden_layers
        plain_layers = len(hidden) if all(map(is_plain, hidden)) else 0
        try:
            train.check_backward(engine, plain_layers)
        except ParameterError as error:
            return f"train.backward: 'sampled' is not allowed; {error}"
        if self.model.quantisation and self.encode.encoder.input_products is not None:
            return (
                f"encode.encoding: '{self.encode.encoding}' is not allowed with "
                f"model.weight_bits {self.model.weight_bits}: {NO_CURRENTS}"
            )
        return ""

    def _problem_of_samples(self) -> str:
        """Return the line about a parameter that misfits the samples; else empty."""
        samples = self.samples_are
        source = (
            f"is not allowed with data.source {self.data.source}, whose "
            f"samples are {samples}"
        )
        if self.encode.encoder.takes != samples:
            suitable = [
                name for name, kind in ENCODERS.items() if kind.takes == samples
            ]
            return (
                f"encode.encoding: '{self.encode.encoding}' {source}; "
                f"allowed: {', '.join(suitable)}"
            )
        if samples == "images":
            return ""
        values = self.flattened()
        changed = [
            key for key, needed in NOT_FOR_EVENTS.items() if values[key] != needed
        ]
        if not changed:
            return ""
        allowed = ", ".join(f"{key} {NOT_FOR_EVENTS[key]}" for key in changed)
        first = changed[0]
        return f"{first}: {shown(values[first])} {source}; allowed: {allowed}"

    def flattened(self) -> Values:
        """Return every parameter by its full key (`train.lr`), as plain YAML values."""
        return flat(self.model_dump(mode="json"))

    def deciding(self) -> Values:
        """Return the parameters that identify a result.

        Left out are parameters of kinds that were not chosen, limits, and parameters
        without effect on results.
        """
        values = self.flattened()
        for key in (*LIMITS, *WITHOUT_EFFECT):
            del values[key]
        for name in type(self).model_fields:
            section = getattr(self, name)
            if isinstance(section, ParameterSection):
                for kinds in section.choices():
                    for key in kinds.idle_in(section):
                        del values[f"{name}.{key}"]
        return values


def load_params(path: str | os.PathLike[str]) -> Params:
    """Read and check a params.yaml; ParameterError with one line for each problem."""
    return parse_params(read_mapping(path, ParameterError))


def parse_params(content: Mapping[str, Any]) -> Params:
    """Check the content of a params.yaml, as `load_params` does."""
    return parsed(content, Params)
