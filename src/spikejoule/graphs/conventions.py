"""What a NIR graph does not say of how it is run, and who says it.

NIR states differential equations. These decide how a simulator steps through them; the same file
gives other spikes under another choice, so none is guessed:

dt          seconds of one step, which is one step of the events too
reset       ``zero``: to the graph's v_reset (0 in most files); ``subtract``: by the threshold
comparison  a neuron fires at v ``gt`` or v ``ge`` its threshold; a Threshold node likewise
current     of CubaLIF and CubaLI: whether what arrives in a step moves the potential in the
            ``same_step``, or, through the current of the step before, in the ``next_step``
initial     potentials begin at ``zero``, at v_leak (``leak``) or at v_reset (``reset``); asked
            where these differ

A graph that this project wrote says dt, reset and comparison in its metadata. Saying something else
is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.graphs.network import Network, Neurons, Step, Waiting
from spikejoule.graphs.nir_out import FORMAT, metadata_of

Reset = Literal["zero", "subtract"]
Comparison = Literal["ge", "gt"]
CurrentTiming = Literal["same_step", "next_step"]
Initial = Literal["zero", "leak", "reset"]
Integration = Literal["euler", "exponential"]

ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "reset": ("zero", "subtract"),
    "comparison": ("ge", "gt"),
    "current": ("same_step", "next_step"),
    "initial": ("zero", "leak", "reset"),
    "integration": ("euler", "exponential"),
}


@dataclass(frozen=True)
class Conventions:
    """How a graph is run; None stands for what it does not need, or what is not known yet.

    Attributes:
        dt, reset, comparison, current, initial: see the module.
        integration: a state keeps 1 - dt / tau of itself in a step (``euler``), or exp(-dt / tau).
        pruned: whether a weight of zero is no synapse; None for what the metadata say, else False.
        step_ms: what a step stands for, milliseconds, where dt is a mere number; None for dt.
    """

    dt: float | None = None
    reset: Reset | None = None
    comparison: Comparison | None = None
    current: CurrentTiming | None = None
    initial: Initial | None = None
    integration: Integration = "euler"
    pruned: bool | None = None
    step_ms: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in ALLOWED.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise ParameterError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
        if self.dt is not None and not 0 < self.dt < 1e9:
            raise ParameterError(f"dt is {self.dt}; allowed are numbers of seconds above 0")

    @property
    def seconds(self) -> float:
        """dt; a network in which nothing takes time needs none, and has 1."""
        return 1.0 if self.dt is None else self.dt

    @property
    def in_words(self) -> str:
        """All of it in a line."""
        said = {
            "dt": None if self.dt is None else f"{self.dt:g} s",
            "reset": self.reset,
            "fires at": {"ge": "v >= threshold", "gt": "v > threshold"}.get(self.comparison or ""),
            "current": self.current,
            "potentials begin at": self.initial,
            "integration": self.integration,
            "a weight of zero is": "no synapse" if self.pruned else None,
            "a step stands for": None if self.step_ms is None else f"{self.step_ms:g} ms",
        }
        return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)


def conventions_of(network: Network, given: Conventions) -> Conventions:
    """What is given and what the graph's metadata say, checked to be all that the network needs.

    Raises:
        ParameterError: something is missing, or contradicts the metadata.
        ArtifactError: the metadata are damaged, or say that the network is one of integers.
    """
    known = {name: getattr(given, name) for name in Conventions.__dataclass_fields__}
    stated = _stated(network)
    for name, value in stated.items():
        said = known[name]
        if said is not None and said != value:
            raise ParameterError(
                f"{name} is given as {said}, but the graph's metadata say {value}: leave it out, "
                "or remove the metadata from the graph."
            )
        known[name] = value
    needed = _needed(network)
    missing = [f"{name} ({words})" for name, words in needed.items() if known[name] is None]
    if missing:
        raise ParameterError(
            f"The graph does not say how it is run; to be given are {'; '.join(missing)}."
        )
    for name in ("dt", "reset", "comparison", "current", "initial"):
        if name not in needed and name not in stated:
            known[name] = None
    known["pruned"] = bool(known["pruned"])
    return Conventions(**known)


def _stated(network: Network) -> dict[str, Any]:
    """What metadata of this project say; nothing of others'."""
    if network.metadata.get("format") != FORMAT:
        return {}
    own = metadata_of(network)
    if own.quantisation is not None:
        raise ArtifactError(
            "the graph stands for a network of integers, which no graph of NIR computes: price its "
            "complete checkpoint."
        )
    if own.input != "spikes":
        raise ArtifactError(
            "the input of the graph's network is a constant current and no spikes: price its "
            "complete checkpoint."
        )
    return {
        "dt": own.dt,
        "reset": own.reset,
        "comparison": "ge",
        "integration": "euler",
        "pruned": own.pruned,
        "step_ms": own.step_ms,
    }


def _needed(network: Network) -> dict[str, str]:
    """What the network's nodes depend on, each with what is allowed."""
    neurons: list[Neurons] = network.of(Neurons)
    needed = {}
    if neurons or network.of(Waiting):
        needed["dt"] = "seconds of one step"
    if any(node.spikes for node in neurons):
        needed["reset"] = "zero or subtract"
    if any(node.spikes for node in neurons) or network.of(Step):
        needed["comparison"] = "ge or gt, on the command line --threshold"
    if any(node.has_current for node in neurons):
        needed["current"] = "same_step or next_step"
    elsewhere = ("v_leak", "v_reset")
    if any(node.parameters[name].any() for node in neurons for name in elsewhere
           if name in node.parameters):  # fmt: skip
        needed["initial"] = "zero, leak or reset"
    return needed
