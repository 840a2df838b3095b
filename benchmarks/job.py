"""The jobs that every implementation does: one network, one of two codes, one optimizer."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Job:
    """The seed notebook's settings; every row of the benchmark gets the same values.

    The surrogate is the seed's constant: ds/dv = `surrogate_gradient` for every membrane
    potential. `decay` is per step of 1 ms, `threshold` in units of the membrane potential.
    `max_rate_hz` is of the Poisson code, `latency_threshold` an intensity of the latency code: a
    pixel that exceeds it fires once (`spikejoule.encoding.encoders.latency`, the linear curve).
    """

    code: Literal["poisson", "latency"] = "poisson"
    n_input: int = 784
    n_hidden: int = 400
    n_output: int = 10
    threshold: float = 1.0
    decay: float = 0.9
    surrogate_gradient: float = 0.3
    time_window: int = 50
    max_rate_hz: float = 80.0
    latency_threshold: float = 0.4
    batch_size: int = 64
    learning_rate: float = 0.003
    weight_decay: float = 1e-5
    clip_norm: float = 1.0
    seed: int = 42


SEED_JOB = Job()
# As `make frugal` has it: a spike a bright pixel, and neurons without a leak.
LATENCY_JOB = replace(SEED_JOB, code="latency", time_window=20, decay=1.0)
JOBS = (SEED_JOB, LATENCY_JOB)


def initial_state(job: Job) -> dict[str, np.ndarray]:
    """Float32 weights drawn as `torch.nn.Linear` draws them: uniform within 1/sqrt(fan-in).

    Every row starts from these same numbers, so that no row has fewer spikes to work on by luck.
    """
    generator = np.random.default_rng(job.seed)
    state = {}
    sizes = (job.n_input, job.n_hidden, job.n_output)
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        bound = 1.0 / np.sqrt(fan_in)
        weight = generator.uniform(-bound, bound, size=(fan_out, fan_in))
        bias = generator.uniform(-bound, bound, size=fan_out)
        state[f"layer{layer}.synapses.weight"] = weight.astype(np.float32)
        state[f"layer{layer}.synapses.bias"] = bias.astype(np.float32)
    return state
