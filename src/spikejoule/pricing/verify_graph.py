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
from torch import nn

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Neurons
from spikejoule.nir.conventions import ALLOWED, Conventions, conventions_of, dynamics_of
from spikejoule.nir.reading import network_of, read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.verification import LayerComparison, Verification
from spikejoule.pricing.layers import WEIGHTED
from spikejoule.pricing.neurons import Describe, Known, Population
from spikejoule.pricing.running import Loop, Run, TimeAxis, batches_of, checked
from spikejoule.pricing.watching import Place, Watch

_ALIKE = 1e-5
"""How far weights and constants may be apart, relatively: exporters compute in float32."""


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
    network = network if isinstance(network, ImportedGraph) else network_of(network)
    conventions = conventions_of(network, given or Conventions())
    run, spikes = Run(model, Known.of(model, neurons), time_axis, loop, records=True), []
    for batch in batches_of(samples, time_axis, batch_size=64):
        x = batch.samples
        if not ((x == 0) | (x == 1)).all():
            raise DataError("the samples hold other numbers than 0 and 1: a graph takes spikes.")
        run.take(x)
        spikes.append((x if time_axis == 1 else x.transpose(0, 1)).flatten(2).bool().cpu())
    if not spikes:
        raise DataError("there are no samples, and at least one is needed.")
    events = EventList.from_dense(torch.cat(spikes).numpy())
    both = _Both(run.watch, network, events)
    layers = both.compared(conventions)
    behind = list(run.watch.places).index(layers[-1].name) + 1
    found = Verification(
        layers=layers,
        absent=", ".join(one for one in [*run.watch.places][behind:] if one in both.missing),
        module=", ".join(f"{one} {version(one)}" for one in run.known.packages),
        conventions=asdict(conventions),
        n_samples=events.n_samples,
        n_steps=events.n_steps,
    )
    if found.first is None:
        return found
    cause = next(both.causes(conventions, found.first), "none of those that are known")
    return found.model_copy(update={"cause": cause})


class _Both:
    """A module that has run, and a graph that takes the same spikes.

    Attributes:
        watch: what the module's populations gave, and all of its places.
        network, events: the graph, and what it takes.
        emitted: what populations of the module gave, [N, T, n], by name.
        missing: its layers with weights that the graph has not.

    Raises:
        ArtifactError: see `matched`.
    """

    def __init__(self, watch: Watch, network: ImportedGraph, events: EventList) -> None:
        self.watch, self.network, self.events = watch, network, events
        self.emitted: dict[str, NDArray[np.float32]] = {
            name: torch.cat([torch.cat(parts, dim=1) for parts in batches.values()]).numpy()
            for name, batches in watch.emitted.items()
        }
        self._pairs = matched(network, [watch.places[name] for name in self.emitted])
        theirs = [np.float32(one.weight).reshape(-1) for one in network.connections]
        layers: dict[str, Any] = {name: one.module for name, one in watch.places.items()
                                  if isinstance(one.module, WEIGHTED)}  # fmt: skip
        self.missing = {name for name, one in layers.items()
                        if not any(is_alike(one.weight, weight) for weight in theirs)}  # fmt: skip

    def compared(self, given: Conventions) -> list[LayerComparison]:
        """Run the graph, and compare each population."""
        record, found = [*self._pairs.values()], []
        run = run_graph(self.network, self.events, given, record=record)
        for name, node in self._pairs.items():
            ours = self.emitted[name]
            differ = ours != run.recorded[node].to_dense(np.float32)
            step = next(iter(np.flatnonzero(differ.any(axis=(0, 2))).tolist()), None)
            spikes, differing = (int(np.count_nonzero(one)) for one in (ours, differ))
            compared = LayerComparison(
                name=name, node=node, spikes=spikes, differing=differing, step=step
            )
            found.append(compared)
        return found

    def causes(self, given: Conventions, first: LayerComparison) -> Iterator[str]:
        """Why a population differs first, in words, the likeliest first: what its neurons give and
        do, padding that no graph has, weights that this one has not, and how it is run."""
        place, node = self.watch.places[first.name], self.network.nodes[first.node]
        theirs = self.emitted[first.name]
        population = place.population
        assert population is not None
        assert isinstance(node, Neurons)
        dynamics = dynamics_of(node, given, np.float32)
        if not np.isin(theirs, (0, 1)).all():
            most = f"{theirs.max():g} in a step"
            yield f"it gives up to {most}, where a neuron of a graph gives 0 or 1"
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
                own = float(torch.as_tensor(ours).reshape(-1)[0])
                yield (
                    f"in a step its neurons keep {own:.6g} of their {what}, those of the graph "
                    f"{graphs[0]:.6g}: dt, or what the exporter makes of a time constant"
                )
        for one in takewhile(lambda one: one is not place, self.watch.places.values()):
            padding = getattr(one.module, "padding_mode", "zeros")
            if padding != "zeros":
                yield f"{one.name} has the padding {padding!r}, a graph has zeros"
            if (name := one.name) in self.missing:
                yield f"the weights of {name} are not in the graph, which may be an older export"
        for name, allowed in ALLOWED.items():
            now = getattr(given, name)
            for value in allowed if now is not None else ():
                try:
                    other = Conventions(**asdict(given) | {name: value})
                    again = self.compared(other)
                except ParameterError:
                    continue
                if next(one.step for one in again if one.name == first.name) is None:
                    yield f"{name} is given as {now}: with {value} the spikes of {first.name} agree"


def matched(network: ImportedGraph, firing: list[Place]) -> dict[str, str]:
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
