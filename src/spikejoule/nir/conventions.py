"""How a NIR graph is stepped: what it does not say, and the constants of a step.

NIR states differential equations; a simulator has to decide how to step through them.
The same file gives other spikes under other decisions, so none is guessed:

dt          seconds of a step, which is also a step of the events
reset       ``zero``: to the graph's v_reset (0 in most files); ``subtract``: by the
            threshold
comparison  a neuron fires at v ``gt`` or v ``ge`` its threshold; so does a Threshold
            node
current     for CubaLIF and CubaLI: what arrives in a step moves the potential in the
            ``same_step``, or through the current of the last step, in the ``next_step``
initial     potentials begin at ``zero``, at v_leak (``leak``) or at v_reset
            (``reset``); asked only where these differ
readout     where I, LI or CubaLI neurons are the output, the answer is the class with
            the largest ``potential`` after the last step, or with the largest of any
            step, ``max_potential``; without a readout there is no answer

A graph that this project wrote states dt, reset, comparison and readout in its
metadata; contradicting them is an error.

With a fraction a = dt / tau (forward Euler) for each time constant,

    LIF, LI        v[t] = (1 - a) v[t-1] + a v_leak + a r x[t]
    IF, I          v[t] = v[t-1] + dt r x[t]
    CubaLIF, -LI   i[t] = (1 - a_syn) i[t-1] + a_syn w_in x[t]
                   v[t] = (1 - a_mem) v[t-1] + a_mem v_leak + a_mem r i[t]

where x[t] is what arrives. With ``current: next_step`` the potential follows i[t-1].
Where v[t] reaches the threshold, the neuron spikes and is reset in the same step.

If tau is infinite, so is its r or w_in: the state keeps everything, with a gain of 1.
snnTorch writes ``beta=1`` in this way, which makes a LIF neuron an IF neuron.

The gains a r, a w_in and dt r are constants that hardware has in its weights; in most
exports they are 1. They are computed, but not counted.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Delay, Neurons, Threshold
from spikejoule.network.readout import readout_entry
from spikejoule.nir.kernels.stepping import Membrane
from spikejoule.nir.writing import FORMAT, metadata_of

ALLOWED: Final = {
    "reset": ("zero", "subtract"),
    "comparison": ("ge", "gt"),
    "current": ("same_step", "next_step"),
    "initial": ("zero", "leak", "reset"),
    "readout": ("potential", "max_potential"),
}

_QUESTIONS: Final = {
    "dt": "seconds of one step",
    "reset": "zero or subtract",
    "comparison": "ge or gt, on the command line --threshold",
    "current": "same_step or next_step",
    "initial": "zero, leak or reset",
}

_WHOLE = 1e-3
"""How far a delay may be from a whole number of steps, in steps."""


@dataclass(frozen=True)
class Conventions:
    """How a graph is run; None for what it does not need, or what is not known yet.

    Attributes:
        dt, reset, comparison, current, initial, readout: see the module.
        pruned: whether a weight of zero is no synapse; None for the metadata's answer,
            or False without metadata.
        step_ms: duration of a step in milliseconds where dt is a mere number; None for
            dt.
    """

    dt: float | None = None
    reset: str | None = None
    comparison: str | None = None
    current: str | None = None
    initial: str | None = None
    readout: str | None = None
    pruned: bool | None = None
    step_ms: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ParameterError(
                    f"{name} is {value!r}; allowed are {', '.join(allowed)}"
                )
        if self.dt is not None and not 0 < self.dt < 1e9:
            raise ParameterError(
                f"dt is {self.dt}; allowed are numbers of seconds above 0"
            )

    @property
    def seconds(self) -> float:
        """dt; 1 for a network without dt, in which nothing takes time."""
        return 1.0 if self.dt is None else self.dt

    @property
    def in_words(self) -> str:
        """All that is known, in a line."""
        known = {
            name: value
            for name, value in asdict(self).items()
            if value not in (None, False)
        }
        return ", ".join(f"{name} {value}" for name, value in known.items())


def conventions_of(network: ImportedGraph, given: Conventions) -> Conventions:
    """Complete what the user gave by the graph's metadata.

    Raises:
        ParameterError: something that the network needs is missing, or contradicts the
            metadata.
        ArtifactError: the metadata are damaged, or the network computes what no NIR
            graph does.
    """
    known = asdict(given)
    stated = _stated(network)
    needed = _needed(network)
    for name, value in stated.items():
        if known[name] not in (None, value):
            raise ParameterError(
                f"{name} is given as {known[name]}, but the graph's metadata says "
                f"{value}: leave it out, or remove the metadata from the graph."
            )
    known |= stated
    missing = [f"{name} ({_QUESTIONS[name]})" for name in needed if known[name] is None]
    if missing:
        raise ParameterError(
            f"the graph does not say how it is run; state {'; '.join(missing)}."
        )
    for name in _QUESTIONS:
        if name not in needed and name not in stated:
            known[name] = None
    if known["readout"] is not None and not _reads_potentials(network):
        raise ParameterError(
            f"readout is given as {known['readout']}, but the output is not the "
            "potentials of one node; leave it out."
        )
    known["pruned"] = bool(known["pruned"])
    return Conventions(**known)


def _stated(network: ImportedGraph) -> dict[str, Any]:
    """Return what the metadata of this project say; nothing for other graphs."""
    if network.metadata.get("format") != FORMAT:
        return {}
    own = metadata_of(network)
    if own.quantisation is not None:
        raise ArtifactError(
            "the graph was written from an integer network, which a NIR graph cannot "
            "represent: price its complete checkpoint."
        )
    if own.input != "spikes":
        raise ArtifactError(
            "the input of the graph's network is a constant current, not spikes: price "
            "its complete checkpoint."
        )
    return {
        "dt": own.dt,
        "reset": own.reset,
        "comparison": "ge",
        "pruned": own.pruned,
        "step_ms": own.step_ms,
        **readout_entry(own.readout),
    }


def _reads_potentials(network: ImportedGraph) -> bool:
    """Whether what the output receives are the potentials of one node."""
    sources = [network.nodes[name] for name in network.sources[network.output.name]]
    return (
        len(sources) == 1
        and isinstance(sources[0], Neurons)
        and (not sources[0].spikes)
    )


def _needed(network: ImportedGraph) -> list[str]:
    """List the conventions that the network's nodes depend on."""
    neurons = network.of(Neurons)
    fires = any(node.spikes for node in neurons)
    is_needed = {
        "dt": bool(neurons or network.of(Delay)),
        "reset": fires,
        "comparison": fires or bool(network.of(Threshold)),
        "current": any(node.has_current for node in neurons),
        "initial": any(
            np.any(node.parameters.get(name, 0))
            for node in neurons
            for name in ("v_leak", "v_reset")
        ),
    }
    return [name for name in _QUESTIONS if is_needed[name]]


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Constants of the neurons of a node, real [n] each.

    Attributes:
        membrane: of the potential; the threshold of a readout is infinite.
        keep_current, gain_current: of the synaptic current; None without one.
        initial: potential before the first step.
    """

    membrane: Membrane
    keep_current: NDArray[Any] | None
    gain_current: NDArray[Any] | None
    initial: NDArray[Any]

    @property
    def n_leaks(self) -> int:
        """Multiplications by which states leak in a step; a factor of 1 takes none."""
        kept = [self.membrane.keep]
        if self.keep_current is not None:
            kept.append(self.keep_current)
        return sum(int(np.count_nonzero(keep != 1)) for keep in kept)


def dynamics_of(node: Neurons, conventions: Conventions, dtype: DTypeLike) -> Dynamics:
    """Compute the constants of a node's step, in float64, and round them to a type.

    Raises:
        ParameterError: dt is longer than a time constant, or a reset is to subtract
            where the graph has a v_reset that is not 0.
    """
    values = node.parameters
    zeros = np.zeros(node.n_out)
    reset = values.get("v_reset", zeros)
    if conventions.reset == "subtract" and reset.any():
        raise ParameterError(
            f"reset is given as subtract, but the node {node.name!r} resets to its "
            "v_reset, which is not 0; allowed is zero."
        )
    keep_current = gain_current = None
    if node.has_current:
        fraction = _fraction(node, "tau_syn", conventions)
        keep_current = (1 - fraction).astype(dtype)
        gain_current = _gain(fraction, values["w_in"]).astype(dtype)
    tau = "tau_mem" if node.has_current else "tau"
    if tau in values:
        fraction = _fraction(node, tau, conventions)
        keep = 1 - fraction
        gain = _gain(fraction, values["r"])
        drive = fraction * values["v_leak"]
    else:
        keep = np.ones(node.n_out)
        gain = conventions.seconds * values["r"]
        drive = zeros
    threshold = values.get("v_threshold", np.full(node.n_out, np.inf)).astype(dtype)
    starts = {"leak": values.get("v_leak", zeros), "reset": reset}
    return Dynamics(
        membrane=Membrane(
            keep=keep.astype(dtype),
            gain=gain.astype(dtype),
            drive=drive.astype(dtype),
            threshold=threshold,
            limit=limit_of(threshold, conventions.comparison),
            reset=reset.astype(dtype),
        ),
        keep_current=keep_current,
        gain_current=gain_current,
        initial=starts.get(conventions.initial or "zero", zeros).astype(dtype),
    )


def limit_of(threshold: NDArray[Any], comparison: str | None) -> NDArray[Any]:
    """Return the least number that fires: a threshold, or for ``gt`` the next above."""
    if comparison != "gt":
        return threshold
    above: NDArray[Any] = np.nextafter(threshold, threshold.dtype.type(np.inf))
    return above


def _fraction(
    node: Neurons, name: str, conventions: Conventions
) -> NDArray[np.float64]:
    """Return the fraction that a state loses in a step, float64 [n]."""
    tau = node.parameters[name]
    dt = conventions.seconds
    if dt > tau.min() * (1 + 1e-6):  # exporters round tau to float32
        raise ParameterError(
            f"dt is {dt:g} s, but the {name} of the node {node.name!r} is "
            f"{tau.min():g} s; allowed is a dt that is not longer (Norse's export "
            "writes tau multiplied by dt)."
        )
    fraction: NDArray[np.float64] = np.minimum(dt / tau, 1)
    return fraction


def _gain(
    fraction: NDArray[np.float64], factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the factor on what arrives, float64 [n]; 1 where it is infinite."""
    is_infinite = np.isinf(factor)
    # The inner `where` avoids 0 * inf, which warns.
    return np.where(is_infinite, 1.0, fraction * np.where(is_infinite, 0.0, factor))


def delay_steps(node: Delay, conventions: Conventions) -> NDArray[np.int64]:
    """Return the delay of each unit in steps, int64 [n], at most 2**62.

    Raises:
        ParameterError: a delay is no whole number of steps.
    """
    steps = node.seconds / conventions.seconds
    whole = np.rint(steps)
    # A delay above 0 must be a step at least: `ImportedGraph.waiting` relies on it.
    apart = np.where((whole == 0) & (steps > 0), 1, np.abs(steps - whole))
    if (apart > _WHOLE).any():
        delay = node.seconds[apart.argmax()]
        raise ParameterError(
            f"the node {node.name!r} has a delay of {delay:g} s, which is not a whole "
            f"number of steps of {conventions.seconds:g} s; allowed is a dt that "
            "divides it."
        )
    return np.minimum(whole, 2.0**62).astype(np.int64)
