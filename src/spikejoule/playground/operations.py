"""The operations of both networks as linear functions of an image's counts."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement, clocked_updates
from spikejoule.energy.count import count_operations
from spikejoule.evaluation.early_exit import exit_steps, step_outcomes, stopped_after
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import Network
from spikejoule.playground.inputs import PlaygroundInputs
from spikejoule.playground.networks import encoder_of, first_level
from spikejoule.playground.opponent import Opponent
from spikejoule.playground.prices import LinearOperations

SOLVED_FROM: Final = 1000
"""Test images from which the prices of counts are solved."""


def spiking_operations(
    inputs: PlaygroundInputs,
) -> tuple[LinearOperations, LinearOperations]:
    """The ledger of the spiking network without and with a rule for stopping early."""
    measured = inputs.measured
    n_steps = measured.time_window
    first = measured.first(SOLVED_FROM)
    # Images that stop after all kinds of steps tell a count per step from one per
    # image.
    steps = n_steps - np.arange(first.n_samples, dtype=np.int64) * 7 % n_steps
    run = stopped_after(first, steps)
    updates = clocked_updates(measured.network, steps)
    encoding = inputs.checkpoint.encoder.operations(
        inputs.images.images[: first.n_samples], steps
    )
    without_rule, with_rule = (
        count_operations(replace(activity, encoding=encoding))
        for activity in (run.activity(updates), run.activity(updates, steps))
    )
    features = _features(run, steps, inputs)
    whole_steps = np.full(measured.n_samples, n_steps)
    whole_means = _features(measured, whole_steps, inputs).mean(axis=0)
    exits = steps_at_exit(inputs)
    stopped = stopped_after(measured, exits)
    stopping_means = _features(stopped, exits, inputs).mean(axis=0)
    layer_of = _layer_of_place(measured.network)
    return (
        LinearOperations.solve(features, without_rule, layer_of, whole_means),
        LinearOperations.solve(features, with_rule, layer_of, stopping_means),
    )


def _features(
    run: Measurement, steps: NDArray[np.int64], inputs: PlaygroundInputs
) -> NDArray[np.int64]:
    """The counts of `spikingFeatures` in `scripts/run.js` for images that stop after
    some steps, [N, F].
    """
    pixels = inputs.images.images[: run.n_samples].reshape(run.n_samples, -1)
    lit = (pixels >= first_level(encoder_of(inputs))).sum(axis=1)
    spikes = [layer.counts_per_sample() for layer in run.layers]
    ones = np.ones_like(steps)
    return np.column_stack(
        [ones, steps, lit, lit * steps, *spikes, run.synaptic_events]
    )


def n_features(network: Network) -> int:
    """F, the number of counts in `_features`."""
    return 4 + len(network.layers) + len(network.connections)


def steps_at_exit(inputs: PlaygroundInputs) -> NDArray[np.int64]:
    """The step after which each test image stops early."""
    measured = inputs.measured
    if inputs.early is None:
        return np.full(measured.n_samples, measured.time_window)
    outcomes = step_outcomes(measured, inputs.images.labels)
    return exit_steps(outcomes, inputs.early.margin)


def conventional_operations(opponent: Opponent) -> LinearOperations:
    """The ledger of the conventional network."""
    ones = np.ones((len(opponent.products), 1), np.int64)
    features = np.hstack([ones, opponent.products])
    return LinearOperations.solve(
        features,
        opponent.variant.operations,
        _layer_of_place(opponent.counts.network),
        features.mean(axis=0),
    )


def _layer_of_place(network: Network | ConventionalNetwork) -> dict[str, int]:
    """The layer of each place in a ledger; a connection is of the layer after it."""
    layers = {name: number for number, name in enumerate(network.layer_names)}
    connections = enumerate(network.connection_names, start=1)
    return layers | {name: number for number, name in connections}
