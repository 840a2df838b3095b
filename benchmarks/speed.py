"""Seconds per epoch and images per second of every implementation, in one run
(`make bench`).

What is measured
    Training: encode, forward, backward, gradient clipping and optimizer step, for a
    784-400-10 network over 50 steps in batches of 64: the seed notebook's settings
    (`benchmarks.job`), the same first weights for every row. Inference: encode and
    forward, up to the predicted digits. Not measured, for any row: reading images (they
    lie in memory as bytes), shuffling, the validation pass, start-up and compilation.
    Then three jobs with tables of their own, whose spikes are the same in every row and
    epoch; every row encodes each batch anew all the same. `latency` is the same network
    with the latency code, over 20 steps and without a leak: a quarter of the input
    spikes, and less than half the steps. `convolutional` is 12C5s2-32C3s2-10 with the
    latency code over 10 steps, `recurrent` 128 neurons with weights to each other that
    see a row of the image in each of 28 steps; both with reset by subtraction and the
    arctangent surrogate. Rows of the same spikes must agree in the mean loss of their
    first 10 batches within a hundredth, or there is no table.

The rows
    seed_loop           the seed notebook's operations, written anew
    snntorch            snnTorch 1.x set to the same neuron, with its own Poisson
                        encoder
    spikingjelly        SpikingJelly 2.x set to the same neuron, with its own Poisson
                        encoder
    torch_time_batched  plain PyTorch: sums of rows for all steps at once, unrolled
    neurons dense, event        this project's two engines
    limit               the event additions of an epoch alone (`benchmarks.limit`) Each
    module in `benchmarks.peers` says what was chosen for it and why. Convolution and
    recurrence are done by snnTorch, SpikingJelly, `dense` (plain PyTorch) and `event`.

How
    On the full MNIST, on one machine, in one run. R rounds; in each round every row is
    measured once, in a process of its own, one process at a time, and the order of the
    rows rotates from round to round, so that a machine that slows down or a neighbour
    that wakes up does not meet one row alone. A process warms up with W batches that
    are not timed, then times K batches of training, or more until they have taken 2 s,
    then the same of inference. All rows are given the same number of threads by the
    same environment variables, and are otherwise left as their users find them.

What is reported
    The median over rounds of each round's median; the quartiles of all timings stand
    beside it. Seconds per epoch = median seconds per batch x 938, the batches of 60,000
    images (the last of them is only half a batch: 0.05 % too much), for rows whose
    batches all cost the same. `event`, which may do work for a whole epoch at once, is
    timed over whole epochs, one a round, after one whole epoch that is not timed, and
    over whole passes over the 10,000 test images for inference. On how many images a
    round was timed stands in the table. "times" are of the seed's loop where it is a
    row, else of the peer that is fastest in training. Inference batches have the size
    that suits the row best (64 or 256 here). Peak memory is the process's largest
    resident set, in which images and interpreter are included. Timings depend on the
    network's spikes and so a little on how long it has been trained: the mean loss over
    the timed batches is recorded. The peers are timed in their first batches and
    `event` in its second epoch, which favours the peers: Adam's weight decay drives the
    weights of pixels that are always black towards zero, and after about one epoch of
    these settings into subnormal numbers, on which processors are slow. So is what
    other processes used of the cores meanwhile ("foreign_cores", the largest of the
    rounds): a row's threads wait for each other after every operation, so one busy
    neighbour can cost a row not half its speed but nine tenths. A run in which it is
    over 0.1 is warned about; do not quote it.
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
from benchmarks.rows import LIMIT, PEERS, ROWS, measure_row, rows_of
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import text_table

logger = logging.getLogger(__name__)

# Timings of a row during which others kept more than this busy are not to be believed:
# the threads of a row wait for each other after every operation.
DISTURBED_CORES = 0.1
SAME_LOSS = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this case."""
    parser.add_argument(
        "--threads", type=positive, default=cores(), help="threads (all cores)"
    )
    every_row = [*ROWS, LIMIT]
    parser.add_argument(
        "--rows", nargs="+", choices=every_row, default=every_row, metavar="ROW"
    )
    parser.add_argument(
        "--jobs", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (5)")
    parser.add_argument(
        "--batches", type=positive, default=40, help="timed batches a round (40)"
    )
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of these at least (2)"
    )
    parser.add_argument(
        "--warmup", type=int, default=10, help="batches before those (10)"
    )
    parser.add_argument(
        "--allow-small", action="store_true", help="allow other data than MNIST"
    )


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """All jobs: the content of the benchmark's file, and the tables.

    Raises SpikejouleError for data that are not MNIST, for a row that fails or whose
    library is not installed, and for rows that do not agree in their first losses.
    """
    facts = describe(arguments.threads)
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
        for job in jobs:
            measurements = measure_job(job, arguments, plan, file)
            if job.encoding != "poisson":
                check_losses(measurements)
            summaries[job.name] = {**summarize(measurements), "job": asdict(job)}
    tables = "\n".join(
        f"{job.name}, {job.time_window} steps:\n\n{speed_table(summaries[job.name])}\n"
        for job in jobs
    )
    n_batches = -(-len(images["train_labels"]) // SEED_JOB.batch_size)
    protocol = {
        "rounds": arguments.rounds,
        "batches_per_epoch": n_batches,
        **asdict(plan),
    }
    # The seed's job is at the top, where it was before there was another.
    found = {**summaries.pop(SEED_JOB.name, {}), **summaries}
    return {**found, "machine": facts, "data": title, "protocol": protocol}, tables


def measure_job(
    job: Job, arguments: argparse.Namespace, plan: Plan, images: Path
) -> dict[str, list[Measurement]]:
    """Every row's measurements of one job, one a round.

    A round begins a place later than the one before it, so that no row is always the
    first.
    """
    measurements: dict[str, list[Measurement]] = defaultdict(list)
    names = deque(name for name in arguments.rows if name in rows_of(job))
    for number in range(arguments.rounds):
        of_round = replace(plan, order_seed=plan.order_seed + number)
        for name in names:
            measurement = measure_row(name, job, of_round, images, arguments.threads)
            measurements[name].append(measurement)
            foreign = measurement.foreign_cores
            seconds = np.median(measurement.epoch_seconds)
            if foreign > DISTURBED_CORES:
                logger.warning(
                    "%s was disturbed: others used %.1f cores meanwhile", name, foreign
                )
            logger.info(
                "%s, round %d: %s %.2f s per epoch", job.name, number + 1, name, seconds
            )
        names.rotate(-1)
    return measurements


def check_losses(measurements: Mapping[str, Sequence[Measurement]]) -> None:
    """Raise SpikejouleError if rows with the same spikes differ in their first mean
    loss.

    Sums in another order may move a membrane potential over the threshold, or back.
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
    """Median over rounds of each round's median, and the quartiles of all timings
    together.
    """
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
    """What a job's part of the benchmark's file says of each row, and how the rows
    compare.

    measurements: row -> one measurement per round.
    """
    rows = {name: _of_row(rounds) for name, rounds in measurements.items()}
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


def _of_row(rounds: Sequence[Measurement]) -> dict[str, Any]:
    row = {
        "seconds_per_epoch": spread_of([each.epoch_seconds for each in rounds]),
        "peak_mib": max(each.peak_mib for each in rounds),
        "foreign_cores": max(each.foreign_cores for each in rounds),
        **rounds[0].further,
    }
    if rounds[0].loss is not None:
        row["images_per_second"] = spread_of(
            [each.inference_images_per_second for each in rounds]
        )
        row["images_timed"] = rounds[0].images
        row["mean_training_loss"] = float(np.mean([each.loss for each in rounds]))
    return row


def speed_table(summary: Mapping[str, Any]) -> str:
    """One row an implementation, and the additions alone.

    "times" are of the seed's loop where it is a row, else of the fastest peer.
    """
    header = (
        "row",
        "s per epoch",
        "times",
        "images timed",
        "images/s",
        "times",
        "peak MiB",
    )
    rows = summary["rows"]
    base = rows.get("seed_loop") or rows.get(summary["ratios"].get("fastest_peer"))
    lines = []
    for name, row in rows.items():
        seconds = row["seconds_per_epoch"]["median"]
        times = f"{base['seconds_per_epoch']['median'] / seconds:.1f}" if base else ""
        images = rate = inference = ""
        if "images_per_second" in row:
            speed = row["images_per_second"]["median"]
            images = f"{row['images_timed']:,}"
            rate = f"{speed:,.0f}"
            inference = (
                f"{speed / base['images_per_second']['median']:.1f}" if base else ""
            )
        peak = f"{row['peak_mib']:,.0f}"
        lines.append([name, f"{seconds:.2f}", times, images, rate, inference, peak])
    return text_table(header, lines)
