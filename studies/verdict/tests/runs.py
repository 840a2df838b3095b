"""Runs with counted networks, for tests."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikejoule.energy.ledger import Variant
from spikejoule.energy.variant_file import save_variants
from tests.energy.test_verdict import variant
from tests.tools.recorded import record, run

SMALL = "ReLU 784-9-10"
LARGE = "ReLU 784-100-10"


def networks(
    seed: int,
    spiking: Sequence[int] = (50, 60, 70, 80),
    large: bool = False,
    percent: float = 97.4,
) -> list[Variant]:
    """The networks of a seed's run: a spiking one and one or two conventional ones."""
    name = f"spiking 784-16-10, {seed} % pruned"
    counted = [
        variant("spiking", spiking, percent, network=name),
        variant("conventional", [10, 20, 30, 40], 98.9, network=SMALL),
    ]
    if large:
        counted.append(variant("conventional", [1000] * 4, 99.6, network=LARGE))
    return [
        replace(network, weights_sha256=f"{place}{seed}".rjust(64, "0"))
        for place, network in enumerate(counted)
    ]


def record_networks(
    project: Path,
    name: str,
    counted: Sequence[Variant] = (),
    seed: int = 42,
    size: int = 400,
    **parameters: str,
) -> str:
    """Record a run and return its id; old runs have no counted networks."""
    artifacts = {project / "params.yaml": ""}
    if counted:
        path = project.parent / name / "contenders.npz"
        path.parent.mkdir()
        save_variants(path, counted)
        artifacts[path] = "results"
    about = {
        "model.hidden": f"[{size}]",
        "seed": str(seed),
        "encode.encoding": "latency",
    }
    times = {
        "training_time_seconds": 50.0,
        "training_processor_seconds": 90.0,
        "baseline_time_seconds": 30.0,
        "baseline_processor_seconds": 32.0,
    }
    all_parameters = {**about, **parameters}
    recorded = run(
        name, 98, 97, 4000 + len(name), parameters=all_parameters, metrics=times
    )
    return record(project, recorded, artifacts)
