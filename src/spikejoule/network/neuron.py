"""The interface of a neuron model: parameters, one step of its dynamics, a file entry.

In the backward pass the reset is detached (no gradient flows from the spike into the
membrane potential), and a surrogate replaces the derivative of the step function
(:mod:`spikejoule.network.surrogates`). The training method is that of Neftci, Mostafa
and Zenke, IEEE Signal Processing Magazine 36(6), 2019, doi:10.1109/MSP.2019.2931595.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from spikejoule.core.parameters import Kind, Problem
from spikejoule.network.by_layer import ByLayer, allowed_lengths, number_or_list

if TYPE_CHECKING:
    from torch import Tensor

    Threshold = ByLayer
    Decay = ByLayer
else:
    Threshold = number_or_list(1e-30, 1e30)
    Decay = number_or_list(0, 1)

NOTEBOOK_NEURON: Final = "lif"
"""The neuron of the original notebook, whose files do not name it."""


class Neuron(Kind):
    """A neuron model; each is one file of :mod:`spikejoule.network.neurons`.

    The PyTorch network calls :meth:`step`. The event engine has its own compiled
    kernels for the neurons in `spikejoule.engine.interface.EVENT_NEURONS`, so each
    checks the other.

    A parameter may be a tuple with one value per layer after the input.
    :meth:`of_layer` gives the neuron of one layer, with single values; only that one
    takes steps.

    Attributes:
        equation: the dynamics of one step, for the documentation.
        notebook_values: of parameters that the original notebook lacks: what its files
            imply.
    """

    equation: ClassVar[str]
    notebook_values: ClassVar[Mapping[str, Any]] = {}

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
        """Whether every step multiplies the potential (neuron of one layer)."""
        return True

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Learned constants, one number a layer: ``layerN.neurons.NAME`` in a state."""
        return ()

    def first_learned(self, name: str) -> float:
        """The initial value of a learned constant (neuron of one layer)."""
        raise KeyError(name)

    def with_learned(self, learned: "Mapping[str, float]") -> Self:
        """The neuron of one layer with its learned constants applied."""
        return self

    def with_tensors(self, learned: "Mapping[str, Tensor]") -> Self:
        """As `with_learned`, with tensors through which autograd differentiates."""
        return self

    def problem(self, n_layers: int) -> Problem | None:
        """Return the first impossible parameter; None if there is none.

        Args:
            n_layers: layers after the input.
        """
        for name, values in self.by_layer.items():
            if len(values) != n_layers:
                return Problem(name, allowed_lengths(n_layers))
        return None

    @property
    def by_layer(self) -> dict[str, tuple[float, ...]]:
        """The parameters with one value per layer."""
        return {name: value for name, value in self if isinstance(value, tuple)}

    def of_layer(self, number: int) -> Self:
        """The neuron of one layer, 0 for the first after the input."""
        own = {name: values[number] for name, values in self.by_layer.items()}
        return self.model_copy(update=own) if own else self

    def of_layers(self, layers: Sequence[Self]) -> Self:
        """The neuron with one value per layer wherever those of the layers differ.

        Args:
            layers: the neuron of each layer after the input.
        """
        values = {
            name: tuple(getattr(neuron, name) for neuron in layers)
            for name, value in self
            if any(getattr(neuron, name) != value for neuron in layers)
        }
        return self.model_copy(update=values)

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

    def entry(self) -> dict[str, Any]:
        """The file entry: all parameters, and the name unless it is the notebook's.

        `notebook_values` are left out, as in the notebook's files.
        """
        entry = {} if self.name == NOTEBOOK_NEURON else {"neuron": self.name}
        for name, value in self.model_dump(mode="json").items():
            implied = self.notebook_values
            if name not in implied or implied[name] != value:
                entry[name] = value
        return entry
