"""Measurements of several rounds to one number a row, with its spread."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.plan import Measurement
from benchmarks.rows import FURTHER_ROWS, LIMIT, PEERS, ROWS

BYTES_PER_MIB = 1024 * 1024


def epoch_seconds(measurement: Measurement, batches_per_epoch: int) -> list[float]:
    """Every timing of one process as seconds per epoch."""
    if measurement.training_epoch_seconds:
        return measurement.training_epoch_seconds
    return [seconds * batches_per_epoch for seconds in measurement.training_batch_seconds]


def median_and_quartiles(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Median over rounds of each round's median, and the quartiles of all timings together."""
    medians = [float(np.median(values)) for values in rounds]
    low, high = np.percentile(np.concatenate(rounds), (25, 75))
    return {
        "median": float(np.median(medians)),
        "round_medians": medians,
        "quartile_low": float(low),
        "quartile_high": float(high),
        "timings": sum(len(values) for values in rounds),
    }


def summarize(
    measurements: Mapping[str, Sequence[Measurement]], batches_per_epoch: int
) -> dict[str, Any]:
    """The content of the benchmark's file, less the machine and the protocol.

    measurements: row -> one measurement per round. Rows in `ROWS` fill "training" (seconds per
    epoch) and "inference" (images per second); others go to "further_rows".
    """
    spread: dict[str, dict[str, Any]] = {"training": {}, "inference": {}}
    memory, losses, foreign = {}, {}, {}
    for name, rounds in measurements.items():
        spread["training"][name] = median_and_quartiles(
            [epoch_seconds(measurement, batches_per_epoch) for measurement in rounds]
        )
        if name != LIMIT:
            spread["inference"][name] = median_and_quartiles(
                [measurement.inference_images_per_second for measurement in rounds]
            )
            losses[name] = float(np.mean([measurement.loss for measurement in rounds]))
        memory[name] = max(measurement.peak_bytes for measurement in rounds) / BYTES_PER_MIB
        foreign[name] = max(measurement.foreign_cores for measurement in rounds)
    medians = {
        kind: {name: values["median"] for name, values in rows.items()}
        for kind, rows in spread.items()
    }
    return {
        **{kind: _only(rows, ROWS) for kind, rows in medians.items()},
        "further_rows": {kind: _only(rows, FURTHER_ROWS) for kind, rows in medians.items()},
        "limit": _limit(medians["training"], measurements.get(LIMIT, ())),
        "ratios": _ratios(medians),
        "spread": spread,
        "memory": {"peak_mib": memory},
        "mean_training_loss": losses,
        "foreign_cores": foreign,
    }


def _only(rows: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    return {name: rows[name] for name in names if name in rows}


def _limit(training: Mapping[str, float], rounds: Sequence[Measurement]) -> dict[str, Any]:
    if LIMIT not in training:
        return {}
    limit: dict[str, Any] = {"training_seconds_per_epoch": training[LIMIT], **rounds[0].further}
    if "event" in training:
        limit["event_time_over_limit"] = training["event"] / training[LIMIT]
    return limit


def _ratios(medians: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """How many times as fast as the seed's loop, and as the fastest peer, each row is."""
    training, inference = medians["training"], medians["inference"]
    ratios: dict[str, Any] = {}
    if "seed_loop" in training:
        ratios["training_over_seed_loop"] = {
            name: training["seed_loop"] / training[name] for name in ROWS if name in training
        }
        ratios["inference_over_seed_loop"] = {
            name: inference[name] / inference["seed_loop"] for name in ROWS if name in inference
        }
    peers = [name for name in PEERS if name in training]
    if peers and "event" in training:
        fastest = min(peers, key=lambda name: training[name])
        ratios["fastest_peer"] = fastest
        ratios["event_training_over_fastest_peer"] = training[fastest] / training["event"]
    return ratios


def markdown_table(summary: Mapping[str, Any]) -> str:
    """The README's table of a summary; a further row follows in italics, the limit comes last."""
    lines = [
        "| implementation | training, s per epoch | times the seed | inference, images/s "
        "| times the seed | peak memory, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    seed = {kind: summary[kind].get("seed_loop") for kind in ("training", "inference")}
    memory = summary["memory"]["peak_mib"]
    for group, style in ((summary, "{}"), (summary["further_rows"], "*{}*")):
        for name, seconds in group["training"].items():
            rate = group["inference"][name]
            times = [
                f"{seed['training'] / seconds:.1f}" if seed["training"] else "",
                f"{rate / seed['inference']:.1f}" if seed["inference"] else "",
            ]
            lines.append(
                f"| {style.format(name)} | {seconds:.2f} | {times[0]} | {rate:,.0f} | {times[1]} "
                f"| {memory[name]:,.0f} |"
            )
    if summary["limit"]:
        seconds = summary["limit"]["training_seconds_per_epoch"]
        times = f"{seed['training'] / seconds:.1f}" if seed["training"] else ""
        lines.append(f"| limit (event additions alone) | {seconds:.2f} | {times} | | | |")
    return "\n".join(lines)
