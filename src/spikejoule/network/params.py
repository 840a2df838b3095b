"""The section `model` of params.yaml."""

import math
from functools import cached_property
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.parameters import chooses, not_allowed, refused
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
from spikejoule.network.quantisation import WidthSettings, unfit_for_integers
from spikejoule.network.readout import Readout, ReadoutName


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


LayerSizes = Annotated[
    tuple[Annotated[int, Field(ge=1, le=65535)], ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_tuple_of_sizes),
]


@chooses(NEURONS)
class ModelParams(WidthSettings):
    """The spiking network.

    Attributes:
        hidden: sizes of the fully connected hidden layers, also for the conventional
            network of equal size.
        readout: how the output answers (:mod:`spikejoule.network.readout`).
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
    readout: ReadoutName = Readout.SPIKES
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
        network = Network.of_chain(
            self.shape_of(samples),
            self.hidden_layers,
            n_classes,
            self.chosen_neuron,
            self.quantisation,
        )
        return network.with_readout(self.readout)

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
        unfit = self.readout.unfit(self.chosen_neuron)
        if self.quantisation:
            unfit = unfit or unfit_for_integers(self.chosen_neuron, self.hidden_layers)
        if unfit:
            raise refused(unfit)
        problem = self.chosen_neuron.problem(self.n_layers)
        if problem:
            raise refused(not_allowed("model", problem, self))
        return self
