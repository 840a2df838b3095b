"""The arguments of the estimator, checked as params.yaml is."""

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from pydantic import Field, model_validator

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameters import (
    ParameterFile,
    ParameterSection,
    Real,
    Seed,
    parsed,
    refused,
)
from spikejoule.encoding.params import EncodeParams
from spikejoule.network.params import ModelParams
from spikejoule.params import FOR_IMAGES, problem_of_network
from spikejoule.training.params import TrainParams

SECTIONS: Final[dict[str, type[ParameterSection]]] = {
    "encode": EncodeParams,
    "model": ModelParams,
    "train": TrainParams,
}
"""The sections of params.yaml that the estimator reads."""

_ARGUMENTS: Final = {
    "encode": ("encoding", "time_window", "max_rate"),
    "model": ("hidden", "layers", "threshold", "decay", "weight_bits"),
    "train": ("max_epochs", "batch_size", "lr", "spike_penalty"),
}
"""Keys of these sections that are arguments of the estimator."""

_OWN_ARGUMENTS: Final = ("validation_size", "value_range", "image_shape")

_PIPELINE_VALUES: Final[dict[str, dict[str, Any]]] = {
    "encode": {},
    "model": {"neuron": "lif"},
    "train": {
        "weight_decay": 0.00001,
        "grad_clip_norm": 1.0,
        "schedule": "one_cycle",
        "surrogate_slope": 1.0,
        "logit_scale": 0.3,
        "label_smoothing": 0.1,
    },
}
"""The pipeline's values of other keys, where the classes have other defaults or none.

Images are not augmented.
"""

_RANGE = "null, or a tuple (low, high) with low below high"


class Parameters(ParameterFile):
    """The estimator's own arguments, and the sections of params.yaml that it reads."""

    random_state: Seed
    validation_size: Real = Field(ge=0, le=0.5)
    value_range: tuple[Real, Real] | None = Field(description=_RANGE)
    image_shape: tuple[int, int] | None = Field(
        description="null, or a tuple (height, width)"
    )
    encode: EncodeParams
    model: ModelParams
    train: TrainParams

    @model_validator(mode="after")
    def _fit(self) -> Self:
        problem = (
            problem_of_network(self.encode, self.model, self.train)
            or self._problem_of_samples()
        )
        if problem:
            raise refused(problem)
        return self

    def _problem_of_samples(self) -> str:
        """Return the line about a parameter that misfits the samples; else empty."""
        if self.encode.encoder.takes != "images":
            return (
                f"encode.encoding: '{self.encode.encoding}' is not allowed, since the "
                "samples are no events; allowed: an encoding of intensities"
            )
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            return f"value_range: {self.value_range} is not allowed; allowed: {_RANGE}"
        if self.image_shape is not None:
            return ""
        values = self.flattened()
        augmenting = [key for key in FOR_IMAGES if values[key] != 0]
        return f"image_shape: {augmenting[0]} needs one" if augmenting else ""


def parameters_of(arguments: Mapping[str, Any], seed: int) -> Parameters:
    """Check the arguments of an estimator.

    Args:
        arguments: by name; `parameters` holds further values by full key.
        seed: of all random draws.

    Raises:
        ParameterError: with one line for each problem.
    """
    content: dict[str, Any] = {"random_state": seed}
    content |= {name: _plain(arguments[name]) for name in _OWN_ARGUMENTS}
    for name, section in SECTIONS.items():
        content[name] = {
            **{key: field.default for key, field in section.model_fields.items()},
            **_PIPELINE_VALUES[name],
            **{key: _plain(arguments[key]) for key in _ARGUMENTS[name]},
        }
    for full_key, value in (arguments["parameters"] or {}).items():
        name, _, key = full_key.partition(".")
        if name not in SECTIONS or key in _ARGUMENTS[name]:
            raise ParameterError(
                f"parameters: {full_key!r} is not allowed; allowed: full keys of "
                f"{', '.join(SECTIONS)} that are no arguments, such as "
                "'train.label_smoothing'"
            )
        content[name][key] = _plain(value)
    return parsed(content, Parameters)


def _plain(value: Any) -> Any:
    """Return a number of NumPy, as a grid of parameters holds them, as Python's."""
    return value.item() if isinstance(value, np.generic) else value
