"""A run computes the same arrays, curves and energies as the reference.

After an intended change, the references are written again and the CHANGELOG says why.
Of a small run, the spiking network is compared. Bytes of the recorded run are in
dvc.lock; `python -m tests.tools.identity` compares a full run.
"""

import json
from pathlib import Path

from tests.tools.identity import (
    REFERENCES,
    differing_values,
    digests,
    energy_values,
    read_rows,
)
from tests.tools.pipeline_tools import artifact_paths


def test_a_small_run_computes_and_prices_the_same(finished: Path) -> None:
    paths = {name: finished / path for name, path in artifact_paths(finished).items()}
    reference = json.loads((REFERENCES / "small.json").read_text(encoding="utf-8"))
    assert differing_values(digests(paths), reference["digests"]) == []
    headline = json.loads(paths["energy_metrics"].read_text(encoding="utf-8"))
    found = {name: headline[name] for name in reference["energy"]}
    assert differing_values(found, reference["energy"]) == []
    table = read_rows(REFERENCES / "small_energy.csv")
    spiking = energy_values(read_rows(paths["energy_table"]), table, "snn")
    assert differing_values(spiking, energy_values(table, table)) == []
