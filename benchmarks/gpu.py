"""Training on a GPU, of this project and of others: `python -m benchmarks.gpu --output gpu.json`.

The job is the seed notebook's (`benchmarks.job`: 784-400-10, 50 steps, Poisson code), measured as
in `benchmarks.speed`: each row in a process of its own, one at a time, in rounds that rotate, timed
by batches of encoding, forward, backward, clipping and Adam.

    dense_fused       this project's dense engine on the GPU, all steps of a layer in one kernel
    dense_steps       the same with a loop over the steps
    event_cpu         the event engine on the CPU of the same machine
    snntorch_gpu      snnTorch on the GPU
    spikingjelly_gpu  SpikingJelly on the GPU, which chooses among its own kernels and torch

Every row has the surrogate arctangent with slope 2, because SpikingJelly has kernels for it and
none for the seed's constant. The peers hold the images on the GPU and draw the spikes there. This
project's engines draw theirs on the CPU; `dense` sends the events of each batch to the GPU.

Then the network that the event engine has after an epoch runs on the GPU and on the CPU, both in
float32: reported is, for each layer, how many of its (sample, step, neuron) places differ for each
spike of the CPU. A row whose library is not installed is left out and named.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import images, machine
from benchmarks.job import SEED_JOB, Job
from benchmarks.measure import MissingRowError, measure_rounds
from benchmarks.peers.project import epoch_events
from benchmarks.plan import Measurement, Plan
from benchmarks.rows import GPU_ROWS, build
from benchmarks.summary import median_and_quartiles
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.provenance import library_versions
from spikejoule.core.store import write_json
from spikejoule.encoding.events import EventList
from spikejoule.engine.dense import DenseEngine
from spikejoule.model.architecture import Architecture, State

logger = logging.getLogger(__name__)

COMPARED_IMAGES = 1000


def mismatches_per_spike(
    architecture: Architecture, state: State, events: EventList, device: str, fused: bool
) -> list[float]:
    """Places [N, T, units] in which a device's float32 spikes are not the CPU's, by its spikes.

    One number for each layer after the input.
    """
    reference = DenseEngine(architecture, state).run(events)
    found = DenseEngine(architecture, state, device=device, fused=fused).run(events)
    return [
        float((one.to_dense(np.bool_) != other.to_dense(np.bool_)).sum() / max(1, one.n_events))
        for one, other in zip(reference, found, strict=True)
    ]


def summarize(rounds: Mapping[str, Sequence[Measurement]], job: Job) -> dict[str, Any]:
    """Images per second of training, with its spread, and what else a row told."""
    return {
        name: {
            "training_images_per_second": median_and_quartiles(
                [[job.batch_size / s for s in each.training_batch_seconds] for each in measured]
            ),
            "mean_loss": float(np.mean([each.loss for each in measured])),
            "foreign_cores": max(each.foreign_cores for each in measured),
        }
        for name, measured in rounds.items()
    }


def table(summary: Mapping[str, Any]) -> str:
    """The summary in Markdown."""
    lines = ["| row | training, images/s | quartiles |", "|---|---:|---:|"]
    for name, row in summary["rows"].items():
        speed = row["training_images_per_second"]
        low, high = speed["quartile_low"], speed["quartile_high"]
        lines.append(f"| {name} | {speed['median']:,.0f} | {low:,.0f} to {high:,.0f} |")
    for name, rates in summary["mismatches_per_spike"].items():
        told = " and ".join(f"{rate:.1e}" for rate in rates)
        lines += ["", f"{name}: {told} places for each spike are not the CPU's, layer by layer"]
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure; the content of the benchmark's file.

    Raises SpikejouleError without a GPU, for data that are not MNIST, or if a row fails.
    """
    if not torch.cuda.is_available():
        raise SpikejouleError("this benchmark needs a GPU, but PyTorch finds no CUDA device here.")
    job = replace(SEED_JOB, batch_size=arguments.batch_size)
    plan = Plan(
        warmup_batches=arguments.warmup,
        batches=arguments.batches,
        inference_batches=1,
        by_batches=True,
    )
    facts = machine.describe(arguments.threads)
    missing: dict[str, str] = {}
    rounds: dict[str, list[Measurement]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        train, test, title = images.load_benchmark_images(
            images.project_root(), os.environ, arguments.allow_small
        )
        file = Path(folder, "images.npz")
        images.store(file, train, test)
        for _, measured, name in measure_rounds(
            arguments.rows, job, plan, arguments.rounds, file, arguments.threads
        ):
            if isinstance(measured, MissingRowError):
                missing[name] = str(measured)
                logger.warning("%s", measured)
                continue
            rounds[name].append(measured)
            speed = job.batch_size / np.median(measured.training_batch_seconds)
            logger.info("%s: %.0f images a second", name, speed)
        state, (events, _) = epoch_events(job, images.restore(file), plan)
    architecture = build("event_cpu", job).engine.architecture
    some = events.select(slice(0, COMPARED_IMAGES))
    return {
        "rows": summarize(rounds, job),
        "mismatches_per_spike": {
            name: mismatches_per_spike(architecture, state, some, "cuda", name == "dense_fused")
            for name in ("dense_fused", "dense_steps")
            if name in rounds
        },
        "missing": missing,
        "machine": facts
        | {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        | library_versions(("triton",)),
        "data": title,
        "job": asdict(job),
        "protocol": {"rounds": arguments.rounds, **asdict(plan)},
    }


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Measure training on a GPU."
    )
    rows = list(GPU_ROWS)
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, metavar="ROW")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--batches", type=int, default=200, help="timed batches a round (200)")
    parser.add_argument("--warmup", type=int, default=50, help="batches before those (50)")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a batch (64)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="threads (all cores)")
    parser.add_argument("--output", type=Path, help="also write a JSON file")
    parser.add_argument("--allow-small", action="store_true", help="allow other data than MNIST")
    arguments = parser.parse_args(argv)
    for name in ("rounds", "batches", "batch_size", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return arguments


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = parse(sys.argv[1:])
    try:
        summary = run(arguments)
        if arguments.output is not None:
            write_json(arguments.output, summary)
    except SpikejouleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
