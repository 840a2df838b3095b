"""The tables of NIR graphs and of priced models, from metrics/graphs.json and
metrics/pricing.json.
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


FURTHER = {"many_samples": _many_samples}
"""By the key of the file, how it is said."""


def pricing(file: Path) -> str:
    """The table of a file that `python -m benchmarks pricing` has written."""
    return pricing_table(json.loads(file.read_text(encoding="utf-8")))


def pricing_table(found: Mapping[str, Any]) -> str:
    """Each model's forward pass beside `spikejoule.price`."""
    rows = [
        (
            "model",
            "batch",
            "forward pass",
            "`price`",
            "times",
            "MiB",
            "`price`",
            "times",
        ),
        ("---", "---", *["---:"] * 6),
        *map(_priced_model, found["models"]),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
