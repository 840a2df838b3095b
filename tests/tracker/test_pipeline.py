"""The pipeline's networks in a user's own loop: the pipeline's counts and joules."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import spikejoule
from spikejoule.counts.training import TrainingRecord, TrainingSetup, record_of_epochs
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.energy.dataflow import DENSE, TRAINING_RANGE
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import load_profiles, price
from spikejoule.energy.training.counting import count_training
from spikejoule.engine.learning import BatchOutcome, make_trainer
from spikejoule.network.layers import ConvolutionLayer, DenseLayer, HiddenLayer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.sections import EpochRecord, TrainingConfigSection
from spikejoule.network.surrogates import SURROGATES
from spikejoule.tracker.energies import COUNTED
from tests.energy.test_training_witness import (
    CLASSES,
    DATAFLOWS,
    RATE,
    batches_of,
    in_dataflow,
    state_of,
)
from tests.energy.training_witness import VARIANTS, Setting
from tests.tracker.chains import Chain, neurons_of

STEPS = 8
Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def trained_here(
    setting: Setting, state: Any, epochs: list[list[Any]]
) -> spikejoule.Tracker:
    """Train the network in a plain PyTorch loop, tracked."""
    learning = setting.learning
    surrogate = learning.chosen_surrogate
    model = Chain(setting.network, state, surrogate)
    optimizer = torch.optim.Adam(
        model.parameters(), setting.rate, weight_decay=learning.weight_decay
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=learning.label_smoothing)
    with spikejoule.track(
        model, optimizer, time_axis=0, neurons=neurons_of(learning.surrogate)
    ) as tracker:
        for batches in epochs:
            for samples, labels in batches:
                x = torch.from_numpy(np.array(samples)).double().transpose(0, 1)
                optimizer.zero_grad()
                scores = model(x).sum(dim=0) * learning.logit_scale
                loss_of(scores, torch.from_numpy(np.array(labels))).backward()
                if learning.grad_clip_norm:
                    limit = learning.grad_clip_norm
                    nn.utils.clip_grad_norm_(model.parameters(), limit)
                optimizer.step()
            tracker.end_epoch()
    return tracker


def by_place(counted: OperationCounts, epoch: int = 0) -> Counter[tuple[str, ...]]:
    """The counts of an epoch by phase, term and place, places as the pipeline's.

    A tracked graph counts adding a bias where the module has it.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for column, count in zip(counted.columns, counted.counts[epoch], strict=True):
        place = column.place.removeprefix("Neurons ")
        if column.term in ("bias_addition", "bias_read"):
            place = place.rpartition("_to_")[2]
        counts[column.phase, column.term, place] += int(count)
    return counts


# The pipeline itself


@pytest.mark.parametrize("hidden", [(40,), (30, 20)])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_spikes_events_and_joules_are_those_of_the_pipeline(
    hidden: tuple[int, ...], clip: float
) -> None:
    network = Network.of_layers(784, hidden, 10)
    learning = LearningSettings(weight_decay=1e-5, grad_clip_norm=clip, logit_scale=0.3)
    setting = Setting(network, learning, 0.003, 8, STEPS, 20)
    generator = np.random.default_rng(1)
    state = {
        name: generator.normal(0, 3 / np.sqrt(shape[-1]), shape)
        for name, shape in network.parameter_shapes().items()
    }
    epochs = [batches_of_digits(generator) for _ in range(3)]
    theirs = record_of_pipeline(setting, state, epochs)
    tracker = trained_here(setting, state, epochs)
    ours = tracker.record
    for name, own in zip(network.layer_names, ours.network.layer_names, strict=True):
        expected = theirs.activity.spikes_of(name)
        assert (ours.activity.spikes_of(own) == expected).all()
        assert expected.all()
    assert (ours.activity.events == theirs.activity.events).all()
    assert (ours.touched == theirs.touched).all()
    assert ours.gradients_reached is not None
    assert (ours.gradients_reached == theirs.gradients_reached).all()
    for dataflow in DATAFLOWS:
        counted = count_training(ours, dataflow, COUNTED)
        expected_counts = count_training(theirs, dataflow, COUNTED)
        for epoch in range(3):
            assert by_place(counted, epoch) == by_place(expected_counts, epoch)
        for prices in load_profiles().values():
            pj = price(counted, prices)
            np.testing.assert_array_equal(pj, price(expected_counts, prices))


def batches_of_digits(generator: np.random.Generator) -> list[Batch]:
    """Two full batches and a smaller one of random spikes."""
    return [
        (
            (generator.random((size, STEPS, 784)) < 0.1).astype(int),
            generator.integers(0, 10, size),
        )
        for size in (8, 8, 4)
    ]


