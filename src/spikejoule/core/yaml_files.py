"""YAML as DVC reads it: what DVC records of a file is what the project works with.

DVC parses with ruamel.yaml's safe loader, which is YAML 1.2: `010` is ten, `1:30` and
`yes` are text, `1e-05` is a number. PyYAML's 1.1 reads each of them otherwise.

The paths of artifacts stand in the variables of dvc.yaml, and nowhere else.
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
    """The content of a YAML file, as DVC reads it; None for an empty one.

    Raises `error_type`, in one sentence with the file and where known the line: the
    file cannot be read, is no valid YAML, or gives a key twice.
    """
    text = read_text(path, error_type)
    try:
        loader = YAML(typ="safe")
        loader.composer.warn_double_anchors = False
        return loader.load(text)
    # Beside its own errors ruamel.yaml raises KeyError and others for the likes of
    # `!!bool 3`.
    except Exception as error:
        mark = getattr(error, "problem_mark", None) or getattr(
            error, "context_mark", None
        )
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = " ".join(str(getattr(error, "problem", error) or repr(error)).split())
        raise error_type(f"{where}: not valid YAML ({problem}).") from error


def read_mapping(
    path: FilePath,
    error_type: type[SpikejouleError] = ArtifactError,
    of: str = "keys and values",
) -> dict[str, Any]:
    """The keys and values of a YAML file, read as DVC reads it; `of` says which, for a
    message.

    Raises `error_type` as `read_yaml` does, and if the file holds something else.
    """
    content = read_yaml(path, error_type)
    if not isinstance(content, dict):
        held = "is empty" if content is None else f"holds {shown(content)}"
        raise error_type(f"{path} must hold {of}, but {held}.")
    return content


class ArtifactPaths(dict[str, Path]):
    """Where artifacts are, by the names of dvc.yaml; ArtifactError for one that it
    lacks.
    """

    def __missing__(self, name: str) -> Path:
        raise ArtifactError(
            f"{PIPELINE_FILE} must have the path {name} in its vars, and list "
            f"${{paths.{name}}} in "
            "each stage that reads or writes it."
        )


def artifact_paths(directory: Path, stage: str = "") -> ArtifactPaths:
    """Name and path, within `directory`, of the artifacts in the variables of its
    dvc.yaml: those that it lists for a stage, read or written, or all where none is
    named.

    Raises ArtifactError if there is no pipeline with such variables and such a stage.
    """
    file = directory / PIPELINE_FILE
    if not file.is_file():
        raise ArtifactError(f"{directory} is no project: it has no {PIPELINE_FILE}.")
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
