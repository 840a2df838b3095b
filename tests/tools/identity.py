"""What a run computed, by digest: `python -m tests.tools.identity PROJECT` compares a full run.

Files may change their form; the arrays in them may not. They are read here by NumPy and PyTorch
alone, so that no code of the project stands between a file and its digest.
"""

import csv
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.trained import load_trained
from tests.tools.pipeline_tools import artifact_paths

REFERENCES = Path(__file__).resolve().parents[1] / "stages" / "identity"
RELATIVE_TOLERANCE = 1e-12
# Rows of metrics/energy.csv by what they price and where, its figures by these columns.
ROW = ("profile", "network", "phase", "term", "layer", "class")
_FIGURES = ("count", "pj_low", "pj", "pj_high", "pj_standard_deviation", "pj_interval_low")
FIGURES = (*_FIGURES, "pj_interval_high")


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """The digest of every array and curve of a run, by artifact and name.

    `paths` has the artifacts `events_validation`, `events_test`, `trained`, `inference_events`,
    `predictions` and `history`. The counts of inference's spikes are made from these.
    """
    counts = read_measurement(paths, load_trained(paths["trained"])).counts
    counted = {
        "per_sample": counts.per_sample,
        "per_step": counts.per_step,
        "sample": np.arange(counts.n_samples),
        **{
            f"per_neuron_{name}": of
            for name, of in zip(counts.layer_names, counts.per_neuron, strict=True)
        },
    }
    found = {f"inference_spikes.{name}": _digest(array) for name, array in counted.items()}
    npz = ("events_validation", "events_test", "inference_events")
    for artifact in (*npz, "predictions"):
        with np.load(paths[artifact], allow_pickle=False) as arrays:
            for name in arrays.files:
                of_counts = name == "input_spikes"  # which are among the counts above
                if arrays[name].dtype.kind in "iuf" and arrays[name].ndim and not of_counts:
                    found[f"{artifact}.{name}"] = _digest(arrays[name])
    content = torch.load(paths["trained"], map_location="cpu", weights_only=True)
    parts = {"state": "model_state_dict", "optimizer_state": "optimizer_state_dict"}
    for name, tensor in _tensors("trained", {ours: content[key] for ours, key in parts.items()}):
        found[name] = _digest(tensor.numpy())
    with open(paths["history"], encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for column in rows[0]:
        values = "\n".join(row[column] for row in rows)
        found[f"history.{column}"] = hashlib.sha256(values.encode()).hexdigest()
    return found


def energy_values(path: Path, reference: Path, network: str = "") -> dict[str, float | None]:
    """The figures of metrics/energy.csv, of one network if it is named, by row and column.

    None where a term has no value. Profiles that the reference does not have are new prices.
    """
    with open(reference, encoding="utf-8", newline="") as stream:
        profiles = {row["profile"] for row in csv.DictReader(stream)}
    with open(path, encoding="utf-8", newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["profile"] in profiles and network in ("", row["network"])
        ]
    return {
        f"{', '.join(row[of] for of in ROW)}: {name}": float(row[name]) if row[name] else None
        for row in rows
        for name in FIGURES
    }


def differing_values(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Keys of one object that the other lacks or has other values for, in words."""
    lines = [f"{key}: in one of them" for key in sorted(found.keys() ^ expected.keys())]
    for key in sorted(found.keys() & expected.keys()):
        if not _equal(found[key], expected[key]):
            lines.append(f"{key} is {found[key]}, and was {expected[key]}")
    return lines


def _equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=RELATIVE_TOLERANCE)
    return bool(ours == theirs)


def _tensors(name: str, content: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(f"{name}.{key}", value)


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def main(project: Path) -> int:
    """Compare the full run in `project` with the committed reference; 1 if anything differs."""
    paths = {name: project / path for name, path in artifact_paths(project).items()}
    found = {
        "digests": digests(paths),
        "energy": json.loads(paths["energy_metrics"].read_text(encoding="utf-8")),
    }
    if "--write" in sys.argv:
        text = json.dumps(found, indent=1, sort_keys=True)
        (REFERENCES / "full.json").write_text(text + "\n", encoding="utf-8")
        (REFERENCES / "full_energy.csv").write_bytes(paths["energy_table"].read_bytes())
        return 0
    expected = json.loads((REFERENCES / "full.json").read_text(encoding="utf-8"))
    table = REFERENCES / "full_energy.csv"
    differing = [
        *differing_values(found["digests"], expected["digests"]),
        *differing_values(found["energy"], expected["energy"]),
        *differing_values(energy_values(paths["energy_table"], table), energy_values(table, table)),
    ]
    print("\n".join(differing) or "the same arrays, curves and energies")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
