"""The table of graphs and what was priced and counted beside them, from metrics/graphs.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def graphs(file: Path) -> str:
    """The table of a file that `python -m benchmarks graphs` has written."""
    return graphs_table(json.loads(file.read_text(encoding="utf-8")))


def graphs_table(found: Mapping[str, Any]) -> str:
    """Each graph beside NIRTorch; then a sentence for each further measurement that is recorded."""
    header = ("graph", "run by", "spikes per neuron and step", "samples/s", "NIRTorch, samples/s")
    header += ("times NIRTorch", "in processor time")
    rows = [header, ("---", "---", *["---:"] * (len(header) - 2)), *map(_row, found["graphs"])]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    said = [words(found[key]) for key, words in FURTHER.items() if key in found]
    caption = f"{found['samples']:,} samples, {found['threads']} threads."
    return "\n\n".join([table, " ".join([caption, *said])])


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    peer = one["samples_per_second_nirtorch"]
    processor = one["processor_seconds_nirtorch"] / one["processor_seconds"]
    return (
        f"`{one['graph']}`", f"`{one['engine']}`", f"{100 * one['density']:.2g} %",
        f"{one['samples_per_second']:,.0f}", f"{peer:,.0f}",
        f"{one['samples_per_second'] / peer:.1f}", f"{processor:.1f}",
    )  # fmt: skip


def _many_samples(one: dict[str, Any]) -> str:
    return (
        f"{one['samples']:,} samples of {one['steps']} steps in `{one['graph']}` "
        f"({100 * one['density']:.2g} % spikes per neuron and step) are priced in "
        f"{one['seconds']:.1f} s, with {one['peak_mib']:,.0f} MiB of memory at most."
    )


def _counting(one: dict[str, Any]) -> str:
    return (
        f"Counting what happens in a running model of {one['simulator']} ({one['network']}) takes "
        f"{one['ratio']:.2f} times the model's own forward pass."
    )


FURTHER = {"many_samples": _many_samples, "counting": _counting}
"""By the key of the file, how it is said."""
