"""The tables of measured speed, from the files of metrics/."""

import csv
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from spikejoule.core.terminal import text_table, wrapped

Rows = Sequence[tuple[str, ...]]
"""A table; the first row has the headings."""


def markdown(rows: Rows, n_words: int) -> str:
    """Write a table in Markdown: columns of words to the left, then numbers."""
    header, *others = rows
    sides = ["---"] * n_words + ["---:"] * (len(header) - n_words)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, sides, *others))


def plain(rows: Rows) -> str:
    """Write a table for a terminal."""
    header, *others = rows
    return text_table(header, others)


def graphs(file: Path) -> str:
    """The table of a file that `python -m benchmarks graphs` has written."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return "\n\n".join([markdown(graph_rows(found), 2), graph_caption(found)])


def plain_graphs(found: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    return "\n\n".join([plain(graph_rows(found)), wrapped(graph_caption(found))])


def graph_rows(found: Mapping[str, Any]) -> Rows:
    """Each graph beside NIRTorch."""
    header = (
        "graph",
        "run by",
        "spikes per neuron and step",
        "samples/s",
        "NIRTorch, samples/s",
        "times NIRTorch",
        "in processor time",
    )
    return [header, *map(_row, found["graphs"])]


def graph_caption(found: Mapping[str, Any]) -> str:
    """The size of the job; then a sentence for each further recorded measurement."""
    said = [words(found[key]) for key, words in FURTHER.items() if key in found]
    caption = f"{found['samples']:,} samples, {found['threads']} threads."
    return " ".join([caption, *said])


def _row(measured: dict[str, Any]) -> tuple[str, ...]:
    peer = measured["samples_per_second_nirtorch"]
    processor = measured["processor_seconds_nirtorch"] / measured["processor_seconds"]
    return (
        f"`{measured['graph']}`",
        f"`{measured['engine']}`",
        f"{100 * measured['density']:.2g} %",
        f"{measured['samples_per_second']:,.0f}",
        f"{peer:,.0f}",
        f"{measured['samples_per_second'] / peer:.1f}",
        f"{processor:.1f}",
    )


def _many_samples(measured: dict[str, Any]) -> str:
    return (
        f"{measured['samples']:,} samples of {measured['steps']} steps in "
        f"`{measured['graph']}` "
        f"({100 * measured['density']:.2g} % spikes per neuron and step) are priced in "
        f"{measured['seconds']:.1f} s, with {measured['peak_mib']:,.0f} MiB of "
        "memory at most."
    )


FURTHER = {"many_samples": _many_samples}
"""By the key of the file, how it is said."""


def pricing(file: Path) -> str:
    """The table of a file that `python -m benchmarks pricing` has written."""
    return markdown(pricing_rows(json.loads(file.read_text(encoding="utf-8"))), 2)


def pricing_rows(found: Mapping[str, Any]) -> Rows:
    """Each model's forward pass beside `spikejoule.price`."""
    header = (
        "model",
        "batch",
        "forward pass",
        "`price`",
        "times",
        "MiB",
        "`price`",
        "times",
    )
    return [header, *map(_priced_model, found["models"])]


def _priced_model(measured: dict[str, Any]) -> tuple[str, ...]:
    seconds, peaks = measured["seconds"], measured["peak_mib"]
    return (
        f"{measured['network']} ({measured['simulator']})",
        " x ".join(map(str, measured["shape"])),
        f"{seconds['forward']:.2f} s",
        f"{seconds['price']:.2f} s",
        f"{measured['time_ratio']:.2f}",
        f"{peaks['forward']:,.0f}",
        f"{peaks['price']:,.0f}",
        f"{measured['memory_ratio']:.2f}",
    )


def accelerate(file: Path) -> str:
    """The table of a file that `python -m benchmarks accelerate` has written."""
    return markdown(accelerate_rows(json.loads(file.read_text(encoding="utf-8"))), 3)


