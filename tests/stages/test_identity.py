"""A run computes the same arrays, curves and energies as the reference.

After an intended change, the references are written again and the CHANGELOG says why.
The last digits of ReLU networks depend on the processor, so only the spiking network of
a small run is compared.
"""

import json
from pathlib import Path

import pytest

from tests.tools import identity
from tests.tools.pipeline_tools import artifact_paths


@pytest.fixture(scope="module")
def paths(finished: Path) -> dict[str, Path]:
    return {name: finished / path for name, path in artifact_paths(finished).items()}


@pytest.fixture(scope="module")
def reference() -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = json.loads(
        (identity.REFERENCES / "small.json").read_text(encoding="utf-8")
    )
    return content


def test_a_small_run_computes_the_same_arrays_and_curves(
    paths: dict[str, Path], reference: dict[str, dict[str, object]]
) -> None:
    found = identity.digests(paths)
    assert identity.differing_values(found, reference["digests"]) == []


def test_a_small_run_is_priced_the_same(
    paths: dict[str, Path], reference: dict[str, dict[str, object]]
) -> None:
    headline = json.loads(paths["energy_metrics"].read_text(encoding="utf-8"))
    found = {
        name: value for name, value in headline.items() if name in reference["energy"]
    }
    assert identity.differing_values(found, reference["energy"]) == []
    reference_table = identity.REFERENCES / "small_energy.csv"
    expected = identity.energy_values(reference_table, reference_table)
    spiking = identity.energy_values(paths["energy_table"], reference_table, "snn")
    assert identity.differing_values(spiking, expected) == []


def test_the_recorded_run_is_priced_the_same(committed: Path) -> None:
    paths = artifact_paths(committed)
    reference_table = identity.REFERENCES / "full_energy.csv"
    expected = identity.energy_values(reference_table, reference_table)
    found = identity.energy_values(committed / paths["energy_table"], reference_table)
    assert identity.differing_values(found, expected) == []
