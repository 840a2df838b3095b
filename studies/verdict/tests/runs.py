"""Runs whose networks are known, for tests: their files hold only a name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import content_digest
from spikejoule.core.store import write_json
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.energy.ledger import Variant
from spikejoule.tracking.live import TRAINED_TAG
from spikejoule.tracking.store import FILES_TAG
from studies.verdict.counted import RunFiles
from tests.energy.test_verdict import variant
from tests.tools.recorded import record, run

FILES = {"train": "0" * 64}
"""Checksums of the images of every run."""

_NETWORKS: dict[str, Sequence[Variant]] = {}

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
    """Record a run and return its id; a run without networks lacks their files."""
    artifacts = {project / "params.yaml": ""}
    if counted:
        _NETWORKS[name] = counted
        files = RunFiles.published(artifact_paths(project))
        for file in files.all:
            path = project.parent / name / file.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name, encoding="utf-8")
            artifacts[path] = file.parent.as_posix()
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
        name,
        98,
        97,
        4000 + len(name),
        parameters=all_parameters,
        metrics=times,
        tags={TRAINED_TAG: "0" * 64, FILES_TAG: content_digest(FILES)},
    )
    return record(project, recorded, artifacts)


def known_networks(
    files: RunFiles, test: Samples, weights_sha256: str
) -> Sequence[Variant]:
    """Take the place of `counted.counted_networks`."""
    name = files.checkpoint.read_text(encoding="utf-8")
    if name not in _NETWORKS:
        raise ArtifactError(f"{files.checkpoint} is damaged.")
    return _NETWORKS[name]


def write_test_images(project: Path, images: LabelledImages) -> None:
    """Write what `prepare` writes of the test images, and the checksums."""
    paths = artifact_paths(project)
    for name in ("test", "data_metrics"):
        (project / paths[name]).parent.mkdir(parents=True, exist_ok=True)
    images.save(project / paths["test"])
    write_json(
        project / paths["data_metrics"], {"source": "mnist5k", "sha256": FILES}
    )