def accelerate_rows(found: Mapping[str, Any]) -> Rows:
    """Milliseconds of a training step, and how many times faster the accelerated."""
    header = ("network", "job", "loop with", "ms per batch", "accelerated", "times")
    rows: list[tuple[str, ...]] = [header]
    for name, job in found["jobs"].items():
        seconds = job["seconds_per_batch"]
        fast = {row: seconds[row] for row in seconds if row.startswith("accelerated ")}
        for row in (row for row in seconds if row not in fast):
            # Where the simulator's own model is not accelerated, the fastest one.
            own = fast.get(f"accelerated {row}", min(fast.values()))
            rows.append(
                (
                    f"{job['network']}, {job['steps']} steps",
                    name,
                    row,
                    f"{1000 * seconds[row]:.1f}",
                    f"{1000 * own:.1f}",
                    f"{seconds[row] / own:.1f}",
                )
            )
    return rows


def track(file: Path) -> str:
    """The table of a file that `python -m benchmarks track` has written."""
    return track_table(json.loads(file.read_text(encoding="utf-8")))


def track_table(found: Mapping[str, Any]) -> str:
    """Milliseconds of a training step with and without a tracker, and their ratio."""
    header = ("network", "loop with", "ms per batch", "tracked", "times")
    header += ("in processor time",)
    rows: list[tuple[str, ...]] = [header, ("---", "---", *["---:"] * 4)]
    for loop in found["loops"]:
        seconds = loop["seconds_per_batch"]
        steps = f", {loop['steps']} steps" if loop["steps"] > 1 else ", ReLU"
        rows.append(
            (
                loop["network"] + steps,
                loop["loop"],
                f"{1000 * seconds['untracked']:.1f}",
                f"{1000 * seconds['tracked']:.1f}",
                f"{loop['ratio']:.2f}",
                f"{loop['processor_ratio']:.2f}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def growth(file: Path) -> str:
    """The table of a file that `python -m benchmarks growth` has written."""
    series = json.loads(file.read_text(encoding="utf-8"))["series"]
    return markdown(growth_rows(series), 1)


def growth_rows(series: Mapping[str, Any]) -> Rows:
    """Each quantity's seconds per epoch, and below them the fitted exponents."""
    lines = [("", "", *GROWING_ROWS, "fastest peer / fastest `event`")]
    for name, measured in series.items():
        for point in measured["points"]:
            seconds = point["seconds"]
            fastest = min(seconds["event"], seconds.get("event, sampled", math.inf))
            peer = min(seconds["plain PyTorch"], seconds["SpikingJelly"])
            lines.append(
                (
                    name,
                    f"{point['value']:,g}",
                    *(_or_dash(seconds, row, "{:.2f}") for row in GROWING_ROWS),
                    f"{peer / fastest:.1f}",
                )
            )
        exponents = [
            _or_dash(measured["exponents"], row, "^{:.2f}") for row in GROWING_ROWS
        ]
        lines.append((name, "exponent", *exponents, ""))
    return lines


def _or_dash(values: Mapping[str, float], row: str, form: str) -> str:
    return form.format(values[row]) if row in values else "–"


GROWING_ROWS = ("event", "event, sampled", "plain PyTorch", "SpikingJelly")
"""The implementations in metrics/growth.json."""


def sampling(file: Path) -> str:
    """The table of exact and sampled training, from one line per training.

    The file has the columns `hidden`, `backward`, `seed` and
    `best_validation_accuracy_percent`.
    """
    with file.open(encoding="utf-8", newline="") as opened:
        trainings = list(csv.DictReader(opened))
    lines = [("hidden layers", "backward", "each seed, %", "mean, %")]
    for (hidden, backward), group in groupby(
        trainings, key=lambda row: (row["hidden"], row["backward"])
    ):
        accuracies = [float(row["best_validation_accuracy_percent"]) for row in group]
        lines.append(
            (
                hidden,
                f"`{backward}`",
                ", ".join(f"{accuracy:.2f}" for accuracy in accuracies),
                f"{statistics.mean(accuracies):.2f}",
            )
        )
    return markdown(lines, 2)
