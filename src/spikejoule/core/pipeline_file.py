"""The paths of artifacts: they stand in the variables of dvc.yaml, and nowhere else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import read_mapping

PIPELINE_FILE = "dvc.yaml"
PARAMS_FILE = "params.yaml"


def artifact_paths(directory: Path) -> dict[str, Path]:
    """Name and path, within `directory`, of every artifact in the variables of its dvc.yaml.

    Raises ArtifactError if there is no pipeline with such variables.
    """
    return paths_of(read_mapping(directory / PIPELINE_FILE), directory)


def paths_of(content: Mapping[str, Any], directory: Path) -> dict[str, Path]:
    """The same of a dvc.yaml that is read already."""
    for variables in content.get("vars", ()):
        if isinstance(variables, Mapping) and isinstance(variables.get("paths"), Mapping):
            return {str(name): Path(path) for name, path in variables["paths"].items()}
    raise ArtifactError(f"{directory / PIPELINE_FILE} has no vars with the entry paths.")
