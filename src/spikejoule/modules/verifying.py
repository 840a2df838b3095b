"""Whether a graph of NIR does what the module does that it was exported from.

Both run on the same spikes. Each population of the module that fires is compared with the graph's,
spike by spike. Up to the first step in which one differs all are alike, and in that step those
before it: the cause is in this population, or in what leads to it from the ones before.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import InstanceOf
from torch import Tensor, nn

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.graphs.conventions import ALLOWED, Conventions, conventions_of, dynamics_of
from spikejoule.graphs.nir_in import network_of, read_nir
from spikejoule.graphs.running import run_graph
from spikejoule.graphs.verified import LayerComparison, Verification
from spikejoule.model.network import Network, Neurons
from spikejoule.modules.populations import Describe, Known, Population
from spikejoule.modules.reach import WEIGHTED
from spikejoule.modules.running import Loop, Run, TimeAxis, batches_of, checked
from spikejoule.modules.simulators import simulators_of
from spikejoule.modules.watching import Place, Watch

_ALIKE = 1e-5
"""How far weights and constants may be apart, relatively: exporters compute in float32."""


class Recording(Watch):
    """What every population gives, [B, T, n] of each batch, by the name of its place."""

    def __init__(self, model: nn.Module, known: Known) -> None:
        super().__init__(model, known)
        self.emitted: dict[str, dict[int, list[Tensor]]] = {}

    def _give(self, place: Place, out: Tensor, by_step: Tensor) -> None:
        super()._give(place, out, by_step)
        if place.fires:
            parts = self.emitted.setdefault(place.name, {}).setdefault(len(self.sizes), [])
            parts.append(by_step.detach().flatten(2).transpose(0, 1).float().cpu())

    def of(self, name: str) -> NDArray[np.float32]:
        """What a population gave, [N, T, n]."""
        batches = self.emitted[name].values()
        return torch.cat([torch.cat(parts, dim=1) for parts in batches]).numpy()


@checked
def verify(
    model: nn.Module,
    graph: Any,
    samples: Any,
    given: InstanceOf[Conventions] | None = None,
    *,
    time_axis: TimeAxis,
    loop: Loop = "auto",
    neurons: Mapping[type, InstanceOf[Population] | Describe] | None = None,
) -> Verification:
    """Run a module and a graph on the same spikes, and compare what their neurons give.

    Args:
        model: which the graph was exported from.
        graph: a file of NIR, or a graph in memory.
        samples: spikes of the input, zeros and ones, as `spikejoule.price` takes them.
        given: what the graph does not say of how it is run.
        time_axis: which axis of a batch is time, as of `spikejoule.price`.
        loop: who takes the steps, likewise.
        neurons: of classes that no simulator here knows, likewise.

    Raises:
        ParameterError, ArtifactError, DataError: as of `spikejoule.price` and `run_graph`; the
            samples are no spikes in time; the populations are not those of the graph.
    """
    if time_axis == "none":
        raise ParameterError("time_axis is 'none', but a graph is run on spikes in time")
    network = read_nir(graph) if isinstance(graph, str | os.PathLike) else graph
    network = network if isinstance(network, Network) else network_of(network)
    conventions = conventions_of(network, given or Conventions())
    known = Known(simulators_of(model), neurons or {})
    run, spikes = Run(model, known, time_axis, loop, watching=Recording), list[Tensor]()
    for x, _ in batches_of(samples, time_axis, batch_size=64):
        if not ((x == 0) | (x == 1)).all():
            raise DataError("the samples hold other numbers than 0 and 1: a graph takes spikes.")
        run.take(x)
        spikes.append((x if time_axis == 1 else x.transpose(0, 1)).flatten(2).bool().cpu())
    if not spikes:
        raise DataError("there are no samples, and at least one is needed.")
    events, watch = EventList.from_dense(torch.cat(spikes).numpy()), run.watch
    assert isinstance(watch, Recording)
    layers, places = compared(watch, network, events, conventions), [*watch.places.values()]
    weights = [np.float32(one.weight).reshape(-1) for one in network.connections]
    missing = [one for one in places if isinstance(one.module, WEIGHTED) and not any(
        is_alike(one.module.weight, theirs) for theirs in weights)]  # fmt: skip
    last = places.index(watch.places[layers[-1].name])
    names = [one.package for one in known.simulators] if known.simulators else ["torch"]
    found = Verification(
        layers=layers,
        absent=", ".join(one.name for one in missing if places.index(one) > last),
        module=", ".join(f"{one} {version(one)}" for one in names),
        conventions=asdict(conventions),
        n_samples=events.n_samples,
        n_steps=events.n_steps,
    )
    if found.first is None:
        return found
    causes = likely_causes(watch, network, events, conventions, found.first, missing)
    cause = next(causes, "none of those that are known")
    return found.model_copy(update={"cause": cause})


def compared(
    watch: Recording, network: Network, events: EventList, given: Conventions
) -> list[LayerComparison]:
    """Run the graph, and compare each population."""
    pairs = matched(network, [watch.places[name] for name in watch.emitted])
    run, found = run_graph(network, events, given, record=[*pairs.values()]), []
    for name, node in pairs.items():
        theirs = watch.of(name)
        differ = theirs != run.recorded[node].to_dense(np.float32)
        steps = np.flatnonzero(differ.any(axis=(0, 2))).tolist()
        found.append(
            LayerComparison(
                name=name,
                node=node,
                spikes=int(np.count_nonzero(theirs)),
                differing=int(np.count_nonzero(differ)),
                step=steps[0] if steps else None,
            )
        )
    return found


def matched(network: Network, firing: list[Place]) -> dict[str, str]:
    """Populations of a module and those of a graph: by their names, or else in their order.

    Raises:
        ArtifactError: there are more of them on one side, or their sizes differ.
    """
    nodes = [node for node in network.of(Neurons) if node.spikes]
    by_name = [
        [node for node in nodes if f"{node.name}.".startswith(f"{one.name.rpartition(' ')[2]}.")]
        for one in firing
    ]
    if all(len(found) == 1 for found in by_name):
        nodes = [found[0] for found in by_name]
    if not firing or [one.n_out for one in firing] != [node.n_out for node in nodes]:
        ours, graphs = (
            ", ".join(f"{one.name} of {one.n_out:,}" for one in of) or "none that are known"
            for of in (firing, nodes)
        )
        raise ArtifactError(f"the module's populations that fire are {ours}; the graph's {graphs}.")
    return {one.name: node.name for one, node in zip(firing, nodes, strict=True)}


def is_alike(ours: Any, theirs: NDArray[Any]) -> bool:
    """Whether numbers of a module are those of a graph, each by itself, or one of all."""
    own = torch.as_tensor(ours).detach().float().cpu().numpy().reshape(-1)
    return own.size in (1, theirs.size) and np.allclose(own, theirs, rtol=_ALIKE)


def likely_causes(
    watch: Recording,
    network: Network,
    events: EventList,
    given: Conventions,
    first: LayerComparison,
    missing: list[Place],
) -> Iterator[str]:
    """Why a population differs first, in words, the likeliest first: what its neurons give and do,
    padding that no graph has, weights that this one has not, and how it is run."""
    place, node, theirs = watch.places[first.name], network.nodes[first.node], watch.of(first.name)
    population = place.population
    assert population is not None
    assert isinstance(node, Neurons)
    dynamics = dynamics_of(node, given, np.float32)
    if not np.isin(theirs, (0, 1)).all():
        yield f"it gives up to {theirs.max():g} in a step, where a neuron of a graph gives 0 or 1"
    if population.lost:
        yield population.lost
    if not population.resets:
        yield "its neurons are never reset, those of a graph are"
    gain, keep = dynamics.membrane.gain, dynamics.membrane.keep
    if node.kind == "IF" and not is_alike(1.0, gain):
        yield f"what arrives counts {gain[0]:.6g} times in the graph: is dt right?"
    kept = zip(("potential", "current"), population.keeps, (keep, dynamics.keep_current),
               strict=False)  # fmt: skip
    for what, ours, graphs in kept:
        if graphs is not None and not is_alike(ours, graphs):
            yield (
                f"in a step its neurons keep {float(torch.as_tensor(ours).reshape(-1)[0]):.6g} of "
                f"their {what}, those of the graph {graphs[0]:.6g}: dt, or what the exporter makes "
                "of a time constant"
            )
    for one in takewhile(lambda one: one is not place, watch.places.values()):
        padding = getattr(one.module, "padding_mode", "zeros")
        if padding != "zeros":
            yield f"{one.name} has the padding {padding!r}, a graph has zeros"
        if one in missing:
            yield f"the weights of {one.name} are not in the graph, which may be an older export"
    for name, allowed in ALLOWED.items():
        now = getattr(given, name)
        for value in allowed if now is not None else ():
            try:
                other = Conventions(**asdict(given) | {name: value})
                again = compared(watch, network, events, other)
            except ParameterError:
                continue
            if next(one.step for one in again if one.name == first.name) is None:
                yield f"{name} is given as {now}: with {value} the spikes of {first.name} agree"
