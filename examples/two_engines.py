"""Train the same network with both engines, which share no arithmetic.

The event engine adds the weights of the synapses that a spike reaches; the dense engine
is plain PyTorch and multiplies every zero. In float64 they agree on every spike.
"""

import sys
import time

import numpy as np

from spikejoule.data.sources.mnist5k import load_mnist5k
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.engine.learning import make_trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.torch_twin import initial_state

BATCH = 50
BATCHES = 4
TOLERANCE = 1e-9


def main() -> None:
    images = load_mnist5k().train.select(slice(BATCH * BATCHES))
    encoder = Poisson(time_window=20, max_rate=80.0)
    events = encoder.events(
        images.images, encoder.draw_key(42, "train", 1), images.index
    )
    network = Network.of_layers(784, (100,), 10)
    state = {
        name: 3 * value.numpy()
        for name, value in initial_state(network, seed=42).items()
    }
    learning = LearningSettings(
        surrogate="fast_sigmoid", logit_scale=0.3, label_smoothing=0.1
    )
    trainers = [
        make_trainer(name, network, state, learning, dtype=np.float64)
        for name in ("event", "dense")
    ]
    print("compiling, once per machine")
    for trainer in trainers:
        trainer.warm_up(events.select(slice(BATCH)))
    seconds = [0.0, 0.0]
    for first in range(0, len(images), BATCH):
        batch = slice(first, first + BATCH)
        outcomes = []
        for number, trainer in enumerate(trainers):
            started = time.perf_counter()
            outcomes.append(
                trainer.train_batch(events.select(batch), images.labels[batch], 0.003)
            )
            seconds[number] += time.perf_counter() - started
        event, dense = outcomes
        print(
            f"loss {event.mean_loss:.12f} and {dense.mean_loss:.12f}, spikes "
            f"{event.spikes}"
        )
        if (
            event.spikes != dense.spikes
            or event.synaptic_events != dense.synaptic_events
        ):
            sys.exit(f"error: the dense engine counts {dense.spikes}.")
    differences = [
        np.abs(value - trainers[1].state()[name]).max()
        for name, value in trainers[0].state().items()
    ]
    print(f"largest difference of a weight: {max(differences):.1e}")
    print(f"seconds in training: event {seconds[0]:.2f}, dense {seconds[1]:.2f}")
    if max(differences) > TOLERANCE:
        sys.exit(f"error: the weights differ by more than {TOLERANCE}.")


if __name__ == "__main__":
    main()
