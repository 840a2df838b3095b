"""The table of graphs and what was priced and counted beside them, from
metrics/graphs.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def graphs(file: Path) -> str:
    """The table of a file that `python -m benchmarks graphs` has written."""
    return graphs_table(json.loads(file.read_text(encoding="utf-8")))


def graphs_table(found: Mapping[str, Any]) -> str:
    """Each graph beside NIRTorch; then a sentence for each further measurement that is
    recorded.
    """
    header = (
        "graph",
        "run by",
        "spikes per neuron and step",
        "samples/s",
        "NIRTorch, samples/s",
    )
    header += ("times NIRTorch", "in processor time")
    rows = [
        header,
        ("---", "---", *["---:"] * (len(header) - 2)),
        *map(_row, found["graphs"]),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    said = [words(found[key]) for key, words in FURTHER.items() if key in found]
    caption = f"{found['samples']:,} samples, {found['threads']} threads."
    return "\n\n".join([table, " ".join([caption, *said])])


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


def _counting(measured: dict[str, Any]) -> str:
    return (
        f"Counting what happens in a running model of {measured['simulator']} "
        f"({measured['network']}) takes {measured['ratio']:.2f} times the model's "
        "own forward pass."
    )


FURTHER = {"many_samples": _many_samples, "counting": _counting}
"""By the key of the file, how it is said."""
