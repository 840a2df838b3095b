"""Train a few batches with the emitted kernels or with their twins: time, and a digest of it all.

Usage: ``python -m tests.engine.with_twins emitted`` (or ``twins``).
"""

import hashlib
import json
import sys
import time

import numpy as np

from tests.engine import twins

BATCHES = 6


def main(kernels: str) -> None:
    if kernels == "twins":
        twins.install()
    from spikejoule.encoding.encoders.poisson import Poisson
    from spikejoule.engine.event import EventEngine
    from spikejoule.model.architecture import Architecture
    from spikejoule.model.learning import LearningSettings
    from spikejoule.model.network import initial_state

    architecture = Architecture(784, (400,), 10)
    state = {name: 3 * value.numpy() for name, value in initial_state(architecture, 1).items()}
    engine = EventEngine(architecture, state, LearningSettings(logit_scale=0.3))
    encoder = Poisson(time_window=50, max_rate=80.0)
    images = np.random.default_rng(1).integers(0, 256, (64, 784)).astype(np.uint8)
    digest, milliseconds = hashlib.sha256(), []
    for number in range(BATCHES):
        events = encoder.events(images, encoder.draw_key(1, "train", number))
        started = time.perf_counter()
        engine.train_batch(events, np.arange(64) % 10, 0.001)
        milliseconds.append(1000 * (time.perf_counter() - started))
        for layer in (events, *engine.run(events)):
            digest.update(layer.sources.tobytes() + layer.offsets.tobytes())
    for value in engine.state().values():
        digest.update(value.tobytes())
    # The first batch compiles.
    fastest = min(milliseconds[1:])
    print(json.dumps({"digest": digest.hexdigest(), "milliseconds_a_batch": round(fastest, 2)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
