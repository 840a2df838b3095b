"""Seconds per epoch and images per second of every implementation, in one run (`make bench`).

What is measured
    Training: encode, forward, backward, gradient clipping and optimizer step, for a 784-400-10
    network over 50 steps in batches of 64: the seed notebook's settings (`benchmarks.job`), the
    same first weights for every row. Inference: encode and forward, up to the predicted digits.
    Not measured, for any row: reading images (they lie in memory as bytes), shuffling, the
    validation pass, start-up and compilation.
    Then the same job with the latency code, over 20 steps and without a leak, a table of its own:
    a quarter of the input spikes, and less than half the steps. Its spikes are the same in every
    row and every epoch; every row encodes each batch anew all the same.

The rows
    seed_loop           the seed notebook's operations, written anew
    snntorch            snnTorch 1.x set to the same neuron, with its own Poisson encoder
    spikingjelly        SpikingJelly 2.x set to the same neuron, with its own Poisson encoder
    torch_time_batched  plain PyTorch: sums of rows for all steps at once, unrolled neurons
    dense, event        this project's two engines
    limit               the event additions of an epoch alone (`benchmarks.limit`)
    torch_hand_written  further row: plain PyTorch with a hand-written backward pass
    Each module in `benchmarks.peers` says what was chosen for it and why.

How
    On the full MNIST, on one machine, in one run. R rounds; in each round every row is measured
    once, in a process of its own, one process at a time, and the order of the rows rotates from
    round to round, so that a machine that slows down or a neighbour that wakes up does not meet
    one row alone. A process warms up with W batches that are not timed, then times K batches of
    training, then the same of inference. All rows are given the same number of threads by the same
    environment variables, and are otherwise left as their users find them.

What is reported
    The median over rounds of each round's median; the quartiles of all timings stand beside it.
    Seconds per epoch = median seconds per batch x 938, the batches of 60,000 images (the last of
    them is only half a batch: 0.05 % too much), for rows whose batches all cost the same. `event`,
    which may do work for a whole epoch at once, is timed over whole epochs, one a round, after one
    whole epoch that is not timed, and over whole passes over the 10,000 test images for inference.
    Inference batches have the size that suits the row best (64 or 256 here). Peak memory is the
    process's largest resident set, in which images and interpreter are included.
    Timings depend on the network's spikes and so a little on how long it has been trained: the
    mean loss over the timed batches is recorded. The peers are timed in their first batches and
    `event` in its second epoch, which favours the peers: Adam's weight decay drives the weights of
    pixels that are always black towards zero, and after about one epoch of these settings into
    subnormal numbers, on which processors are slow.
    So is what other processes used of the cores meanwhile ("foreign_cores", the largest of the
    rounds): a row's threads wait for each other after every operation, so one busy neighbour can
    cost a row not half its speed but nine tenths. A run in which it is over 0.1 is warned about;
    do not quote it.
"""

import argparse
import logging
import math
import os
import shlex
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import images, machine
from benchmarks.job import JOBS, SEED_JOB, Job
from benchmarks.measure import MissingRowError, environment, measure_rounds
from benchmarks.memory import command_peak_bytes
from benchmarks.plan import Measurement, Plan
from benchmarks.rows import FURTHER_ROWS, LIMIT, ROWS
from benchmarks.summary import BYTES_PER_MIB, epoch_seconds, markdown_table, summarize
from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import write_json

logger = logging.getLogger(__name__)

