"""What the engines and the plain loops must agree in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from spikejoule.encoding.events import EventList
from spikejoule.engine.learning import BatchOutcome, Trainer, make_trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.readout import Readout
from tests import naive
from tests.tools.without_torch import WITH_TORCH

RELATIVE = 1e-9
LEARNING = LearningSettings(logit_scale=0.3, label_smoothing=0.1)
READOUTS = st.sampled_from([Readout.SPIKES, *Readout])
"""Half of the networks answer by spikes."""


def engines(
    network: Network,
    state: Mapping[str, Any],
    learning: LearningSettings = LEARNING,
    dtype: type = np.float64,
) -> list[Trainer]:
    """Return the network in both engines; only in the event engine without PyTorch."""
    names = ("event", "dense") if WITH_TORCH else ("event",)
    return [make_trainer(name, network, dict(state), learning, dtype) for name in names]


@dataclass(frozen=True)
class Case:
    """A network and a batch to learn from.

    Attributes:
        network: with LIF neurons.
        state: its parameters.
        dense: the input, [B, T, I].
        labels: [B].
        learning: how to learn.
        masks: False where a synapse is removed, by weight matrix.
    """

    network: Network
    state: Mapping[str, Any]
    dense: np.ndarray
    labels: np.ndarray
    learning: LearningSettings = LEARNING
    masks: Mapping[str, np.ndarray] | None = None

    def pruned(self, seed: int = 5) -> "Case":
        """Remove three tenths of the synapses."""
        generator = np.random.default_rng(seed)
        masks = {
            name: generator.random(self.state[name].shape) < 0.7
            for name in self.network.weight_names
        }
        state = {
            name: values * masks.get(name, True) for name, values in self.state.items()
        }
        return replace(self, state=state, masks=masks)

    def by_loops(
        self, populations: Any = None, sampling: naive.Sampling | None = None
    ) -> naive.Batch:
        """Return the results of the plain loops, on integers if it has grids."""
        network, learning = self.network, self.learning
        thresholds, decays = zip(
            *(neuron.constants for neuron in network.neurons), strict=True
        )
        loss = naive.Loss(
            logit_scale=learning.logit_scale,
            smoothing=learning.label_smoothing,
            spike_penalty=(learning.spike_penalty, learning.spike_target),
        )
        model = naive.Model(
            naive.Neuron(
                thresholds,
                decays,
                network.neuron.reset,
                network.readout.value,
                network.neuron.starts_at_bias,
            ),
            (learning.surrogate, learning.chosen_surrogate.slope),
            loss,
            populations=populations,
            pruned=self.masks is not None,
            sampling=sampling,
        )
        batch = (self.state, self.dense, self.labels.tolist(), model)
        widths = network.quantisation
        if widths is None:
            return naive.batch_gradient(*batch)
        grids = naive.Grids(widths.exponents, widths.weight_bits, widths.state_bits)
        return naive.integer_batch_gradient(*batch, grids)

    def assert_engines_agree(
        self, events: EventList, expected: naive.Batch, macs: int | None = None
    ) -> None:
        """Compare both engines with the loops; `events` are the input."""
        for engine in engines(self.network, self.state, self.learning):
            if self.masks is not None:
                engine.prune(self.masks)
            outcome = assert_agrees(engine, events, self.labels, expected)
            assert outcome.input_macs == macs


def assert_gradients(gradients: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal up to the rounding of the network's largest gradient."""
    assert gradients.keys() == expected.keys()
    # The gradient of an early layer may be a sum of large terms that cancel.
    scale = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        np.testing.assert_allclose(
            gradients[name],
            gradient,
            rtol=RELATIVE,
            atol=1e-13 * scale + 1e-14,
            err_msg=name,
        )


def assert_spikes(layers: Sequence[EventList], expected: Sequence[np.ndarray]) -> None:
    """Well-formed, and equal in every layer."""
    for layer, fired in zip(layers, expected, strict=True):
        layer.check()
        assert np.array_equal(layer.to_dense(np.int64), fired)


def assert_potentials(
    layers: Sequence[EventList], network: Network, expected: naive.Batch
) -> None:
    """An output that integrates has those of the loops; one that spikes has none."""
    output = layers[-1]
    if network.readout.is_spiking:
        assert output.potentials is None
        return
    assert output.potentials is not None
    np.testing.assert_allclose(
        output.potentials, expected.potentials, rtol=RELATIVE, atol=1e-12
    )


def assert_agrees(
    engine: Trainer,
    events: EventList,
    labels: np.ndarray,
    expected: naive.Batch,
) -> BatchOutcome:
    """Spikes, counts, loss and gradients are those of the loops, also a second time."""
    layers = engine.run(events)
    assert_spikes(layers, expected.spikes)
    assert_potentials(layers, engine.network, expected)
    outcome, gradients = engine.gradients(events, labels)
    assert outcome.spikes == expected.totals, engine.name
    assert outcome.synaptic_events == expected.events
    assert outcome.synapses_touched == expected.touched
    assert outcome.correct == expected.correct
    reached = None
    if engine.name == "event":
        inputs = events.uses_per_source()[None]
        reached = naive.gradients_reached(engine.network, inputs, expected.spikes)
    assert outcome.gradients_reached == reached
    assert outcome.mean_loss == pytest.approx(expected.loss, rel=RELATIVE)
    assert_gradients(gradients, expected.gradients)
    again, repeated = engine.gradients(events, labels)
    assert again == outcome
    assert all(np.array_equal(gradients[name], repeated[name]) for name in gradients)
    return outcome
