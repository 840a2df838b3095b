"""Whether a graph of NIR does what the module does that it was exported from.

Both run on the same spikes. Each population of the module that fires is compared with
the graph's, spike by spike. Up to the first step in which one differs all are alike,
and in that step those before it: the cause is in this population, or in what leads to
it from the ones before.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
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
from spikejoule.pricing.watching import ModulePlace, Watch

_ALIKE = 1e-5
"""How far weights and constants may be apart, relatively: exporters compute in
float32.
"""


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
        ParameterError, ArtifactError, DataError: as of `spikejoule.price` and
            `run_graph`; the samples are no spikes in time; the populations are not
            those of the graph.
    """
    if time_axis == "none":
        raise ParameterError(
            "time_axis is 'none', but a graph is run on spikes in time"
        )
    if isinstance(graph, str | os.PathLike):
        graph = read_nir(graph)
    network = graph if isinstance(graph, ImportedGraph) else network_of(graph)
    conventions = conventions_of(network, given or Conventions())

    # Run the model and keep its spikes.
    run = Run(model, Known.of(model, neurons), time_axis, loop, records=True)
    spikes = []
    for batch in batches_of(samples, time_axis, batch_size=64):
        x = batch.samples
        if not ((x == 0) | (x == 1)).all():
            raise DataError(
                "the samples hold other numbers than 0 and 1: a graph takes spikes."
            )
        run.take(x)
        by_sample = x if time_axis == 1 else x.transpose(0, 1)
        spikes.append(by_sample.flatten(2).bool().cpu())
    if not spikes:
        raise DataError("there are no samples, and at least one is needed.")

    # Run the graph on the same samples, and compare.
    events = EventList.from_dense(torch.cat(spikes).numpy())
    both = _Both(run.watch, network, events)
    layers = both.compared(conventions)
    places = [*run.watch.places]
    behind = places[places.index(layers[-1].name) + 1 :]
    found = Verification(
        layers=layers,
        absent=", ".join(name for name in behind if name in both.missing),
        module=", ".join(
            f"{package} {version(package)}" for package in run.known.packages
        ),
        conventions=asdict(conventions),
        n_samples=events.n_samples,
        n_steps=events.n_steps,
    )
    if found.first is None:
        return found
    cause = next(both.causes(conventions, found.first), "none of those that are known")
    return found.model_copy(update={"cause": cause})


