"""Modules that emit zeros and ones, but are not known to be neurons."""

from typing import Any

from torch import Tensor

from spikejoule.pricing.modules.parts import Part
from spikejoule.pricing.tensors.contents import is_binary
from spikejoule.pricing.tensors.nested import find_tensor
from spikejoule.pricing.tensors.traces import Traces


class UnknownNeurons:
    """Finds modules that make zeros and ones of other numbers, in every call."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._has_fired: dict[Part, bool] = {}
        self._are_values: dict[Part, bool] = {}
        self._others: set[Part] = set()

    def note(self, part: Part, inputs: Any, out: Any) -> None:
        """Note a call of a module whose functions are not counted."""
        if part in self._others:
            return
        taken, made = find_tensor(inputs), find_tensor(out)
        if made is None or not is_binary(made):
            self._others.add(part)
        elif taken is not None and not is_binary(taken):
            self._are_values[part] = self._traces.of(made).are_values
            self._has_fired[part] = self._has_fired.get(part, False) or _fires(made)

    def consequence(self, part: Part) -> str:
        """Say what follows if a module is neurons; empty if it does not look so."""
        if part in self._others or not self._has_fired.get(part, False):
            return ""
        kind = "values" if self._are_values[part] else "spikes"
        return f"whose 0 and 1 count as {kind}, and whose updates are not counted"


def _fires(x: Tensor) -> bool:
    return bool((x != 0).any())
