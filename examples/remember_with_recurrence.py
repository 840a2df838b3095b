"""Delayed coincidences, which no feed-forward network without memory can learn.

One of four channels fires, and some steps later its echo on a second channel; the class
is the delay. The window is a ring, so every single step occurs equally often with
either delay: a network that sees only single steps cannot do better than guess. A
feed-forward network with a decay of 0 is such a network, since it keeps no potential
from step to step; recurrent weights remember.
"""

import sys

import numpy as np

from spikejoule.encoding.events import EventList
from spikejoule.engine import EngineSettings
from spikejoule.engine.learning import chosen_trainer
from spikejoule.network.layers import layers_of
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire

CHANNELS = 4
DELAYS = (2, 4)
STEPS = 8
EPOCHS = 20


def delayed_coincidences(number: int, seed: int) -> tuple[EventList, np.ndarray]:
    """Spikes [N, T, 2 CHANNELS], and which of DELAYS each sample has."""
    generator = np.random.default_rng(seed)
    samples = np.arange(number)
    labels = generator.integers(0, len(DELAYS), number)
    channels, begins = generator.integers(0, (CHANNELS, STEPS), (number, 2)).T
    spikes = np.zeros((number, STEPS, 2 * CHANNELS), dtype=bool)
    spikes[samples, begins, channels] = True
    spikes[
        samples, (begins + np.array(DELAYS)[labels]) % STEPS, CHANNELS + channels
    ] = True
    return EventList.from_dense(spikes), labels


def accuracy_percent(word: str) -> float:
    """Train one hidden layer on 2,000 samples; its accuracy on 1,000 others."""
    neuron = LeakyIntegrateAndFire(decay=0.0)
    network = Network.of_chain((2 * CHANNELS,), layers_of([word]), len(DELAYS), neuron)
    learning = LearningSettings(logit_scale=1.0, grad_clip_norm=1.0)
    trainer, _ = chosen_trainer(EngineSettings(), network, learning, 1)
    events, labels = delayed_coincidences(2000, seed=1)
    test, test_labels = delayed_coincidences(1000, seed=2)
    generator = np.random.default_rng(3)
    for epoch in range(EPOCHS):
        order = generator.permutation(len(labels))
        for chosen in np.split(order, range(50, len(order), 50)):
            trainer.train_batch(
                events.select(chosen), labels[chosen], 0.01 * (1 - epoch / EPOCHS)
            )
    output = trainer.run(test)[-1]
    predictions = trainer.network.readout.predict(output)
    return 100 * float((predictions == test_labels).mean())


def main() -> None:
    feed_forward = accuracy_percent("96")
    recurrent = accuracy_percent("96r")
    print(
        f"test accuracy: {feed_forward:.1f} % feed-forward, {recurrent:.1f} % recurrent"
    )
    if feed_forward > 80 or recurrent < 95:
        sys.exit("error: feed-forward learned the delay, or recurrent did not.")


if __name__ == "__main__":
    main()
