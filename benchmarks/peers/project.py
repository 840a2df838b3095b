"""This project's engines, used as in its own training: encode a batch, train on it.

Both engines get event lists from `spikejoule.encoding.encoders`; `dense` turns them
into zeros and ones. A row imports only its own engine: `event` runs without PyTorch.
"""

import numpy as np

from benchmarks.job import Job, initial_state
from benchmarks.measurement import Plan
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.engine.learning import make_trainer


def encoder_of(job: Job) -> Encoder:
    """Return the encoder of a job. The encoding `rows` needs none."""
    if job.encoding == "latency":
        return Latency(
            time_window=job.time_window, latency_threshold=job.latency_threshold
        )
    return Poisson(time_window=job.time_window, max_rate=job.max_rate_hz)


class _EngineRow:
    """One engine with the whole job around it."""

    engine_name: str
    inference_batch_size = 256

    def __init__(self, job: Job) -> None:
        self.job = job
        self.engine = make_trainer(
            self.engine_name, job.network, initial_state(job), job.learning
        )
        self._pass = 0
        self._encoder = encoder_of(job)
        self._key = self._encoder.draw_key(job.seed, "train", 0)

    def prepare(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.pixels = np.ascontiguousarray(images).reshape(len(images), -1)
        self.labels = np.asarray(labels)

    def encode(self, indices: np.ndarray) -> EventList:
        """Return the input spikes of the images `indices` [B]."""
        if self.job.encoding == "rows":
            lit = self.pixels[indices] > 255 * self.job.latency_threshold
            return EventList.from_dense(lit.reshape(len(lit), self.job.time_window, -1))
        return self._encoder.events(self.pixels[indices], self._key, indices)

    def train_batch(self, indices: np.ndarray) -> float:
        events = self.encode(indices)
        rate = self.job.learning_rate
        return self.engine.train_batch(events, self.labels[indices], rate).mean_loss

    def infer_batch(self, indices: np.ndarray) -> np.ndarray:
        output = self.engine.run(self.encode(indices))[-1]
        return self.job.readout.predict(output)

    def next_pass(self) -> None:
        """Draw new spikes for the same images, as each epoch does."""
        self._pass += 1
        self._key = self._encoder.draw_key(self.job.seed, "train", self._pass)


class DenseEngine(_EngineRow):
    """The PyTorch network, timed over batches, which all cost the same."""

    engine_name = "dense"


class EventEngine(_EngineRow):
    """The event engine, timed over whole epochs, including the last, smaller batch."""

    engine_name = "event"

    def train_epoch(self, order: np.ndarray) -> float:
        self.next_pass()
        parts = np.split(
            order, range(self.job.batch_size, len(order), self.job.batch_size)
        )
        return float(np.mean([self.train_batch(part) for part in parts]))

    def infer_all(self, indices: np.ndarray) -> np.ndarray:
        size = self.inference_batch_size
        parts = np.split(indices, range(size, len(indices), size))
        return np.concatenate([self.infer_batch(part) for part in parts])


def epoch_events(
    job: Job, data: dict[str, np.ndarray], plan: Plan
) -> tuple[dict[str, np.ndarray], list[EventList]]:
    """Return weights, and the spikes of all training images that reach a synapse.

    The weights are those that the row `event` has when its timing starts.
    """
    row = EventEngine(job)
    row.prepare(data["train_images"], data["train_labels"])
    order = np.random.default_rng(plan.order_seed).permutation(len(row.labels))
    for _ in range(plan.warmup_epochs):
        row.train_epoch(order)
    row.next_pass()
    inputs = row.encode(order)
    return row.engine.state(), [inputs, *row.engine.run(inputs)[:-1]]
