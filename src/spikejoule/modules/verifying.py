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
from torch import Tensor, nn

from spikejoule.core.errors import ArtifactError, DataError, ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.graphs.conventions import ALLOWED, Conventions, conventions_of, dynamics_of
from spikejoule.graphs.nir_in import network_of, read_nir
from spikejoule.graphs.running import Graph, run_graph
from spikejoule.graphs.verified import LayerComparison, Verification
from spikejoule.model.network import Network, Neurons
from spikejoule.modules.populations import Describe, Known, Population
from spikejoule.modules.reach import WEIGHTED
from spikejoule.modules.running import Loop, Run, TimeAxis, batches_of, check_choices
from spikejoule.modules.simulators import simulators_of
from spikejoule.modules.watching import Place, Watch

_ALIKE = 1e-5
"""How far weights and constants may be apart, relatively: exporters compute in float32."""


class Recording(Watch):
    """What every population gives, [B, T, n] of each batch, by the name of its place."""

    def __init__(self, model: nn.Module, known: Known) -> None:
        super().__init__(model, known)
        self.emitted: dict[str, dict[int, list[Tensor]]] = {}

    def _fired(self, place: Place, out: Tensor, by_step: Tensor, steps: int) -> None:
        super()._fired(place, out, by_step, steps)
        parts = self.emitted.setdefault(place.name, {}).setdefault(len(self.sizes), [])
        parts.append(by_step.detach().flatten(2).transpose(0, 1).float().cpu())

    def of(self, name: str) -> NDArray[np.float32]:
        """What a population gave, [N, T, n]."""
        batches = self.emitted[name].values()
        return torch.cat([torch.cat(parts, dim=1) for parts in batches]).numpy()


def verify(
    model: nn.Module,
    graph: "Graph | str | os.PathLike[str]",
    samples: Any,
    given: Conventions | None = None,
    *,
    time_axis: TimeAxis,
    loop: Loop = "auto",
    neurons: Mapping[type, Population | Describe] | None = None,
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
    check_choices(time_axis, loop)
    if not isinstance(model, nn.Module):
        raise ParameterError(f"model is {type(model).__name__}, but must be a module of torch")
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
    if not sum(map(len, spikes)):
        raise DataError("there are no samples, and at least one is needed.")
    events, watch = EventList.from_dense(torch.cat(spikes).numpy()), run.watch
    assert isinstance(watch, Recording)
    names = [one.package for one in known.simulators] if known.simulators else ["torch"]
    layers = compared(watch, network, events, conventions)
    found = Verification(
        layers=layers,
        absent=_absent(watch, network, layers[-1].name),
        module=", ".join(f"{one} {version(one)}" for one in names),
        conventions=asdict(conventions),
        n_samples=events.n_samples,
        n_steps=events.n_steps,
    )
    if found.first is None:
        return found
    cause = likely_cause(watch, network, events, conventions, found.first)
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


def matched(network: Network, places: list[Place]) -> dict[str, str]:
    """Populations of a module and those of a graph: by their names, or else in their order.

    Raises:
        ArtifactError: there are more of them on one side, or their sizes differ.
    """
    firing = [one for one in places if one.population is not None and one.population.fires]
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


def likely_cause(
    watch: Recording, network: Network, events: EventList, given: Conventions,
    first: LayerComparison,
) -> str:  # fmt: skip
    """Why a population differs first, in words."""
    place, node, theirs = watch.places[first.name], network.nodes[first.node], watch.of(first.name)
    assert isinstance(node, Neurons)
    if not np.isin(theirs, (0, 1)).all():
        return f"it gives up to {theirs.max():g} in a step, where a neuron of a graph gives 0 or 1"
    for words in (*_of_neurons(place, node, given), *_of_weights(watch, place, network)):
        return words
    for name, allowed in ALLOWED.items():
        now = getattr(given, name)
        for value in allowed if now is not None else ():
            try:
                other = Conventions(**asdict(given) | {name: value})
                again = compared(watch, network, events, other)
            except ParameterError:
                continue
            if next(one.step for one in again if one.name == first.name) is None:
                return f"{name} is given as {now}: with {value} the spikes of {first.name} agree"
    return "none of those that are known"


def _of_neurons(place: Place, node: Neurons, given: Conventions) -> Iterator[str]:
    """What its neurons do, and those of the graph do not."""
    population, dynamics = place.population, dynamics_of(node, given, np.float32)
    assert population is not None
    if population.lost:
        yield population.lost
    if not population.resets:
        yield "its neurons are never reset, those of a graph are"
    gain = dynamics.membrane.gain
    if node.kind == "IF" and not np.allclose(gain, 1, rtol=_ALIKE):
        yield f"what arrives counts {gain[0]:.6g} times in the graph: is dt right?"
    ours = (dynamics.membrane.keep, dynamics.keep_current)
    for what, factor, keep in zip(("potential", "current"), population.keeps, ours, strict=False):
        kept = torch.as_tensor(factor).detach().cpu().numpy().reshape(-1)
        if keep is not None and not np.allclose(kept, keep, rtol=_ALIKE):
            yield (
                f"in a step its neurons keep {kept[0]:.6g} of their {what}, those of the graph "
                f"{keep[0]:.6g}: dt, or what the exporter makes of a time constant"
            )


def _of_weights(watch: Recording, place: Place, network: Network) -> Iterator[str]:
    """Padding that no graph has, and weights that this one has not, of what ran before."""
    given = [np.float32(one.weight).reshape(-1) for one in network.connections]
    for one in takewhile(lambda one: one is not place, watch.places.values()):
        module: Any = one.module
        if getattr(module, "padding_mode", "zeros") != "zeros":
            yield f"{one.name} has the padding {module.padding_mode!r}, a graph has zeros"
        if isinstance(module, WEIGHTED) and not _is_in(given, module):
            yield f"the weights of {one.name} are not in the graph, which may be an older export"


def _is_in(given: list[NDArray[np.float32]], module: Any) -> bool:
    """Whether a layer's weights are among those of a graph."""
    own = module.weight.detach().float().cpu().numpy().reshape(-1)
    return any(w.size == own.size and np.allclose(own, w, rtol=_ALIKE) for w in given)


def _absent(watch: Recording, network: Network, last: str) -> str:
    """Layers after the last population, whose weights the graph has not."""
    given = [np.float32(one.weight).reshape(-1) for one in network.connections]
    names = [*watch.places]
    after = [watch.places[name] for name in names[names.index(last) + 1 :]]
    layers = [one for one in after if isinstance(one.module, WEIGHTED)]
    return ", ".join(one.name for one in layers if not _is_in(given, one.module))
