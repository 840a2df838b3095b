"""A run computes the same arrays, curves and energies as the reference.

After an intended change, the references are written again and the CHANGELOG says why.
Of a small run, the spiking network is compared. Bytes of the recorded run are in
dvc.lock.
"""

import json
from pathlib import Path

from tests.tools.identity import (
    REFERENCES,
    differing_values,
    digests,
    energy_values,
)
from tests.tools.pipeline_tools import artifact_paths


def test_a_small_run_computes_and_prices_the_same(finished: Path) -> None:
    paths = {name: finished / path for name, path in artifact_paths(finished).items()}
    reference = json.loads((REFERENCES / "small.json").read_text(encoding="utf-8"))
    assert differing_values(digests(paths), reference["digests"]) == []
    headline = json.loads(paths["energy_metrics"].read_text(encoding="utf-8"))
    found = {name: headline[name] for name in reference["energy"]}
    assert differing_values(found, reference["energy"]) == []
    table = REFERENCES / "small_energy.csv"
    spiking = energy_values(paths["energy_table"], table, "snn")
    assert differing_values(spiking, energy_values(table, table)) == []


def test_the_recorded_run_is_priced_the_same(committed: Path) -> None:
    table = REFERENCES / "full_energy.csv"
    recorded = committed / artifact_paths(committed)["energy_table"]
    found = energy_values(recorded, table)
    assert differing_values(found, energy_values(table, table)) == []
