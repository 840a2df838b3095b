"""The jobs of the speed benchmark: a network, an encoding, a neuron and an optimizer.

Every implementation does the same job, from the same first weights.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spikejoule.network.layers import layers_of
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.readout import Readout


@dataclass(frozen=True)
class Job:
    """The settings of a job. The defaults are the original notebook's.

    Attributes:
        name: names the job's table.
        encoding: `poisson`; `latency` fires each pixel above `latency_threshold` once
            (`spikejoule.encoding.encoders.latency`); `rows` shows one row of such
            pixels per step, so there is one input per column.
        in_shape: of the input.
        layers: hidden layers, written as in `model.layers`.
        n_output: classes.
        threshold: in units of the membrane potential.
        decay: per step.
        reset: `zero` or `subtract`.
        surrogate: the seed's is a constant, `surrogate_slope` at every potential.
        time_window: steps.
        max_rate_hz: of the Poisson encoding, with steps of 1 ms.
        readout: how the output answers.
    """

    name: str = "poisson"
    encoding: Literal["poisson", "latency", "rows"] = "poisson"
    in_shape: tuple[int, ...] = (784,)
    layers: tuple[str, ...] = ("400",)
    n_output: int = 10
    threshold: float = 1.0
    decay: float = 0.9
    reset: Literal["zero", "subtract"] = "zero"
    surrogate: Literal["constant", "arctangent"] = "constant"
    surrogate_slope: float = 0.3
    time_window: int = 50
    max_rate_hz: float = 80.0
    latency_threshold: float = 0.4
    batch_size: int = 64
    learning_rate: float = 0.003
    weight_decay: float = 1e-5
    clip_norm: float = 1.0
    backward: Literal["exact", "sampled"] = "exact"
    readout: Readout = Readout.SPIKES
    seed: int = 42

    @property
    def n_input(self) -> int:
        """Number of inputs."""
        return math.prod(self.in_shape)

    @property
    def network(self) -> Network:
        """The network, without weights."""
        neuron = LeakyIntegrateAndFire(
            threshold=self.threshold, decay=self.decay, reset=self.reset
        )
        network = Network.of_chain(
            self.in_shape, layers_of(self.layers), self.n_output, neuron
        )
        return network.with_readout(self.readout)

    @property
    def learning(self) -> LearningSettings:
        """Surrogate, weight decay and clipping."""
        return LearningSettings(
            surrogate=self.surrogate,
            surrogate_slope=self.surrogate_slope,
            weight_decay=self.weight_decay,
            grad_clip_norm=self.clip_norm,
            backward=self.backward,
        )


SEED_JOB = Job()
POTENTIAL_JOB = replace(SEED_JOB, name="potential", readout=Readout.POTENTIAL)
# As in the presets frugal-*: one spike per bright pixel, and neurons without a leak.
LATENCY_JOB = replace(
    SEED_JOB, name="latency", encoding="latency", time_window=20, decay=1.0
)
CONVOLUTIONAL_JOB = replace(
    LATENCY_JOB,
    name="convolutional",
    in_shape=(1, 28, 28),
    layers=("12c5s2", "32c3s2"),
    time_window=10,
    reset="subtract",
    surrogate="arctangent",
    surrogate_slope=2.0,
)
RECURRENT_JOB = replace(
    CONVOLUTIONAL_JOB,
    name="recurrent",
    encoding="rows",
    in_shape=(28,),
    layers=("128r",),
    time_window=28,
)
JOBS = {
    job.name: job
    for job in (
        SEED_JOB,
        POTENTIAL_JOB,
        LATENCY_JOB,
        CONVOLUTIONAL_JOB,
        RECURRENT_JOB,
    )
}


def initial_state(job: Job) -> dict[str, np.ndarray]:
    """Return float32 weights drawn as in PyTorch: uniform within 1/sqrt(fan-in).

    All rows start from them, so that none has fewer spikes to process by luck.
    """
    generator = np.random.default_rng(job.seed)
    shapes = job.network.parameter_shapes()
    state = {}
    for name, shape in shapes.items():
        bound = 1.0 / np.sqrt(math.prod(shapes[name.replace("bias", "weight")][1:]))
        state[name] = generator.uniform(-bound, bound, size=shape).astype(np.float32)
    return state
