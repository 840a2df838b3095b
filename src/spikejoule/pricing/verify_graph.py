"""Compare a PyTorch model with the NIR graph exported from it, spike by spike.

Both run on the same spikes, and each firing population of the model is compared with
the graph's. Before the first step in which a population differs all are equal, so the
cause is in that population or in the layers that lead to it. Parameters that both have
are compared, too, because a difference may change no spike.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from pydantic import InstanceOf
from torch import Tensor, nn

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Neurons
from spikejoule.nir.conventions import Conventions, conventions_of
from spikejoule.nir.reading import network_of, read_nir
from spikejoule.nir.running import run_graph
from spikejoule.nir.verification import LayerComparison, Verification
from spikejoule.pricing.arguments import checked
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import NORMS, WEIGHTED
from spikejoule.pricing.modules.neurons import Describe, Known, Population
from spikejoule.pricing.parameters import (
    differing_constants,
    differing_weights,
    is_named_after,
    paired_layers,
)
from spikejoule.pricing.running.run import (
    Loop,
    Run,
    Stepping,
)
from spikejoule.pricing.running.samples import TimeAxis, batches_of
from spikejoule.pricing.watching.watch import Watch

_BATCH_SIZE: Final = 64


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
    """Run a model and a graph on the same spikes; compare spikes and parameters.

    Args:
        model: from which the graph was exported.
        graph: a NIR file, or a graph in memory.
        samples: input spikes, zeros and ones, as `spikejoule.price` takes them.
        given: what the graph does not say about how it is run.
        time_axis: the time axis of a batch, 0 or 1.
        loop: who makes the steps, as for `spikejoule.price`.
        neurons: your own classes of neurons, as for `spikejoule.price`.

    Raises:
        ParameterError, ArtifactError, DataError: as for `spikejoule.price` and
            `run_graph`; also if the samples are not spikes over time, or the
            model's populations are not those of the graph.
    """
    if time_axis == "none":
        raise ParameterError(
            "time_axis is 'none', but a graph runs on spikes over time"
        )
    if isinstance(graph, str | os.PathLike):
        graph = read_nir(graph)
    network = graph if isinstance(graph, ImportedGraph) else network_of(graph)
    conventions = conventions_of(network, given or Conventions())
    stepping = Stepping(time_axis, loop)
    run = Run(model, Known.of(model, neurons), stepping, records=True)
    events = _run_on_spikes(run, samples, time_axis)
    populations = _compared(run.watch, network, events, conventions)
    places = run.watch.places
    layers = [place for place in places.values() if isinstance(place.module, WEIGHTED)]
    partners = paired_layers(layers, network.connections)
    # No spike shows layers after the last population: an exporter may have dropped a
    # readout.
    shown = [*places].index(populations[-1].name)
    absent = [
        name
        for name in [*places][shown:]
        if places[name] in layers and name not in partners
    ]
    parameters: list[str] = []
    # A graph has no batch norms: they are folded into its weights.
    if not any(isinstance(module, NORMS) for module in model.modules()):
        for name, node in partners.items():
            parameters += differing_weights(places[name], node, network.connections)
    for pair in populations:
        neurons_of_graph: Any = network.nodes[pair.node]
        place = places[pair.name]
        parameters += differing_constants(place, neurons_of_graph, conventions)
    return Verification(
        layers=populations,
        absent=", ".join(absent),
        parameters=parameters,
        module=", ".join(
            f"{package} {version(package)}" for package in run.known.packages
        ),
        conventions=asdict(conventions),
        n_samples=events.n_samples,
        n_steps=events.n_steps,
    )


def _run_on_spikes(run: Run, samples: Any, time_axis: TimeAxis) -> EventList:
    """Run a model on samples, and return them as events.

    Raises:
        DataError: there are no samples, or they are not spikes.
    """
    spikes: list[Tensor] = []
    for batch in batches_of(samples, time_axis, _BATCH_SIZE):
        x = batch.samples
        if not ((x == 0) | (x == 1)).all():
            raise DataError(
                "the samples have values other than 0 and 1: a graph takes spikes."
            )
        run.take(x)
        by_sample = x if time_axis == 1 else x.transpose(0, 1)
        spikes.append(by_sample.flatten(2).bool().cpu())
    if not spikes:
        raise DataError("there are no samples, and at least one is needed.")
    return EventList.from_dense(torch.cat(spikes).numpy())


def _compared(
    watch: Watch, network: ImportedGraph, events: EventList, conventions: Conventions
) -> list[LayerComparison]:
    """Run the graph, and compare each population of the model with the graph's."""
    nodes = matched(network, [watch.places[name] for name in watch.calls.spikes])
    run = run_graph(network, events, conventions, record=[*nodes.values()])
    layers = []
    for name, node in nodes.items():
        batches = watch.calls.spikes[name].values()
        ours = torch.cat([torch.cat(calls, dim=1) for calls in batches]).numpy()
        differs = ours != run.recorded[node].to_dense(np.float32)
        steps = np.flatnonzero(differs.any(axis=(0, 2)))
        layers.append(
            LayerComparison(
                name=name,
                node=node,
                spikes=int(np.count_nonzero(ours)),
                differing=int(np.count_nonzero(differs)),
                step=int(steps[0]) if steps.size else None,
            )
        )
    return layers


def matched(network: ImportedGraph, firing: list[ModulePlace]) -> dict[str, str]:
    """Pair the firing populations of a model with nodes, by name or else in order.

    Raises:
        ArtifactError: one side has more of them, or their sizes differ.
    """
    nodes = [node for node in network.of(Neurons) if node.spikes]
    by_name = [
        [node for node in nodes if is_named_after(node, place)] for place in firing
    ]
    if all(len(namesakes) == 1 for namesakes in by_name):
        nodes = [namesakes[0] for namesakes in by_name]
    our_sizes = [place.n_out for place in firing]
    if not firing or our_sizes != [node.n_out for node in nodes]:
        raise ArtifactError(
            f"the module's populations that fire are {_sizes(firing)}; the graph's "
            f"{_sizes(nodes)}."
        )
    return {place.name: node.name for place, node in zip(firing, nodes, strict=True)}


def _sizes(populations: Iterable[ModulePlace | Neurons]) -> str:
    words = [f"{population.name} of {population.n_out:,}" for population in populations]
    return ", ".join(words) or "none that are known"