class _Both:
    """A model that has run, and a graph that takes the same spikes.

    Attributes:
        watch: what the model's populations gave, and all of its places.
        network, events: the graph, and what it takes.
        emitted: what populations of the model gave, [N, T, n], by name.
        missing: its layers with weights that the graph has not.

    Raises:
        ArtifactError: see `matched`.
    """

    def __init__(self, watch: Watch, network: ImportedGraph, events: EventList) -> None:
        self.watch = watch
        self.network = network
        self.events = events
        self.emitted: dict[str, NDArray[np.float32]] = {
            name: torch.cat(
                [torch.cat(parts, dim=1) for parts in batches.values()]
            ).numpy()
            for name, batches in watch.emitted.items()
        }
        self._pairs = matched(network, [watch.places[name] for name in self.emitted])
        graph_weights = [
            np.float32(node.weight).reshape(-1) for node in network.connections
        ]
        layers: dict[str, Any] = {
            name: place.module
            for name, place in watch.places.items()
            if isinstance(place.module, WEIGHTED)
        }
        self.missing = {
            name
            for name, layer in layers.items()
            if not any(is_alike(layer.weight, weight) for weight in graph_weights)
        }

    def compared(self, conventions: Conventions) -> list[LayerComparison]:
        """Run the graph, and compare each population."""
        nodes = [*self._pairs.values()]
        run = run_graph(self.network, self.events, conventions, record=nodes)
        layers = []
        for name, node in self._pairs.items():
            emitted = self.emitted[name]
            differs = emitted != run.recorded[node].to_dense(np.float32)
            steps = np.flatnonzero(differs.any(axis=(0, 2)))
            layers.append(
                LayerComparison(
                    name=name,
                    node=node,
                    spikes=int(np.count_nonzero(emitted)),
                    differing=int(np.count_nonzero(differs)),
                    step=int(steps[0]) if steps.size else None,
                )
            )
        return layers

    def causes(self, conventions: Conventions, first: LayerComparison) -> Iterator[str]:
        """Why a population differs first, in words, the likeliest first: what its
        neurons give and do, padding that no graph has, weights that this one has not,
        and how it is run."""
        yield from self._causes_in_neurons(conventions, first)
        yield from self._causes_before(self.watch.places[first.name])
        yield from self._causes_in_conventions(conventions, first)

    def _causes_in_neurons(
        self, conventions: Conventions, first: LayerComparison
    ) -> Iterator[str]:
        population = self.watch.places[first.name].population
        node = self.network.nodes[first.node]
        assert population is not None
        assert isinstance(node, Neurons)
        emitted = self.emitted[first.name]
        if not np.isin(emitted, (0, 1)).all():
            yield (
                f"it gives up to {emitted.max():g} in a step, where a neuron of a "
                "graph gives 0 or "
                "1"
            )
        if population.lost:
            yield population.lost
        if not population.resets:
            yield "its neurons are never reset, those of a graph are"
        dynamics = dynamics_of(node, conventions, np.float32)
        gain = dynamics.membrane.gain
        if node.kind == "IF" and not is_alike(1.0, gain):
            yield f"what arrives counts {gain[0]:.6g} times in the graph: is dt right?"
        keeps = {"potential": dynamics.membrane.keep, "current": dynamics.keep_current}
        for (state, kept), own in zip(keeps.items(), population.keeps, strict=False):
            if kept is not None and not is_alike(own, kept):
                first_own = float(torch.as_tensor(own).reshape(-1)[0])
                yield (
                    f"in a step its neurons keep {first_own:.6g} of their {state}, "
                    "those of the "
                    f"graph {kept[0]:.6g}: dt, or what the exporter makes of a "
                    "time constant"
                )

    def _causes_before(self, place: ModulePlace) -> Iterator[str]:
        """In what leads to a population."""
        for before in takewhile(
            lambda other: other is not place, self.watch.places.values()
        ):
            padding = getattr(before.module, "padding_mode", "zeros")
            if padding != "zeros":
                yield f"{before.name} has the padding {padding!r}, a graph has zeros"
            if before.name in self.missing:
                yield (
                    f"the weights of {before.name} are not in the graph, which may "
                    "be an older "
                    "export"
                )

    def _causes_in_conventions(
        self, conventions: Conventions, first: LayerComparison
    ) -> Iterator[str]:
        """With another one all spikes of the population agree."""
        for name, allowed in ALLOWED.items():
            now = getattr(conventions, name)
            if now is None:
                continue
            for value in allowed:
                try:
                    layers = self.compared(
                        Conventions(**asdict(conventions) | {name: value})
                    )
                except ParameterError:
                    continue
                if any(
                    layer.name == first.name and layer.step is None for layer in layers
                ):
                    yield (
                        f"{name} is given as {now}: with {value} the spikes of "
                        f"{first.name} agree"
                    )


def matched(network: ImportedGraph, firing: list[ModulePlace]) -> dict[str, str]:
    """Populations of a module and those of a graph: by their names, or else in their
    order.

    Raises:
        ArtifactError: there are more of them on one side, or their sizes differ.
    """
    nodes = [node for node in network.of(Neurons) if node.spikes]
    by_name = [
        [node for node in nodes if _is_named_after(node, place)] for place in firing
    ]
    if all(len(namesakes) == 1 for namesakes in by_name):
        nodes = [namesakes[0] for namesakes in by_name]
    if not firing or [place.n_out for place in firing] != [
        node.n_out for node in nodes
    ]:
        raise ArtifactError(
            f"the module's populations that fire are {_sizes(firing)}; the graph's "
            f"{_sizes(nodes)}."
        )
    return {place.name: node.name for place, node in zip(firing, nodes, strict=True)}


def _sizes(populations: Iterable[ModulePlace | Neurons]) -> str:
    words = [f"{population.name} of {population.n_out:,}" for population in populations]
    return ", ".join(words) or "none that are known"


def _is_named_after(node: Neurons, place: ModulePlace) -> bool:
    """Whether a node has the name of a module, or is part of a nested graph that has
    it.
    """
    own_name = place.name.rpartition(" ")[2]  # without the class before a number
    return f"{node.name}.".startswith(f"{own_name}.")


def is_alike(ours: Any, theirs: NDArray[Any]) -> bool:
    """Whether numbers of a module are those of a graph, each by itself, or one of
    all.
    """
    own = torch.as_tensor(ours).detach().float().cpu().numpy().reshape(-1)
    return own.size in (1, theirs.size) and np.allclose(own, theirs, rtol=_ALIKE)
