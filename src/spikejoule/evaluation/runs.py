"""Ways of running a spiking network, counted: what each sample takes in each way.

The network runs its whole window or stops early, and updates its neurons in every step
(clocked) or only when needed (lazy). Prices follow from these counts alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, check
from spikejoule.core.npz import arrays_digest, part_of
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.core.store import FilePath
from spikejoule.counts.measurement import (
    LayerCounts,
    Measurement,
    activity_of_layers,
    clocked_updates,
    layers_of_activity,
)
from spikejoule.counts.records import Activity
from spikejoule.encoding.encoder import Encoder, EncodingOperations
from spikejoule.evaluation.early_exit import (
    EarlyExit,
    exit_steps,
    step_outcomes,
    stopped_after,
)
from spikejoule.network.checkpoint import Checkpoint

WHOLE_WINDOW: Final = "whole window"
EARLY_EXIT: Final = "early exit"
"""Methods of running a spiking network."""


@dataclass(frozen=True, eq=False)
class CountedSamples:
    """What a spiking network did for N test samples.

    Attributes:
        runs: what it did in each way of running it; first the whole window, clocked.
        labels: class of each sample, [N]; None if unknown.
        early: the rule of early exit and its accuracies; None without.
    """

    runs: tuple[Activity, ...]
    labels: NDArray[Any] | None = None
    early: EarlyExit | None = None

    @property
    def n_samples(self) -> int:
        """N."""
        return self.runs[0].n_rows


def counted_runs(
    measured: Measurement,
    encoder: Encoder,
    images: NDArray[np.uint8] | None,
    exits: NDArray[np.int64] | None = None,
) -> tuple[Activity, ...]:
    """Count every way of running a network: first the whole window, clocked.

    Lazy updates are counted as well if they are fewer.

    Args:
        measured: the spikes of N samples in the network.
        encoder: the encoder of the samples.
        images: uint8 [N, height, width]; None for samples that are not images.
        exits: number of steps, from 1, that each sample runs for with early exit, [N];
            None without early exit.
    """
    encoding = None if images is None else encoder.operations(images)
    runs = _clocked_and_lazy(measured, None, encoding)
    if exits is not None:
        stopped = stopped_after(measured, exits)
        encoding = None if images is None else encoder.operations(images, exits)
        runs += _clocked_and_lazy(stopped, exits, encoding)
    return tuple(runs)


def _clocked_and_lazy(
    measured: Measurement,
    exits: NDArray[np.int64] | None,
    encoding: EncodingOperations | None,
) -> list[Activity]:
    """Count with clocked updates, and with lazy ones if they are fewer.

    `exits` [N] are the steps after which samples stop; None for the whole window.
    """
    steps = np.full(measured.n_samples, measured.time_window)
    clocked = clocked_updates(measured.network, steps if exits is None else exits)
    # With a bias, lazy updates are counted over the whole window, so after an early
    # exit they would exceed the clocked ones.
    lazy = np.minimum(measured.lazy_updates, clocked)
    activity = measured.activity(clocked, exits)
    runs = [replace(activity, encoding=encoding)]
    if (lazy < clocked).any():
        activity = measured.activity(lazy, exits)
        runs.append(replace(activity, encoding=encoding, lazy=True))
    return runs


def method_of(run: Activity) -> str:
    """Name the method of a run."""
    return WHOLE_WINDOW if run.exit_steps is None else EARLY_EXIT


def exits_of(
    measured: Measurement, labels: NDArray[Any], early: EarlyExit
) -> NDArray[np.int64]:
    """Return the step after which each sample stops by a rule of early exit, [N]."""
    return exit_steps(step_outcomes(measured, labels), early.margin)


_ENCODING: Final = tuple(field.name for field in fields(EncodingOperations))
_ARRAYS_OF_RUN: Final = {
    "spikes": Array("int64", ("N", "L"), low=0, high=2**40),
    "events": Array("int64", ("N", "C"), low=0, high=2**40),
    "updates": Array("int64", ("N", "*"), low=0, high=2**40),
    "macs": Array("int64", ("N",), low=0, high=2**40),
    "exit_steps": Array("int64", ("N",), low=1),
    "encoding": Array("int64", ("N", len(_ENCODING)), low=0, high=2**40),
}
"""The arrays of a run; the first three are always there."""


def _problem(arrays: Arrays) -> str:
    """Describe what is wrong with a file of runs; empty if nothing is."""
    methods = arrays["methods"].tolist()
    if not methods or not len(arrays["labels"]):
        return "there are no runs, or no samples"
    ways = list(zip(methods, arrays["lazy"].tolist(), strict=True))
    if ways[0] != (WHOLE_WINDOW, 0) or len(set(ways)) < len(ways):
        return f"the runs are {ways}; the first must be the whole window, none twice"
    has_encoding = "run0.encoding" in arrays
    allowed = set(_ARRAYS_OF_FILE)
    for number, method in enumerate(methods):
        if method not in (WHOLE_WINDOW, EARLY_EXIT):
            return f"the method {method!r} is not known"
        needed = {"spikes", "events", "updates"}
        if method == EARLY_EXIT:
            needed.add("exit_steps")
        if has_encoding:
            needed.add("encoding")
        names = {f"run{number}.{name}" for name in needed}
        missing = sorted(names - set(arrays))
        if missing:
            return f"{missing[0]} is missing"
        allowed |= names | {f"run{number}.macs"}
    unknown = sorted(set(arrays) - allowed)
    return f"{unknown[0]} belongs to no run" if unknown else ""


_ARRAYS_OF_FILE: Final = {
    "methods": Array("U", ("K",)),
    "lazy": Array("uint8", ("K",), high=1),
    "labels": Array("uint8", ("N",)),
    "weights_sha256": Array("U", ()),
}
RUNS: Final = ArrayFile(
    "spikejoule/counted-runs/1",
    _ARRAYS_OF_FILE | {f"run*.{name}": array for name, array in _ARRAYS_OF_RUN.items()},
    relation=_problem,
)


def save_runs(
    path: FilePath,
    runs: Sequence[Activity],
    labels: NDArray[np.uint8],
    checkpoint: Checkpoint,
) -> None:
    """Write counted runs of the network in a checkpoint, and the labels [N]."""
    arrays: dict[str, NDArray[Any]] = {
        "methods": np.array([method_of(run) for run in runs]),
        "lazy": np.array([run.lazy for run in runs], np.uint8),
        "labels": labels,
        "weights_sha256": np.array(arrays_digest(checkpoint.state)),
    }
    for number, run in enumerate(runs):
        counted = layers_of_activity(run)
        known = {
            "spikes": counted.spikes,
            "events": counted.events,
            "updates": counted.updates,
            "macs": counted.macs,
            "exit_steps": counted.exit_steps,
        }
        if run.encoding is not None:
            columns = [getattr(run.encoding, name) for name in _ENCODING]
            known["encoding"] = np.stack(columns, axis=1)
        arrays |= {
            f"run{number}.{name}": array.astype(np.int64)
            for name, array in known.items()
            if array is not None
        }
    RUNS.write(path, arrays)


def load_runs(
    path: FilePath, checkpoint: Checkpoint, early: EarlyExit
) -> CountedSamples:
    """Read the counted runs of the network in a checkpoint.

    Args:
        path: a file of `save_runs`.
        checkpoint: the network that was counted.
        early: its early exit.

    Raises:
        ArtifactError: the file is missing or damaged, or is of another network.
    """
    arrays = RUNS.read(path)
    if str(arrays["weights_sha256"]) != arrays_digest(checkpoint.state):
        raise ArtifactError(f"{path} counts another network: run evaluate again.")
    network = checkpoint.network.with_weights(checkpoint.state)
    encoder = checkpoint.encoder
    runs = []
    for number, lazy in enumerate(arrays["lazy"].tolist()):
        own = part_of(arrays, f"run{number}")
        encoding = own.pop("encoding", None)
        check(path, _misfit(own, checkpoint, number))
        counted = LayerCounts(**own, products=encoder.input_products)
        activity = activity_of_layers(
            network, encoder.time_window, counted, checkpoint.pruned
        )
        operations = None if encoding is None else EncodingOperations(*encoding.T)
        runs.append(replace(activity, lazy=bool(lazy), encoding=operations))
    return CountedSamples(tuple(runs), arrays["labels"], early)


def _misfit(counts: Arrays, checkpoint: Checkpoint, number: int) -> str:
    """Describe why counts do not fit a network; empty if they do."""
    network = checkpoint.network
    steps = checkpoint.encoder.time_window
    n_layers = len(network.layers)
    needed = {
        "spikes": n_layers,
        "events": len(network.connections),
        "updates": n_layers - 1,
    }
    for name, columns in needed.items():
        if counts[name].shape[1] != columns:
            return f"run{number}.{name} does not have {columns} columns"
    most = steps * np.array(network.layer_sizes[1:])
    for name, found in (
        ("spikes", counts["spikes"][:, 1:]),
        ("updates", counts["updates"]),
    ):
        if (found > most).any():
            return f"run{number}.{name} has more than one per neuron and step"
    if "exit_steps" in counts and counts["exit_steps"].max() > steps:
        return f"run{number}.exit_steps is beyond the {steps} steps"
    if ("macs" in counts) != (checkpoint.encoder.input_products is not None):
        return f"run{number}.macs does not fit the encoding"
    return ""
