"""Seconds per epoch and images per second of every implementation (`make bench`).

What is measured
    Training is encode, forward, backward, gradient clipping and optimizer step;
    inference is encode and forward, up to the predicted digits. Reading images (they
    are bytes in memory), shuffling, validation, start-up and compilation are not
    measured, for any row.

The jobs (`benchmarks.job`), each with a table of its own
    poisson        the original notebook's settings: 784-400-10, 50 steps, batches of 64
    potential      the same with the output's last potentials as the answer; `dense` and
                   `event` only
    latency        the same network with the latency encoding, 20 steps and no leak: a
                   quarter of the input spikes, less than half the steps
    convolutional  12C5s2-32C3s2-10, latency encoding, 10 steps
    recurrent      128 recurrent neurons, one row of the image in each of 28 steps

    The last two reset by subtraction and use the arctangent surrogate. All rows start
    from the same weights. In all jobs but `poisson` the rows also get the same spikes,
    although each encodes every batch anew: their mean losses over the first 10 batches
    must agree within 1 %, or there is no table.

The rows
    seed_loop           the original notebook's operations, rewritten
    snntorch            snnTorch 1.x, set to the same neuron, with its Poisson encoder
    spikingjelly        SpikingJelly 2.x, set to the same neuron, with its Poisson
                        encoder
    torch_time_batched  plain PyTorch: one sum of weights for all steps, neurons
                        unrolled
    dense, event        this project's engines
    limit               only the event additions of an epoch, and Adam's memory traffic
                        (`benchmarks.limit`)

    Each module in `benchmarks.peers` explains its choices. Convolution and recurrence
    are measured for snnTorch, SpikingJelly, `dense` (plain PyTorch) and `event`.

How
    Full MNIST, one machine, one run. In each round every row is measured once, in its
    own process, one process at a time. The order of the rows rotates from round to
    round, so that a slow phase of the machine does not hit one row only. A process
    first runs untimed batches, then times training batches for at least 2 s, then
    inference. All rows get the same number of threads through the same environment
    variables.

    `event` may do work for a whole epoch at once, so it is timed over whole epochs, one
    per round after an untimed one, and over passes through the 10,000 test images. The
    others are timed over batches of their first epoch. This favours them: from about
    the second epoch, Adam's weight decay makes the weights of pixels that are always
    black subnormal numbers, which are slow on many processors.

What is reported
    The median over rounds of each round's median, and the quartiles of all timings.
    Seconds per epoch are seconds per batch times 938, the batches of 60,000 images (the
    last is half a batch: 0.05 % too much). "times" compares with the seed's loop, or
    without it with the peer that trains fastest. Inference uses the batch size that
    suits the row best, 64 or 256. Peak memory is the largest resident set of the
    process, including images and interpreter. `foreign_cores` is what other processes
    used meanwhile, the largest of the rounds: since a row's threads wait for each other
    after every operation, one busy neighbour can take nine tenths of its speed, not
    half. Above 0.1 there is a warning; do not quote such a run.
"""

import argparse
import logging
import tempfile
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.images import load_benchmark_images
from benchmarks.job import JOBS, SEED_JOB, Job
from benchmarks.machine import cores, describe, positive
from benchmarks.measurement import Measurement, Plan
from benchmarks.rows import LIMIT, PEERS, ROWS, RowProcesses, rows_of
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.terminal import text_table

logger = logging.getLogger(__name__)

# With more foreign load than this, the timings of a row are not reliable.
DISTURBED_CORES = 0.1

