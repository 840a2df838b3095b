"""The interface of a neuron model: parameters, one step of its dynamics, a file entry.

Networks are trained by surrogate gradients, as in Neftci, Mostafa and Zenke, IEEE
Signal Processing Magazine 36(6), 2019, doi:10.1109/MSP.2019.2931595: a surrogate
(:mod:`spikejoule.network.surrogates`) replaces the derivative of a spike by the
potential, and no gradient flows through the reset.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from spikejoule.core.parameters import (
    ByLayer,
    Kind,
    Problem,
    allowed_lengths,
    number_or_list,
)

if TYPE_CHECKING:
    from torch import Tensor

    Threshold = ByLayer
    Decay = ByLayer
else:
    Threshold = number_or_list(1e-30, 1e30)
    Decay = number_or_list(0, 1)

NOTEBOOK_NEURON: Final = "lif"
"""Name of the original notebook's neuron; the notebook's files do not state it."""


class Neuron(Kind):
    """A neuron model; each is one file of :mod:`spikejoule.network.neurons`.

    The PyTorch network calls :meth:`step`. The event engine has its own compiled
    kernels for the neurons in `spikejoule.engine.interface.EVENT_NEURONS`, so each
    checks the other.

    A parameter is one number for all layers, or a tuple of one for each layer after the
    input; :meth:`of_layer` gives the neuron of one layer, with numbers alone.

    Attributes:
        equation: the dynamics of one step, for the documentation.
        notebook_values: values of parameters that the original notebook's files do not
            state.
    """

    equation: ClassVar[str]
    notebook_values: ClassVar[Mapping[str, Any]] = {}

    # Parameters by layer

    @property
    def by_layer(self) -> dict[str, tuple[float, ...]]:
        """The parameters that have one value per layer."""
        return {name: value for name, value in self if isinstance(value, tuple)}

    def problem(self, n_layers: int) -> Problem | None:
        """Return the first impossible parameter; None if there is none.

        Args:
            n_layers: layers after the input.
        """
        for name, values in self.by_layer.items():
            if len(values) != n_layers:
                return Problem(name, allowed_lengths(n_layers))
        return None

    def of_layer(self, number: int) -> Self:
        """Return the neuron of one layer, 0 for the first after the input."""
        own = {name: values[number] for name, values in self.by_layer.items()}
        return self.model_copy(update=own) if own else self

    def of_layers(self, layers: Sequence[Self]) -> Self:
        """Return the neuron with one value per layer wherever those of layers differ.

        Args:
            layers: the neuron of each layer after the input.
        """
        values = {
            name: tuple(getattr(neuron, name) for neuron in layers)
            for name, value in self
            if any(getattr(neuron, name) != value for neuron in layers)
        }
        return self.model_copy(update=values)

    # What every model answers; only the neuron of one layer leaks, learns and steps.

    @property
    def has_bias(self) -> bool:
        """Whether every neuron has a bias."""
        return True

    @property
    def starts_at_bias(self) -> bool:
        """Whether biases are the initial potentials; else every step adds them."""
        return False

    @property
    def leaks(self) -> bool:
        """Whether every step multiplies the potential."""
        return True

    @abstractmethod
    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """Take one step of 1 ms.

        Args:
            membrane: potential after the previous step, [B, units]; initially zero, or
                the biases (`starts_at_bias`).
            current: weighted input spikes and bias of this step, [B, units].
            fire: spikes of x, 1 where x >= 0, with the surrogate as their derivative.

        Returns:
            the spikes, and the potential after the reset.
        """

    # Constants that are learned, one number a layer, as ``layerN.neurons.NAME``

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Names of the learned constants."""
        return ()

    def first_learned(self, name: str) -> float:
        """Return the value of a learned constant before training."""
        raise KeyError(name)

    def with_learned(self, learned: "Mapping[str, float]") -> Self:
        """Return the neuron with the parameters that learned constants give."""
        return self

    def with_tensors(self, learned: "Mapping[str, Tensor]") -> Self:
        """As `with_learned`, with tensors through which autograd differentiates."""
        return self

    def entry(self) -> dict[str, Any]:
        """Return the file entry: all parameters, and the name of the model.

        As in the notebook's files, `notebook_values` and the name of its neuron are
        left out.
        """
        entry = {} if self.name == NOTEBOOK_NEURON else {"neuron": self.name}
        for name, value in self.model_dump(mode="json").items():
            implied = self.notebook_values
            if name not in implied or implied[name] != value:
                entry[name] = value
        return entry
