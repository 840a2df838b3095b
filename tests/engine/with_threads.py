"""Train small networks with several numbers of threads.

``python -m tests.engine.with_threads 1 16`` prints, for each case, one digest of the
results per number of threads. `NUMBA_NUM_THREADS` must be at least the largest of them
when the process starts.
"""

import hashlib
import json
import sys

import numba
import numpy as np

from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.engine.learning import make_trainer
from spikejoule.network.layers import layers_of
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from tests.tools.networks import firing_state
from tests.tools.settings import changed

POISSON = Poisson(time_window=9, max_rate=300.0)
LEARNING = LearningSettings(spike_penalty=1e-3)
CURRENTS = "constant currents"
# The network and the size of a batch
CASES = {
    "one sample": (Network.of_layers(60, (100,), 10), 1),
    "two hidden layers": (Network.of_layers(60, (100, 70), 10), 13),
    "a narrow layer": (Network.of_layers(60, (20,), 10), 64),
    "sampled deltas": (Network.of_layers(60, (100, 70, 50), 10), 13),
    "several turns": (Network.of_layers(60, (100,), 10), 300),
    "learned neurons": (
        Network.of_layers(60, (100,), 10, LeakyIntegrateAndFire(learned="both")),
        64,
    ),
    CURRENTS: (Network.of_layers(60, (100,), 10), 64),
    "integers": (Network.of_layers(60, (100,), 10, None, Quantisation(4, 16)), 64),
    "convolution, recurrence": (
        Network.of_chain((2, 6, 5), layers_of(["8c3g2", "2avg", "20r"]), 10),
        13,
    ),
}


def digest(name: str) -> str:
    """Return a digest of five training steps' results, and of the spikes after them.

    Synapses are removed after two steps.
    """
    network, batch_size = CASES[name]
    generator = np.random.default_rng(3)
    state = firing_state(network, 3)
    learning = LEARNING
    if name == "sampled deltas":
        learning = changed(LEARNING, backward="sampled", backward_fraction=0.2)
    engine = make_trainer("event", network, state, learning)
    encoder = Direct(time_window=9) if name == CURRENTS else POISSON
    results = hashlib.sha256()
    for step in range(5):
        if step == 2:
            masks = {key: np.abs(state[key]) > 0.1 for key in network.weight_names}
            engine.prune(masks)
        images = generator.integers(0, 256, (batch_size, 60), dtype=np.uint8)
        events = encoder.encode(images, encoder.draw_key(1, "train", step)).events
        labels = generator.integers(0, 10, batch_size)
        results.update(repr(engine.train_batch(events, labels, 0.01)).encode())
    for values in engine.snapshot().arrays().values():
        results.update(values.tobytes())
    for layer in engine.run(events):
        results.update(layer.sources.tobytes() + layer.offsets.tobytes())
    return results.hexdigest()


def main() -> None:
    digests: dict[str, list[str]] = {name: [] for name in CASES}
    for threads in map(int, sys.argv[1:]):
        numba.set_num_threads(threads)
        for name, values in digests.items():
            values.append(digest(name))
    print(json.dumps(digests))


if __name__ == "__main__":
    main()
