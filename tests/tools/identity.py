"""Digests of what a run computed: `python -m tests.tools.identity PROJECT` compares.

Arrays and headline figures are compared with the recorded digests, and energies with
the committed metrics/energy.csv.

Files may change their format, but not the arrays in them. Only NumPy and PyTorch read
the files here, so that no code of the project changes an array before its digest.
"""

import csv
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikejoule.evaluation.inference import read_measurement
from spikejoule.network.checkpoint import Checkpoint
from tests.tools.committed import committed_rows
from tests.tools.pipeline_tools import artifact_paths

Rows = Sequence[Mapping[str, str]]

REFERENCES = Path(__file__).resolve().parents[1] / "stages" / "identity"
RELATIVE_TOLERANCE = 1e-12
# Columns of metrics/energy.csv that identify a row, and those with its figures.
ROW = ("profile", "network", "phase", "term", "layer", "class")
FIGURES = (
    "count",
    "pj_low",
    "pj",
    "pj_high",
    "pj_standard_deviation",
    "pj_interval_low",
    "pj_interval_high",
)


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """Digest every array and curve of a run, by artifact and name.

    `paths` has the artifacts `events_validation`, `events_test`, `trained`,
    `inference_events`, `predictions` and `history`; spike counts are made from these.
    """
    counts = read_measurement(paths, Checkpoint.read_trained(paths["trained"])).counts
    arrays = {
        "inference_spikes.per_sample": counts.per_sample,
        "inference_spikes.per_step": counts.per_step,
        "inference_spikes.sample": np.arange(counts.n_samples),
    }
    for layer, per_neuron in zip(counts.layer_names, counts.per_neuron, strict=True):
        arrays[f"inference_spikes.per_neuron_{layer}"] = per_neuron
    for artifact in (
        "events_validation",
        "events_test",
        "inference_events",
        "predictions",
    ):
        with np.load(paths[artifact], allow_pickle=False) as archive:
            for name, array in archive.items():
                # Input spikes are among the counts above.
                if array.dtype.kind in "iuf" and array.ndim and name != "input_spikes":
                    arrays[f"{artifact}.{name}"] = array
    content = torch.load(paths["trained"], map_location="cpu", weights_only=True)
    arrays |= _tensors("trained.state", content["model_state_dict"])
    arrays |= _tensors("trained.optimizer_state", content["optimizer_state_dict"])
    digest_of = {name: _digest(array) for name, array in arrays.items()}
    rows = read_rows(paths["history"])
    for column in rows[0]:
        values = "\n".join(row[column] for row in rows)
        digest_of[f"history.{column}"] = hashlib.sha256(values.encode()).hexdigest()
    return digest_of


def energy_values(
    rows: Rows, reference: Rows, network: str = ""
) -> dict[str, float | str]:
    """Return the figures of an energy table, of one network or all, by row and column.

    They are empty where a term has no value. Price lists that the reference lacks are
    new, and left out.
    """
    profiles = {row["profile"] for row in reference}
    return {
        f"{', '.join(row[column] for column in ROW)}: {name}": row[name]
        and float(row[name])
        for row in rows
        if row["profile"] in profiles and network in ("", row["network"])
        for name in FIGURES
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def differing_values(
    found: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Describe the keys that only one object has, and the values that differ."""
    lines = [f"{key}: in one of them" for key in sorted(found.keys() ^ expected.keys())]
    for key in sorted(found.keys() & expected.keys()):
        if not _is_equal(found[key], expected[key]):
            lines.append(f"{key} is {found[key]}, and was {expected[key]}")
    return lines


def _is_equal(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=RELATIVE_TOLERANCE)
    return bool(ours == theirs)


def _tensors(name: str, content: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the tensors of a nested state dict, with their names joined by dots."""
    if isinstance(content, torch.Tensor):
        yield name, content.numpy()
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _tensors(f"{name}.{key}", value)


def _digest(array: NDArray[Any]) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def main(project: Path) -> int:
    """Compare a full run with the committed reference; return 1 if they differ."""
    paths = {name: project / path for name, path in artifact_paths(project).items()}
    found = {
        "digests": digests(paths),
        "energy": json.loads(paths["energy_metrics"].read_text(encoding="utf-8")),
    }
    if "--write" in sys.argv:
        text = json.dumps(found, indent=1, sort_keys=True)
        (REFERENCES / "full.json").write_text(text + "\n", encoding="utf-8")
        return 0
    expected = json.loads((REFERENCES / "full.json").read_text(encoding="utf-8"))
    table = committed_rows("energy")
    differing = [
        *differing_values(found["digests"], expected["digests"]),
        *differing_values(found["energy"], expected["energy"]),
        *differing_values(
            energy_values(read_rows(paths["energy_table"]), table),
            energy_values(table, table),
        ),
    ]
    print("\n".join(differing) or "the same arrays, curves and energies")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