# Largest relative difference between first losses of rows that get the same spikes.
SAME_LOSS = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this case."""
    every_row = [*ROWS, LIMIT]
    parser.add_argument(
        "--threads", type=positive, default=cores(), help="threads (all cores)"
    )
    parser.add_argument(
        "--rows", nargs="+", choices=every_row, default=every_row, metavar="ROW"
    )
    parser.add_argument(
        "--jobs", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (5)")
    parser.add_argument(
        "--batches", type=positive, default=40, help="timed batches per round (40)"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="time at least so long (2)"
    )
    parser.add_argument(
        "--warmup", type=int, default=10, help="untimed batches before (10)"
    )
    parser.add_argument(
        "--allow-small", action="store_true", help="allow data other than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Measure all jobs; return the content of the JSON file, and the tables.

    Raises:
        SpikejouleError: the data are not MNIST, a row fails or lacks its library, or
            rows disagree in their first losses.
    """
    facts = describe(arguments.threads, arguments.allow_load)
    plan = Plan(arguments.warmup, arguments.batches, arguments.seconds)
    jobs = [
        JOBS[name]
        for name in arguments.jobs
        if {*rows_of(JOBS[name])} & {*arguments.rows}
    ]
    summaries: dict[str, dict[str, Any]] = {}
    images, title = load_benchmark_images(arguments.allow_small)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "images.npz")
        np.savez(file, **images)
        processes = RowProcesses(file, arguments.threads)
        for job in jobs:
            measurements = measure_job(job, arguments, plan, processes)
            if job.encoding != "poisson":
                check_losses(measurements)
            summaries[job.name] = {**summarize(measurements), "job": asdict(job)}
    tables = "\n".join(
        f"{job.name}, {job.time_window} steps:\n\n{speed_table(summaries[job.name])}\n"
        for job in jobs
    )
    protocol = {
        "rounds": arguments.rounds,
        "batches_per_epoch": -(-len(images["train_labels"]) // SEED_JOB.batch_size),
        **asdict(plan),
    }
    # The seed's job is at the top level of the file: once it was the only job.
    content = {**summaries.pop(SEED_JOB.name, {}), **summaries}
    content |= {"machine": facts, "data": title, "protocol": protocol}
    return content, tables


def measure_job(
    job: Job, arguments: argparse.Namespace, plan: Plan, processes: RowProcesses
) -> dict[str, list[Measurement]]:
    """Measure all rows of one job, one measurement per round."""
    measurements: dict[str, list[Measurement]] = defaultdict(list)
    names = deque(name for name in arguments.rows if name in rows_of(job))
    for number in range(arguments.rounds):
        round_plan = replace(plan, order_seed=plan.order_seed + number)
        for name in names:
            measurement = processes.measure(name, job, round_plan)
            measurements[name].append(measurement)
            warn_if_disturbed(name, measurement)
            seconds = np.median(measurement.epoch_seconds)
            logger.info(
                "%s, round %d: %s %.2f s per epoch", job.name, number + 1, name, seconds
            )
        # No row is always the first.
        names.rotate(-1)
    return measurements


def warn_if_disturbed(row: str, measurement: Measurement) -> None:
    """Log a warning if other processes took too much time from a row."""
    if measurement.foreign_cores > DISTURBED_CORES:
        logger.warning(
            "%s was disturbed: other processes used %.1f cores",
            row,
            measurement.foreign_cores,
        )


def check_losses(measurements: Mapping[str, Sequence[Measurement]]) -> None:
    """Raise SpikejouleError if rows with the same spikes differ in their first loss.

    They may differ a little: a sum in another order can move a membrane potential
    across the threshold.
    """
    losses = {
        name: rounds[0].first_loss
        for name, rounds in measurements.items()
        if name != LIMIT
    }
    low = min(losses.values(), default=0.0)
    high = max(losses.values(), default=0.0)
    if high > low * (1 + SAME_LOSS):
        raise SpikejouleError(
            f"the rows do not do the same job: their first losses are {losses}"
        )


def spread_of(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return the median of the rounds' medians, and the quartiles of all timings."""
    medians = [float(np.median(values)) for values in rounds]
    low, high = np.percentile(np.concatenate(rounds), (25, 75))
    return {
        "median": float(np.median(medians)),
        "round_medians": medians,
        "quartile_low": float(low),
        "quartile_high": float(high),
        "timings": sum(len(values) for values in rounds),
    }


def summarize(measurements: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    """Return the rows and ratios of one job for the JSON file.

    Args:
        measurements: for each row, one measurement per round.
    """
    rows = {name: _row_summary(rounds) for name, rounds in measurements.items()}
    seconds = {name: row["seconds_per_epoch"]["median"] for name, row in rows.items()}
    ratios: dict[str, Any] = {}
    if "seed_loop" in rows:
        ratios["over_seed_loop"] = {
            name: seconds["seed_loop"] / seconds[name] for name in rows
        }
    if "event" in rows and LIMIT in rows:
        ratios["event_time_over_limit"] = seconds["event"] / seconds[LIMIT]
    peers = [name for name in PEERS if name in rows]
    if "event" in rows and peers:
        fastest = min(peers, key=seconds.__getitem__)
        ratios["fastest_peer"] = fastest
        ratios["event_over_fastest_peer"] = seconds[fastest] / seconds["event"]
    return {"rows": rows, "ratios": ratios}


def _row_summary(rounds: Sequence[Measurement]) -> dict[str, Any]:
    row = {
        "seconds_per_epoch": spread_of([item.epoch_seconds for item in rounds]),
        "peak_mib": max(item.peak_mib for item in rounds),
        "foreign_cores": max(item.foreign_cores for item in rounds),
        **rounds[0].further,
    }
    if rounds[0].loss is not None:
        row["images_per_second"] = spread_of(
            [item.inference_images_per_second for item in rounds]
        )
        row["images_timed"] = rounds[0].images
        row["mean_training_loss"] = float(np.mean([item.loss for item in rounds]))
    return row


def speed_table(summary: Mapping[str, Any]) -> str:
    """Return the table of one job, one line per row.

    "times" compares with the seed's loop, or without it with the fastest peer.
    """
    rows = summary["rows"]
    base = rows.get("seed_loop") or rows.get(summary["ratios"].get("fastest_peer"))
    lines = []
    for name, row in rows.items():
        seconds = row["seconds_per_epoch"]["median"]
        line = {"row": name, "s per epoch": f"{seconds:.2f}"}
        line |= {
            "times": "",
            "images timed": "",
            "images/s": "",
            "times, inference": "",
        }
        if base:
            base_seconds = base["seconds_per_epoch"]["median"]
            line["times"] = f"{base_seconds / seconds:.1f}"
        if "images_per_second" in row:
            rate = row["images_per_second"]["median"]
            line["images timed"] = f"{row['images_timed']:,}"
            line["images/s"] = f"{rate:,.0f}"
            if base:
                base_rate = base["images_per_second"]["median"]
                line["times, inference"] = f"{rate / base_rate:.1f}"
        line["peak MiB"] = f"{row['peak_mib']:,.0f}"
        lines.append(line)
    return text_table(tuple(lines[0]), [[*line.values()] for line in lines])
