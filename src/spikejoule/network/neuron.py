"""What a neuron is to the network: parameters, one step of its dynamics, an entry for
files.

In the backward pass the reset is detached (no gradient flows through the spike into the
membrane potential) and the derivative of the step function is replaced by a surrogate
(:mod:`spikejoule.network.surrogates`). Source of the training method: Neftci, Mostafa
and Zenke, IEEE Signal Processing Magazine 36(6), 2019, doi:10.1109/MSP.2019.2931595.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag

from spikejoule.core.parameters import Kind, Real

ByLayer = float | tuple[float, ...]
"""A value of such a parameter, as code sees it."""


def _tuple_of_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def number_or_list(
    least: float,
    most: float | None = None,
    where: str = "layer after the input",
    at_most: int = 9,
) -> Any:
    """The type of a number for all layers, or a tuple of one for each, within bounds.

    Args:
        least, most: bounds of each number.
        where: which layers have one, in words.
        at_most: how many of these layers a network can have.
    """
    one = Annotated[Real, Field(ge=least, le=most)]
    each = Annotated[tuple[one, ...], Field(min_length=1, max_length=at_most)]
    upper = "" if most is None else f" and of at most {most:g}"
    return Annotated[
        Annotated[one, Tag("[one]")] | Annotated[each, Tag("[each]")],
        Discriminator(lambda value: "[each]" if isinstance(value, tuple) else "[one]"),
        BeforeValidator(_tuple_of_list),
        Field(
            description=f"a number of at least {least:g}{upper}, or a list of one "
            f"for each {where}"
        ),
    ]


def allowed_lengths(n_layers: int, where: str = "layer after the input") -> str:
    """What may be in the place of a list of another length, in words."""
    return f"a number, or a list of {n_layers}, one for each {where}"


UNNAMED = "lif"
"""The neuron of an entry that names none: files from before there was a choice."""


if TYPE_CHECKING:
    from torch import Tensor

    Threshold = ByLayer
    Decay = ByLayer
else:
    Threshold = number_or_list(1e-30, 1e30)
    Decay = number_or_list(0, 1)


class Neuron(Kind):
    """A neuron model; each is one file of :mod:`spikejoule.network.neurons`.

    The torch network calls :meth:`step`. The event engine has compiled kernels of its
    own for the neurons that `spikejoule.engine.interface.EVENT_NEURONS` names, so that
    one checks the other.

    A parameter may be a tuple of one value for each layer after the input;
    :meth:`of_layer` gives the neuron of one layer, whose parameters are single values,
    and it alone takes steps.

    Attributes:
        equation: the dynamics of one step, for the documentation.
        later: parameters that came after the first files, each with what there was
            before.
    """

    equation: ClassVar[str]
    later: ClassVar[Mapping[str, Any]] = {}

    @property
    def has_bias(self) -> bool:
        """Whether a bias is added to the current of every neuron in every step."""
        return True

    @property
    def leaks(self) -> bool:
        """Whether the potential is multiplied in every step; of the neuron of one
        layer.
        """
        return True

    @property
    def learned_names(self) -> tuple[str, ...]:
        """Parameters that are learned, one number a layer: ``layerN.neurons.NAME`` of a
        state.
        """
        return ()

    def first_learned(self, name: str) -> float:
        """What a learned parameter begins with; of the neuron of one layer."""
        raise KeyError(name)

    def with_learned(self, learned: "Mapping[str, float]") -> Self:
        """The neuron of one layer with the values that learned parameters stand for."""
        return self

    def with_tensors(self, learned: "Mapping[str, Tensor]") -> Self:
        """The same for the torch network: values through which autograd finds the
        gradient.
        """
        return self

    def problem(self, n_layers: int) -> tuple[str, str] | None:
        """A parameter that cannot be what it is, and what is allowed in words; None if
        none.

        Args:
            n_layers: layers after the input.
        """
        for name, values in self.by_layer.items():
            if len(values) != n_layers:
                return name, allowed_lengths(n_layers)
        return None

    @property
    def by_layer(self) -> dict[str, tuple[float, ...]]:
        """The parameters that have a value for each layer."""
        return {name: value for name, value in self if isinstance(value, tuple)}

    def of_layer(self, number: int) -> Self:
        """The neuron of one layer, counted from 0 after the input."""
        own = {name: values[number] for name, values in self.by_layer.items()}
        return self.model_copy(update=own) if own else self

    @abstractmethod
    def step(
        self, membrane: "Tensor", current: "Tensor", fire: "Callable[[Tensor], Tensor]"
    ) -> "tuple[Tensor, Tensor]":
        """One step of 1 ms.

        Args:
            membrane: potential after the step before, [B, units]; zero before the
                first.
            current: weighted input spikes and bias of this step, [B, units].
            fire: spikes of x, 1 where x >= 0, with the surrogate as their derivative.

        Returns:
            the spikes, and the potential after the reset.
        """

    def joined(self, layers: Sequence[Self]) -> Self:
        """The neuron with a value for each layer where one of theirs is another; they
        fit it.
        """
        values = {
            name: tuple(getattr(neuron, name) for neuron in layers)
            for name, value in self
            if any(getattr(neuron, name) != value for neuron in layers)
        }
        return self.model_copy(update=values)

    def entry(self) -> dict[str, Any]:
        """What files say of the neuron: its parameters, and its name where it is not
        the LIF.

        Without parameters of `later` that are as there was before: files say what they
        always did.
        """
        named = {} if self.name == UNNAMED else {"neuron": self.name}
        parameters = self.model_dump(mode="json")
        earlier = [
            name for name, value in self.later.items() if parameters[name] == value
        ]
        return named | {
            name: parameters[name] for name in parameters if name not in earlier
        }
