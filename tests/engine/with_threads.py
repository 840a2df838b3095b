"""Train small networks with several numbers of threads.

``python -m tests.engine.with_threads 1 16`` prints, for each case, one digest of the
results per number of threads. `NUMBA_NUM_THREADS` must be at least the largest of them
when the process starts.
"""

import hashlib
import json
import sys
from typing import Any

import numba
import numpy as np

from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.engine import make_engine
from spikejoule.network.layers import layers_of
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation

POISSON = Poisson(time_window=9, max_rate=300.0)
# Layer sizes, batch size, other settings
CASES: dict[str, tuple[tuple[int, ...], int, dict[str, Any]]] = {
    "one sample": ((60, 100, 10), 1, {}),
    "two hidden layers": ((60, 100, 70, 10), 13, {}),
    "a narrow layer": ((60, 20, 10), 64, {}),
    "several turns": ((60, 100, 10), 300, {}),
    "all that is learned": (
        (60, 100, 10),
        64,
        {"neuron": {"learned": "both"}, "learning": {"event_penalty": 1e-4}},
    ),
    "constant currents": ((60, 100, 10), 64, {"encoder": Direct(time_window=9)}),
    "integers, pruned": ((60, 100, 10), 64, {"bits": 4}),
    "convolution, recurrence": ((60, 20, 10), 13, {"layers": ["8c3g2", "2avg", "20r"]}),
}


def network_of(sizes: tuple[int, ...], other: dict[str, Any]) -> Network:
    neuron = LeakyIntegrateAndFire(**other.get("neuron", {}))
    if "layers" in other:
        return Network.of_chain(
            (2, 6, 5), layers_of(other["layers"]), sizes[-1], neuron
        )
    quantisation = Quantisation(other["bits"], 16) if "bits" in other else None
    return Network.of_layers(sizes[0], sizes[1:-1], sizes[-1], neuron, quantisation)


def digest(name: str) -> str:
    """Return a digest of five training steps' results, and of the spikes after them."""
    sizes, batch_size, other = CASES[name]
    generator = np.random.default_rng(3)
    network = network_of(sizes, other)
    state = {
        key: generator.normal(0.1, 0.3, shape).astype(np.float32)
        for key, shape in network.parameter_shapes().items()
    }
    learning = LearningSettings(surrogate="arctangent", **other.get("learning", {}))
    engine = make_engine("event", network, state, learning)
    encoder: Encoder = other.get("encoder", POISSON)
    results = hashlib.sha256()
    for step in range(5):
        if "bits" in other and step == 2:
            masks = {key: np.abs(state[key]) > 0.1 for key in network.weight_names}
            engine.prune(masks)
        images = generator.integers(0, 256, (batch_size, sizes[0]), dtype=np.uint8)
        events = encoder.encode(images, encoder.draw_key(1, "train", step)).events
        labels = generator.integers(0, sizes[-1], batch_size)
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