def record_of_pipeline(
    setting: Setting, state: Any, epochs: list[list[Batch]]
) -> TrainingRecord:
    """Train with the pipeline's event engine, and record it as the train stage does."""
    engine = make_trainer("event", setting.network, state, setting.learning, np.float64)
    history = []
    for number, batches in enumerate(epochs, start=1):
        outcomes = [
            engine.train_batch(EventList.from_dense(samples), labels, setting.rate, 0)
            for samples, labels in batches
        ]
        history.append(epoch_of(number, outcomes))
    config = TrainingConfigSection(
        batch_size=setting.batch_size,
        weight_decay=setting.learning.weight_decay,
        grad_clip_norm=setting.learning.grad_clip_norm,
        surrogate=setting.learning.surrogate,
    )
    encoder = Poisson(time_window=STEPS, max_rate=80.0)
    record = record_of_epochs(
        TrainingSetup(setting.network, encoder, config, "event"), history
    )
    assert record is not None
    return record


def epoch_of(number: int, outcomes: list[BatchOutcome]) -> EpochRecord:
    def sums(name: str) -> tuple[int, ...]:
        return tuple(np.sum([getattr(one, name) for one in outcomes], axis=0).tolist())

    return EpochRecord(
        epoch=number,
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy_percent=50.0,
        validation_accuracy_percent=50.0,
        spikes=sums("spikes"),
        synaptic_events=sums("synaptic_events"),
        synapses_touched=sums("synapses_touched"),
        gradients_reached=sums("gradients_reached"),
        pruned_fraction=0.0,
        samples=20,
    )


# Plain loops


@st.composite
def trainings(draw: st.DrawFn) -> tuple[Setting, int]:
    """A network without pooling, and how it is trained."""
    layers: list[HiddenLayer] = []
    shape: tuple[int, ...] = (draw(st.integers(1, 6)),)
    if draw(st.booleans()):
        shape = (draw(st.sampled_from([1, 2])), 4, 3)
        kernel = draw(st.integers(1, 3))
        layers.append(
            ConvolutionLayer(
                channels=2,
                kernel=kernel,
                stride=draw(st.integers(1, 2)),
                padding=draw(st.integers(0, kernel - 1)),
                groups=draw(st.sampled_from([1, shape[0]])),
            )
        )
    for _ in range(draw(st.integers(0 if layers else 1, 2))):
        layers.append(DenseLayer(draw(st.integers(1, 5)), draw(st.booleans())))
    reset = draw(st.sampled_from(["zero", "subtract"]))
    learned = ["none", "threshold"] if reset == "subtract" else ["none", "both"]
    neuron = LeakyIntegrateAndFire(
        decay=0.8,
        threshold=0.7,
        reset=reset,
        bias=draw(st.booleans()),
        learned=draw(st.sampled_from(learned)),
    )
    learning = LearningSettings(
        surrogate=draw(st.sampled_from(sorted(SURROGATES))),
        logit_scale=0.3,
        weight_decay=draw(st.sampled_from([0.0, 0.01])),
        grad_clip_norm=draw(st.sampled_from([0.0, 0.01])),
    )
    network = Network.of_chain(shape, layers, CLASSES, neuron)
    n_steps = draw(st.integers(2, 4))
    setting = Setting(network, learning, RATE, 2, n_steps, 3)
    return setting, draw(st.integers(0, 10**6))


@settings(max_examples=60, deadline=None)
@given(trainings())
def test_counts_are_those_of_plain_loops(drawn: tuple[Setting, int]) -> None:
    """60 networks: every operation of every phase, as loops that count themselves."""
    setting, seed = drawn
    setting, state = state_of(setting, seed)
    batches = batches_of(setting, seed)
    record = trained_here(setting, state, [batches]).record
    # In this loop, spikes of the last step reach no recurrent weight: the ledger's do.
    is_recurrent = any(setting.network.recurrent_connections)
    for dataflow in (DENSE,) if is_recurrent else (*TRAINING_RANGE, DENSE):
        kind = VARIANTS["event" if dataflow.skips_zeros else "dense"]
        loops = kind(in_dataflow(setting, dataflow), state)
        for batch in batches:
            loops.train_batch(*batch)
        expected = {
            key: count
            for key, count in loops.machine.counts.items()
            if key[0] in COUNTED and count
        }
        assert by_place(count_training(record, dataflow, COUNTED)) == expected
