"""The equations of the neurons in a model, from its simulators and from the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from torch import nn

from spikejoule.core.errors import in_one_sentence
from spikejoule.pricing.modules.cells import Cell, ReadCell, refuse
from spikejoule.pricing.modules.neurons import Known, Population

Own = Mapping[type, Cell | ReadCell]
"""The user's own classes of neurons, which take one step at a time."""


def _check_methods(module: nn.Module) -> None:
    """Raise ParameterError if a method of neurons was replaced on the instance."""
    for name, value in vars(module).items():
        if callable(value) and hasattr(type(module), name):
            raise refuse(module, f"a {name} of its own", "that of its class")


@dataclass(frozen=True)
class KnownCells:
    """What is known of a model's neurons.

    Attributes:
        known: the simulators of the model.
        own: the user's equations, by class.
    """

    known: Known
    own: Own

    @classmethod
    def of(cls, model: nn.Module, own: Own) -> Self:
        """Find the simulators of a model."""
        return cls(Known.of(model, dict.fromkeys(own, Population())), own)

    def read(self, module: nn.Module) -> Cell | None:
        """Return the equations of a module's neurons; None without known neurons.

        Raises:
            ParameterError: a setting of the neurons is not allowed.
        """
        for kind, own in self.own.items():
            if isinstance(module, kind):
                if isinstance(own, Cell):
                    return own
                with in_one_sentence(f"what neurons says of {kind.__name__}"):
                    return own(module)
        # A class that a user derives may compute something else.
        package = type(module).__module__.partition(".")[0]
        simulator = self.known.simulators.get(package)
        cell = None if simulator is None else simulator.cell(module)
        if cell is not None:
            _check_methods(module)
        return cell

    def time(self, module: nn.Module) -> int | str | None:
        """Return the time axis of the input of neurons; None if they take one step."""
        population = self.known.describe(module)
        return None if population is None else population.time

    @property
    def carries_state(self) -> bool:
        """Whether a model takes and returns its state with its input."""
        simulators = self.known.simulators.values()
        return any(simulator.carries_state for simulator in simulators)
