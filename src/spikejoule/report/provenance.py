"""What the page says of a result's making: nothing that differs from run to run."""

from collections.abc import Sequence
from pathlib import Path

from spikejoule.core.provenance import file_digest
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.model.trained import TrainedNetwork


def network_provenance(network: TrainedNetwork, path: Path) -> tuple[tuple[str, str], ...]:
    """Data, parameters and checksum of a trained network, which `path` holds; label and value."""
    data = network.data
    return (
        ("again", "check out this revision of the project, then: make repro"),
        ("data source", str(data["source"])),
        *((f"SHA-256 of {name}", str(digest)) for name, digest in data["sha256"].items()),
        ("SHA-256 of the trained network", file_digest(path, "sha256")),
        *((f"encode: {name}", str(value)) for name, value in network.encoding.items()),
        *((f"train: {name}", str(value)) for name, value in network.training_config.items()),
    )


def front_provenance(runs: Sequence[FrontRow], path: Path) -> tuple[tuple[str, str], ...]:
    """Where the front's runs come from: not from this run of the pipeline; nothing without runs."""
    if not runs:
        return ()
    commits = {run.run_id: run.git_commit for run in runs}
    return (
        ("the front", f"recorded earlier by make front in {path.name}, not made by this run"),
        *((f"the front: MLflow run {run}", f"commit {commit}") for run, commit in commits.items()),
        (f"SHA-256 of {path.name}", file_digest(path, "sha256")),
    )
