"""The engines beside the plain loops: what all of them must agree in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.interface import Engine
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests import naive
from tests.tools.without_torch import WITH_TORCH

RELATIVE = 1e-9
LEARNING = LearningSettings(logit_scale=0.3, label_smoothing=0.1)


def engines(
    network: Network,
    state: Mapping[str, Any],
    learning: LearningSettings = LEARNING,
    dtype: type = np.float64,
) -> list[Engine]:
    """The same network in each engine; in the event engine alone without PyTorch."""
    names = ("event", "dense") if WITH_TORCH else ("event",)
    return [make_engine(name, network, dict(state), learning, dtype) for name in names]


def by_loops(
    network: Network,
    state: Mapping[str, Any],
    dense: np.ndarray,
    labels: np.ndarray,
    learning: LearningSettings = LEARNING,
    teacher: np.ndarray | None = None,
    **others: Any,
) -> naive.Batch:
    """A batch of samples [B, T, I] by the loops; `others` go to `naive.Model`."""
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    loss = naive.Loss(
        logit_scale=learning.logit_scale,
        smoothing=learning.label_smoothing,
        share=learning.distillation,
        teacher=teacher,
        spike_penalty=(learning.spike_penalty, learning.spike_target),
        event_penalty=(learning.event_penalty, learning.event_target),
    )
    model = naive.Model(
        naive.Neuron(neuron.threshold, neuron.decay, neuron.reset),
        (learning.surrogate, learning.chosen_surrogate.slope),
        loss,
        **others,
    )
    return naive.batch_gradient(state, dense, labels.tolist(), model)


def assert_gradients(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal, but for the rounding of the largest one of the network."""
    assert found.keys() == expected.keys()
    # What reaches an early layer may be large terms that cancel to nothing.
    scale = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        np.testing.assert_allclose(
            found[name],
            gradient,
            rtol=RELATIVE,
            atol=1e-13 * scale + 1e-14,
            err_msg=name,
        )


def assert_spikes(found: Sequence[EventList], expected: Sequence[np.ndarray]) -> None:
    """Well-formed, and the same in every layer."""
    for layer, fired in zip(found, expected, strict=True):
        layer.check()
        assert np.array_equal(layer.to_dense(np.int64), fired)


def assert_agrees(
    engine: Engine,
    events: EventList,
    labels: np.ndarray,
    expected: naive.Batch,
    teacher: np.ndarray | None = None,
    macs: int | None = None,
) -> None:
    """Spikes, counts, loss and gradients are those of the loops, each time."""
    assert_spikes(engine.run(events), expected.spikes)
    outcome, gradients = engine.gradients(events, labels, teacher)
    assert outcome.spikes == expected.totals, engine.name
    assert outcome.synaptic_events == expected.events
    assert outcome.input_macs == macs
    assert outcome.correct == expected.correct
    assert outcome.mean_loss == pytest.approx(expected.loss, rel=RELATIVE)
    assert_gradients(gradients, expected.gradients)
    again, repeated = engine.gradients(events, labels, teacher)
    assert again == outcome
    assert all(np.array_equal(gradients[name], repeated[name]) for name in gradients)
