"""The counts of a training in the user's own loop as a `TrainingRecord`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import activity_of_products
from spikejoule.counts.records import Activity
from spikejoule.counts.training import TrainingRecord
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.graph import Graph
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Dense
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.pricing.activity import activity_of
from spikejoule.pricing.conventional import CALL, network_of
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import WEIGHTED
from spikejoule.tracker.learning import learned_parts
from spikejoule.tracker.passes import Passes
from spikejoule.tracker.steps import StepCounter

DATA_NOT_COUNTED = "the samples (reading, augmenting, encoding) and the loss"


@dataclass(frozen=True, eq=False)
class Recorded:
    """A training, recorded.

    Attributes:
        record: a row for each epoch.
        not_counted: what ran and is not counted, in words.
    """

    record: TrainingRecord
    not_counted: tuple[str, ...]


def recorded(
    model: nn.Module,
    passes: Passes,
    steps: StepCounter,
    accuracies_percent: Sequence[float | None],
) -> Recorded:
    """Return the record of a training; its counts end here.

    Args:
        model: the model.
        passes: those that train.
        steps: of the optimizers.
        accuracies_percent: after each epoch, as far as they are known.

    Raises:
        ArtifactError: nothing was trained, or no weights of the model can be counted.
    """
    n_rows = len(passes.batches) - (passes.batches[-1] == 0)
    activity = activity_of_passes(passes, n_rows)
    network = activity.network
    assert isinstance(network, ImportedGraph | ConventionalNetwork)
    places = passes.watch.places
    parts = learned_parts(
        model, places, network, steps.optimizers, passes.batches[:n_rows]
    )
    surrogate = _surrogate_of(places)
    not_counted = [*map(str, passes.watch.not_counted), *parts.not_counted]
    not_counted.append(DATA_NOT_COUNTED)
    if surrogate is None and not isinstance(network, ConventionalNetwork):
        not_counted.append("the surrogate derivatives (Population(surrogate=...))")
    known = [one for one in accuracies_percent[:n_rows] if one is not None]
    record = TrainingRecord(
        activity=activity,
        touched=_touched(activity, places, n_rows),
        n_epochs=n_rows,
        batch_size=passes.largest,
        weight_decay=False,
        clipping=steps.clips,
        best_validation_accuracy_percent=max(known, default=None),
        surrogate=surrogate,
        validation_accuracies_percent=(
            np.array(known) if len(known) == n_rows else None
        ),
        gradients_reached=_gradients_reached(network, passes, n_rows),
        learned=parts.learned,
    )
    return Recorded(record, tuple(not_counted))


def activity_of_passes(passes: Passes, n_rows: int) -> Activity:
    """Return what the model did in passes, in a row for each epoch.

    Raises:
        ArtifactError: there was no pass, or no weights can be counted.
    """
    if n_rows == 0:
        raise ArtifactError(
            "there was no forward pass in training mode inside the block: call "
            "model.train(), and the model itself, as in model(x)."
        )
    watch = passes.watch
    samples = np.array(passes.samples[:n_rows], np.int64)
    if any(place.population is not None for place in watch.places.values()):
        activity = activity_of(watch, passes.n_steps, FLOAT_BITS, FLOAT_BITS)
        if not any(activity.network.synapses):
            raise ArtifactError(
                "no weights of the model could be counted: "
                f"{', '.join(map(str, watch.not_counted))}."
            )
        steps = passes.n_steps or _steps_of_neurons(passes)
        rows = activity.first(n_rows)
        return replace(rows, time_window=steps, samples=samples)
    return _activity_of_values(passes, samples)


def _steps_of_neurons(passes: Passes) -> int:
    """Return the most steps that neurons have taken for a sample."""
    neurons = [
        place for place in passes.watch.places.values() if place.population is not None
    ]
    return max(calls_of(place, passes.samples) for place in neurons)


def calls_of(place: ModulePlace, samples: Sequence[int]) -> int:
    """Return how often a place ran for a sample."""
    return -(-int(place.steps.per_sample.sum()) // sum(samples))


def _activity_of_values(passes: Passes, samples: NDArray[np.int64]) -> Activity:
    """Return what a conventional network did."""
    watch = passes.watch
    watch.finish()
    network = network_of(watch, lambda place: calls_of(place, passes.samples))
    n_rows = len(samples)
    columns: list[NDArray[np.int64]] = []
    for place in watch.places.values():
        if isinstance(place.module, WEIGHTED):
            calls = calls_of(place, passes.samples)
            of_all_calls = place.reached.nonzero.per_sample[:n_rows]
            # Only the sum of all calls is known, and all cost the same.
            columns += [(of_all_calls + call) // calls for call in range(calls)]
    activity = activity_of_products(network, np.stack(columns, axis=1), samples=samples)
    return _with_active(activity, watch.places, n_rows)


def _with_active(
    activity: Activity,
    places: Mapping[str, ModulePlace],
    n_rows: int,
) -> Activity:
    """Add how many units of each layer are above zero, behind a ReLU."""
    counts = dict(activity.counts)
    before = ""
    for name, place in places.items():
        if isinstance(place.module, WEIGHTED):
            before = name
        elif isinstance(place.module, nn.ReLU) and before:
            units = f"{before} units"
            active = place.emitted.nonzero.per_sample[:n_rows]
            counts[units] = replace(counts[units], active=active)
            before = ""
    return replace(activity, counts=counts)


def _surrogate_of(places: Mapping[str, ModulePlace]) -> str | None:
    """Return the surrogate of all neurons; None if they differ, or it is not known."""
    surrogates = {
        place.population.surrogate
        for place in places.values()
        if place.population is not None and place.fires
    }
    return surrogates.pop() if len(surrogates) == 1 else None


def _touched(
    activity: Activity, places: Mapping[str, ModulePlace], n_rows: int
) -> NDArray[np.int64]:
    """Return the synapses that each sample's numbers reach, each once, [E, K]."""
    columns = []
    for name in activity.network.connection_names:
        place = places[name.partition(CALL)[0]]
        columns.append(place.touched.per_sample[:n_rows])
    return np.stack(columns, axis=1)


def _gradients_reached(
    network: Graph, passes: Passes, n_rows: int
) -> NDArray[np.int64] | None:
    """Return the gradients of weights that are not known to be zero, [E, K].

    Known in fully connected networks; None for others.
    """
    nodes = network.connections
    if not all(isinstance(node, Dense) for node in nodes):
        return None
    names = [node.name.partition(CALL)[0] for node in nodes]
    rows = [[row.get(name, 0) for name in names] for row in passes.reached[:n_rows]]
    return np.array(rows, np.int64)
