"""YAML files, read as DVC reads them, and the artifact paths of dvc.yaml.

DVC parses with ruamel.yaml's safe loader, which is YAML 1.2: `010` is ten, `1:30` and
`yes` are text, `1e-05` is a number. PyYAML's 1.1 reads each of them differently.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from spikejoule.core.errors import ArtifactError, SpikejouleError, shown
from spikejoule.core.store import FilePath, read_text

PIPELINE_FILE: Final = "dvc.yaml"
PARAMS_FILE: Final = "params.yaml"


def read_yaml(path: FilePath, error_type: type[SpikejouleError]) -> Any:
    """Read a YAML file as DVC does; None for an empty one.

    Raises `error_type`, which names the line if it is known: the file cannot be read,
    is not valid YAML, or gives a key twice.
    """
    text = read_text(path, error_type)
    loader = YAML(typ="safe")
    loader.composer.warn_double_anchors = False
    try:
        return loader.load(text)
    # Besides its own errors ruamel.yaml raises KeyError and others, for `!!bool 3` say.
    except Exception as error:
        mark = getattr(error, "problem_mark", None) or getattr(
            error, "context_mark", None
        )
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = " ".join(str(getattr(error, "problem", error) or repr(error)).split())
        raise error_type(f"{where}: not valid YAML ({problem}).") from error


def read_mapping(
    path: FilePath, error_type: type[SpikejouleError] = ArtifactError
) -> dict[str, Any]:
    """Read the keys and values of a YAML file; `error_type` if it holds others."""
    content = read_yaml(path, error_type)
    if not isinstance(content, dict):
        held = "is empty" if content is None else f"holds {shown(content)}"
        raise error_type(f"{path} must hold keys and values, but {held}.")
    return content


class ArtifactPaths(dict[str, Path]):
    """Paths of artifacts by their names in dvc.yaml; ArtifactError for any other."""

    def __missing__(self, name: str) -> Path:
        raise ArtifactError(
            f"{PIPELINE_FILE} must have the path {name} in its vars, and list "
            f"${{paths.{name}}} in each stage that reads or writes it."
        )


def artifact_paths(directory: Path, stage: str = "") -> ArtifactPaths:
    """Read the artifact paths, relative to `directory`, from its dvc.yaml.

    Args:
        directory: root of the project.
        stage: returns only the paths that this stage lists; all if empty.

    Raises:
        ArtifactError: there is no pipeline with such variables and such a stage.
    """
    file = directory / PIPELINE_FILE
    if not file.is_file():
        raise ArtifactError(f"{directory} is not a project: it has no {PIPELINE_FILE}.")
    content = read_mapping(file)
    try:
        variables = next(
            entry for entry in content["vars"] if isinstance(entry, Mapping)
        )
        paths = {str(name): Path(path) for name, path in variables["paths"].items()}
        listed = json.dumps(content["stages"][stage]) if stage else ""
    except (AttributeError, KeyError, StopIteration, TypeError) as error:
        raise ArtifactError(
            f"{file} must have vars with the entry paths, and stages with their files."
        ) from error
    return ArtifactPaths(
        (name, path)
        for name, path in paths.items()
        if not stage or f'"${{paths.{name}}}"' in listed
    )


def stage_parameters(directory: Path, stage: str) -> tuple[str, ...]:
    """List the parameters of a stage in dvc.yaml, by key or by section.

    Raises ArtifactError if the folder has no pipeline with that stage.
    """
    artifact_paths(directory, stage)
    stages = read_mapping(directory / PIPELINE_FILE)["stages"]
    return tuple(stages[stage].get("params", ()))
