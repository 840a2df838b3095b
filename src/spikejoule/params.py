"""The whole params.yaml, checked: one clear line for each problem.

Each section is a class of the package that uses it (`training.params`, say), and a
stage reads only its own. The whole file is read where values of several sections must
go together: by the stage `parameters`, which runs first, the command line, tracking,
the search and the presets.
"""

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator

from spikejoule.baselines.settings import BaselineSettings
from spikejoule.compare.params import EnergyReportParams
from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import (
    Line,
    ParameterFile,
    ParameterSection,
    Seed,
    Values,
    not_allowed,
    parsed,
    refused,
)
from spikejoule.core.yaml_files import read_mapping
from spikejoule.data.params import DataParams
from spikejoule.encoding.encoders import ENCODERS
from spikejoule.encoding.params import EncodeParams
from spikejoule.engine.interface import choose_engine
from spikejoule.evaluation.params import EvaluateParams, MeasureInferenceParams
from spikejoule.network.layers import is_plain
from spikejoule.network.params import ModelParams
from spikejoule.network.quantisation import NO_CURRENTS
from spikejoule.training.params import TrainParams
from spikejoule.training.settings import Augmentation

LIMITS = ("energy_report.budget_nj", "energy_report.min_accuracy_percent")
"""Parameters that judge a result without changing it."""

WITHOUT_EFFECT = ("train.resume",)
"""Parameters that change neither results nor reports."""

FOR_IMAGES = tuple(f"train.{name}" for name in Augmentation.model_fields)
"""Parameters that only images allow; they must be 0 for events."""


class PublishParams(ParameterSection):
    """The MLflow experiment of the run."""

    experiment: Line = Field(description="a name of 1 to 500 printable characters")


def problem_of_exit(evaluate: EvaluateParams, model: ModelParams) -> str:
    """Return the line about a rule of early exit that misfits the readout; or empty."""
    if evaluate.early_exit_rule == "lead" or model.readout.is_spiking:
        return ""
    return (
        f"evaluate.early_exit_rule: {evaluate.early_exit_rule!r} is not allowed with "
        f"model.readout {model.readout.value}, which emits no output spikes; allowed: "
        "lead"
    )


def problem_of_network(
    encode: EncodeParams, model: ModelParams, train: TrainParams
) -> str:
    """Return the line about a parameter that misfits the network; else empty."""
    penalty = train.penalty_problem(model.n_layers)
    if penalty:
        return not_allowed("train", penalty, train)
    try:
        engine = choose_engine(
            train.engine, train.device, model.neuron, model.is_integer_chain
        )
    except ParameterError as error:
        return f"train.engine: {shown(train.engine)} is not allowed, since {error}"
    hidden = model.hidden_layers
    plain_layers = len(hidden) if all(map(is_plain, hidden)) else 0
    try:
        train.check_backward(engine, plain_layers)
    except ParameterError as error:
        return f"train.backward: 'sampled' is not allowed; {error}"
    if model.quantisation and encode.encoder.input_products is not None:
        return (
            f"encode.encoding: '{encode.encoding}' is not allowed with "
            f"model.weight_bits {model.weight_bits}: {NO_CURRENTS}"
        )
    return ""


class Params(ParameterFile):
    """The content of params.yaml."""

    seed: Seed
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
    def _sections_fit(self) -> Self:
        problem = problem_of_network(self.encode, self.model, self.train)
        problem = problem or problem_of_exit(self.evaluate, self.model)
        problem = problem or self._problem_of_samples()
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

    def _problem_of_samples(self) -> str:
        """Return the line about a parameter that misfits the samples; else empty."""
        samples = self.data.samples_are
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
        changed = [key for key in FOR_IMAGES if values[key] != 0]
        if not changed:
            return ""
        allowed = ", ".join(f"{key} 0" for key in changed)
        first = changed[0]
        return f"{first}: {shown(values[first])} {source}; allowed: {allowed}"

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
