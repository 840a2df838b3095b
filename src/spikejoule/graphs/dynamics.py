"""From NIR's differential equations to the constants of one step.

With a share a = dt / tau (forward Euler), or a = 1 - exp(-dt / tau), for each time constant,

    LIF, LI        v[t] = (1 - a) v[t-1] + a v_leak + a r x[t]
    IF, I          v[t] = v[t-1] + dt r x[t]
    CubaLIF, -LI   i[t] = (1 - a_syn) i[t-1] + a_syn w_in x[t]
                   v[t] = (1 - a_mem) v[t-1] + a_mem v_leak + a_mem r i[t]

where x[t] is what arrives. For ``current: next_step`` the potential follows i[t-1]. Where v[t]
reaches the threshold, the neuron spikes and is reset in the same step.

The gains a r, a w_in and dt r are constants that hardware has in its weights: in most exports they
are 1. They are computed with, and not counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.kernels.lists import Membrane
from spikejoule.graphs.network import Neurons, Waiting

_WHOLE = 1e-3
"""How far from a whole number of steps a delay may be, in steps."""


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Constants of the neurons of a node, float64 [n] each.

    Attributes:
        membrane: of the potential; without a threshold that is infinite.
        keep_current, gain_current: of the synaptic current; None without one.
        initial: potential before the first step.
    """

    membrane: Membrane
    keep_current: NDArray[np.float64] | None
    gain_current: NDArray[np.float64] | None
    initial: NDArray[np.float64]

    def cast(self, dtype: DTypeLike, comparison: str | None) -> "Dynamics":
        """The same in another type, with the limit of its numbers."""
        membrane = Membrane(*(value.astype(dtype) for value in self.membrane))
        limit = limit_of(membrane.threshold, comparison)
        return Dynamics(
            membrane._replace(limit=limit),
            None if self.keep_current is None else self.keep_current.astype(dtype),
            None if self.gain_current is None else self.gain_current.astype(dtype),
            self.initial.astype(dtype),
        )


def dynamics_of(node: Neurons, conventions: Conventions) -> Dynamics:
    """The constants of a node's step.

    Raises:
        ParameterError: dt is longer than a time constant, or a reset by subtraction is asked for
            where the graph has a v_reset that is not 0.
    """
    values, dt = node.parameters, conventions.seconds
    nothing = np.zeros(node.n_out)
    reset = values.get("v_reset", nothing)
    if conventions.reset == "subtract" and reset.any():
        raise ParameterError(
            f"reset is given as subtract, but the node {node.name!r} resets to its v_reset, which "
            "is not 0; allowed is zero."
        )
    keep_current = gain_current = None
    if node.has_current:
        share = _share(node, "tau_syn", conventions)
        keep_current, gain_current = 1 - share, share * values["w_in"]
    tau = "tau_mem" if node.has_current else "tau"
    if tau in values:
        share = _share(node, tau, conventions)
        keep, gain, drive = 1 - share, share * values["r"], share * values["v_leak"]
    else:
        keep, gain, drive = np.ones(node.n_out), dt * values["r"], nothing
    threshold = values.get("v_threshold", np.full(node.n_out, np.inf))
    begin = {"leak": values.get("v_leak", nothing), "reset": reset}
    initial = begin.get(conventions.initial or "", nothing)
    membrane = Membrane(keep, gain, drive, threshold, threshold, reset)
    return Dynamics(membrane, keep_current, gain_current, initial)


def limit_of(threshold: NDArray[Any], comparison: str | None) -> NDArray[Any]:
    """The least number that fires: a threshold, or, for ``gt``, the number above it."""
    if comparison != "gt":
        return threshold
    above: NDArray[Any] = np.nextafter(threshold, threshold.dtype.type(np.inf))
    return above


def _share(node: Neurons, name: str, conventions: Conventions) -> NDArray[np.float64]:
    """What a state loses in a step, float64 [n]."""
    tau, dt = node.parameters[name], conventions.seconds
    if conventions.integration == "exponential":
        return -np.expm1(-dt / tau)
    shortest = tau.min()
    if dt > shortest * (1 + 1e-6):
        raise ParameterError(
            f"dt is {dt:g} s, but the {name} of the node {node.name!r} is {shortest:g} s; allowed "
            "is a dt that is not longer, or the exponential integration."
        )
    share: NDArray[np.float64] = np.minimum(dt / tau, 1)
    return share


def delay_steps(node: Waiting, conventions: Conventions) -> NDArray[np.int64]:
    """The delay of each unit in steps, int64 [n]; at most 2**62.

    Raises:
        ParameterError: one is no whole number of steps.
    """
    steps = node.seconds / conventions.seconds
    whole = np.rint(steps)
    apart = np.abs(steps - whole)
    if (apart > _WHOLE).any():
        delay = node.seconds[apart.argmax()]
        raise ParameterError(
            f"the node {node.name!r} has a delay of {delay:g} s, which is no whole number of steps "
            f"of {conventions.seconds:g} s; allowed is a dt that divides it."
        )
    return np.minimum(whole, 2.0**62).astype(np.int64)