# Timings of a row during which others kept more than this busy are not to be believed: the
# threads of a row wait for each other after every operation.
DISTURBED_CORES = 0.1


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that `arguments` ask for; the content of the benchmark's file.

    Raises SpikejouleError for data that are not MNIST, a row that fails, or, unless
    --allow-missing, a row whose library is not installed.
    """
    facts = machine.describe(arguments.threads)
    plan = Plan(
        warmup_batches=arguments.warmup,
        batches=arguments.batches,
        inference_batches=arguments.batches,
        warmup_epochs=arguments.warmup_epochs,
    )
    missing: dict[str, str] = {}
    summaries: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        train, test, title = images.load_benchmark_images(
            images.project_root(), os.environ, arguments.allow_small
        )
        file = Path(folder, "images.npz")
        images.store(file, train, test)
        batches_per_epoch = math.ceil(len(train) / SEED_JOB.batch_size)
        for job in JOBS:
            measurements = measure_job(job, arguments, plan, file, batches_per_epoch, missing)
            summaries[job.code] = {
                **summarize(measurements, batches_per_epoch),
                "job": asdict(job),
            }
    # The seed's job lies at the top, where it lay before there was another.
    summary = {**summaries.pop(SEED_JOB.code), **summaries}
    if arguments.train_command:
        peak = command_peak_bytes(
            shlex.split(arguments.train_command),
            environment(arguments.threads),
            images.project_root(),
        )
        summary["memory"]["train_command_mib"] = peak / BYTES_PER_MIB
    return {
        **summary,
        "machine": facts,
        "data": title,
        "missing": missing,
        "protocol": {
            "rounds": arguments.rounds,
            "batches_per_epoch": batches_per_epoch,
            **asdict(plan),
        },
    }


def measure_job(
    job: Job,
    arguments: argparse.Namespace,
    plan: Plan,
    file: Path,
    batches_per_epoch: int,
    missing: dict[str, str],
) -> dict[str, list[Measurement]]:
    """Every row's measurements of one job; `missing` receives the rows without their library.

    Raises MissingRowError for such a row unless --allow-missing.
    """
    measurements: dict[str, list[Measurement]] = defaultdict(list)
    rows = measure_rounds(arguments.rows, job, plan, arguments.rounds, file, arguments.threads)
    for round_number, measurement, name in rows:
        if isinstance(measurement, MissingRowError):
            if not arguments.allow_missing:
                raise measurement
            missing[name] = str(measurement)
            logger.warning("%s", measurement)
            continue
        measurements[name].append(measurement)
        timings = sorted(epoch_seconds(measurement, batches_per_epoch))
        if measurement.foreign_cores > DISTURBED_CORES:
            logger.warning(
                "%s was disturbed: other processes used %.1f cores meanwhile",
                name,
                measurement.foreign_cores,
            )
        logger.info(
            "%s, round %d: %s %.2f s per epoch",
            job.code,
            round_number + 1,
            name,
            timings[len(timings) // 2],
        )
    return measurements


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments of the command line."""
    every_row = [*ROWS, *FURTHER_ROWS, LIMIT]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Measure this project beside the seed's loop and other simulators.",
    )
    parser.add_argument("--rows", nargs="+", choices=every_row, default=every_row, metavar="ROW")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (5)")
    parser.add_argument("--batches", type=int, default=40, help="timed batches a round (40)")
    parser.add_argument("--warmup", type=int, default=10, help="batches before those (10)")
    parser.add_argument("--warmup-epochs", type=int, default=1, help="for rows in epochs (1)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="threads (all cores)")
    parser.add_argument("--out", type=Path, default=Path("metrics/benchmark.json"))
    parser.add_argument(
        "--train-command",
        help="also run this command (the train stage's, say) and record its peak memory",
    )
    parser.add_argument("--allow-small", action="store_true", help="allow other data than MNIST")
    parser.add_argument("--allow-missing", action="store_true", help="go on without missing rows")
    arguments = parser.parse_args(argv)
    for name in ("rounds", "batches", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    return arguments


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    arguments = parse(sys.argv[1:])
    try:
        summary = run(arguments)
        write_json(arguments.out, summary)
    except SpikejouleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for job in JOBS:
        of_job = summary if job is SEED_JOB else summary[job.code]
        print(f"{job.code} code, {job.time_window} steps:\n\n{markdown_table(of_job)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
