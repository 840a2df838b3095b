"""The rows of the benchmark: a name, and the class that does the job.

Modules are imported by name and only when their row is measured: a row whose library is not
installed is reported as missing and stops no other row.
"""

import importlib

from benchmarks.job import Job
from benchmarks.peers.protocol import Implementation

ROWS = {
    "seed_loop": "benchmarks.peers.seed_loop:SeedLoop",
    "snntorch": "benchmarks.peers.snntorch:SnnTorch",
    "spikingjelly": "benchmarks.peers.spikingjelly:SpikingJelly",
    "torch_time_batched": "benchmarks.peers.torch_time_batched:TorchTimeBatched",
    "dense": "benchmarks.peers.project:DenseEngine",
    "event": "benchmarks.peers.project:EventEngine",
}
# Shown beside the others, and part of no ratio: see the module's docstring.
FURTHER_ROWS = {"torch_hand_written": "benchmarks.peers.torch_time_batched:TorchHandWritten"}
# Of `benchmarks.gpu` alone.
GPU_ROWS = {
    "dense_fused": "benchmarks.peers.project_on_gpu:DenseFused",
    "dense_steps": "benchmarks.peers.project_on_gpu:DenseSteps",
    "event_cpu": "benchmarks.peers.project_on_gpu:EventOnCpu",
    "snntorch_gpu": "benchmarks.peers.snntorch:SnnTorchOnGpu",
    "spikingjelly_gpu": "benchmarks.peers.spikingjelly:SpikingJellyOnGpu",
}
PEERS = ("snntorch", "spikingjelly", "torch_time_batched")
LIMIT = "limit"


def build(name: str, job: Job) -> Implementation:
    """The implementation of row `name`.

    Raises KeyError for an unknown name and ImportError where its library is not installed.
    """
    module_name, class_name = {**ROWS, **FURTHER_ROWS, **GPU_ROWS}[name].split(":")
    implementation = getattr(importlib.import_module(module_name), class_name)
    return implementation(job)
