"""Train on your own events, without images, files or the pipeline.

Thirty inputs fire at random. In each sample one third of them fires more often than the
rest, and the network learns to recognise which.
"""

import sys

import numpy as np

from spikejoule.encoding.events import EventList
from spikejoule.engine import EngineSettings
from spikejoule.engine.learning import chosen_trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network

INPUTS = 30
CLASSES = 3
STEPS = 40
BATCH = 50
generator = np.random.default_rng(1)


def samples(number: int) -> tuple[EventList, np.ndarray]:
    """Spikes [N, T, I] of noisy inputs, and which third of them is busier."""
    labels = generator.integers(0, CLASSES, number)
    busy = np.arange(INPUTS) // (INPUTS // CLASSES) == labels[:, None]
    probability = np.where(busy, 0.12, 0.06)[:, None, :]
    spikes = generator.random((number, STEPS, INPUTS)) < probability
    return EventList.from_dense(spikes), labels


def main() -> None:
    events, labels = samples(1000)
    test_events, test_labels = samples(500)
    network = Network.of_layers(INPUTS, (32,), CLASSES)
    learning = LearningSettings(surrogate="arctangent", logit_scale=0.3)
    trainer, _ = chosen_trainer(EngineSettings(), network, learning, 1)
    print(
        f"{events.n_events:,} spikes: {100 * events.density:.1f} % of all inputs and "
        "steps"
    )
    for epoch in range(1, 9):
        losses = []
        order = generator.permutation(len(labels))
        for chosen in np.split(order, range(BATCH, len(order), BATCH)):
            outcome = trainer.train_batch(events.select(chosen), labels[chosen], 0.01)
            losses.append(outcome.mean_loss)
        output = trainer.run(test_events)[-1]
        right = (network.readout.predict(output) == test_labels).mean()
        print(
            f"epoch {epoch}: loss {np.mean(losses):.3f}, test accuracy "
            f"{100 * right:.1f} %"
        )
    if right < 0.9:
        sys.exit("error: the network has not learned which third is busy.")


if __name__ == "__main__":
    main()
