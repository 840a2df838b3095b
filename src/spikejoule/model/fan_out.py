"""Synapses that a spike reaches, and the synaptic events that spikes therefore cause."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.model.architecture import Architecture

Number = TypeVar("Number", int, float)


def fan_outs_by_source(
    state: Mapping[str, NDArray[Any]], architecture: Architecture, pruned: bool = False
) -> tuple[NDArray[np.int64], ...]:
    """Synapses that one spike of each source reaches, int64 [units] for each layer but the last.

    Args:
        state: parameters by name.
        architecture: layer sizes.
        pruned: whether synapses were removed in training. A removed synapse has a weight of exactly
            zero and carries no event; without pruning a weight of zero is a synapse like others.
    """
    if not pruned:
        return tuple(
            np.full(size, fan_out, dtype=np.int64)
            for size, fan_out in zip(
                architecture.layer_sizes[:-1], architecture.fan_outs, strict=True
            )
        )
    return tuple(
        np.count_nonzero(state[f"layer{layer}.synapses.weight"], axis=0).astype(np.int64)
        for layer in range(1, len(architecture.layer_sizes))
    )


def targets_by_source(
    state: Mapping[str, NDArray[Any]], architecture: Architecture, pruned: bool = False
) -> tuple[NDArray[np.uint64], ...]:
    """The neurons that one spike of each source reaches, for each layer but the last.

    Args:
        state, architecture, pruned: as for :func:`fan_outs_by_source`.

    Returns:
        uint64 [units, words] for each layer: neuron j of the next one is bit j % 64 of word
        j // 64.
    """
    return tuple(
        _as_words(
            state[f"layer{layer}.synapses.weight"].T != 0
            if pruned
            else np.ones((architecture.layer_sizes[layer - 1], n_targets), dtype=np.bool_)
        )
        for layer, n_targets in enumerate(architecture.fan_outs, start=1)
    )


def _as_words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    n_sources, n_targets = bits.shape
    padded = np.zeros((n_sources, -(-n_targets // 64) * 64), dtype=np.bool_)
    padded[:, :n_targets] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def synaptic_events_per_sample(
    layers: Sequence[EventList], fan_outs: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Synaptic events of each sample in each weight matrix, int64 [N, L - 1].

    Args:
        layers: the spikes of each of the L layers, the input first; the output's reach no synapse.
        fan_outs: synapses that each source reaches, from :func:`fan_outs_by_source`.
    """
    columns = []
    for events, fan_out in zip(layers[:-1], fan_outs, strict=True):
        before = np.zeros(events.n_events + 1, dtype=np.int64)
        np.cumsum(fan_out[events.sources], out=before[1:])
        columns.append(np.diff(before[events.offsets[:: events.n_steps]]))
    return np.stack(columns, axis=1)


def synaptic_events_per_connection(
    spikes: Mapping[str, Number], architecture: Architecture
) -> tuple[Number, ...]:
    """Synaptic events that each layer's spikes cause: spikes times fan-out.

    Args:
        spikes: spikes of each layer by name, totals or means; the output's reach no synapse.
        architecture: for the fan-outs of a fully connected network.

    Returns:
        one number for each weight matrix, from the input side.
    """
    senders = architecture.layer_names[:-1]
    return tuple(
        spikes[name] * fan_out for name, fan_out in zip(senders, architecture.fan_outs, strict=True)
    )
