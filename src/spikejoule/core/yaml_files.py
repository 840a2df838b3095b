"""YAML as DVC reads it: what DVC records of a file is what the project works with.

DVC parses with ruamel.yaml's safe loader, which is YAML 1.2: `010` is ten, `1:30` and `yes` are
text, `1e-05` is a number. PyYAML's 1.1 reads each of them otherwise.

The paths of artifacts stand in the variables of dvc.yaml, and nowhere else.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from spikejoule.core.errors import ArtifactError, SpikejouleError
from spikejoule.core.store import FilePath, read_text

MAX_VALUES: Final = 100_000
"""Values that a file may hold. One behind an alias counts wherever the alias stands, so that a few
lines of nested aliases do not stand for more than memory and time allow."""

_MAX_DIGITS = 1000  # Python refuses to print whole numbers of more than 4,300


def read_yaml(path: FilePath, error_type: type[SpikejouleError]) -> Any:
    """The content of a YAML file, as DVC reads it; None for an empty one.

    Raises `error_type`, in one sentence with the file and where known the line: the file cannot be
    read, is no valid YAML, gives a key twice, or holds too much.
    """
    loader = YAML(typ="safe")
    loader.Constructor = _BoundedConstructor
    loader.composer.warn_double_anchors = False
    text = read_text(path, error_type)
    try:
        return loader.load(text)
    # Beside its own errors ruamel.yaml raises KeyError and others for the likes of `!!bool 3`.
    except Exception as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = " ".join(str(getattr(error, "problem", error) or repr(error)).split())
        raise error_type(f"{where}: not valid YAML ({problem}).") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, read as DVC reads it.

    Raises ArtifactError if there is no such file.
    """
    content = read_yaml(path, ArtifactError)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} must hold keys and values.")
    return content


class _BoundedConstructor(SafeConstructor):
    """Builds what DVC's constructor builds, if that is no more than a file may hold."""

    def construct_document(self, node: Node) -> Any:
        # A list of its own in place of recursion: an alias may lead back to where it stands.
        waiting, n_values = [node], 0
        while waiting:
            one = waiting.pop()
            n_values += 1
            if n_values > MAX_VALUES:
                raise MarkedYAMLError(problem=f"more than {MAX_VALUES:,} values, aliases resolved")
            if isinstance(one, MappingNode):
                waiting += [part for pair in one.value for part in pair]
            elif isinstance(one, CollectionNode):
                waiting += one.value
            elif str(one.tag).endswith(":int") and len(one.value) > _MAX_DIGITS:
                raise MarkedYAMLError(
                    problem=f"a number of more than {_MAX_DIGITS:,} digits",
                    problem_mark=one.start_mark,
                )
        return super().construct_document(node)


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


def stage_paths(directory: Path, name: str) -> dict[str, Path]:
    """Of the artifacts in `directory` those that its dvc.yaml lists for a stage, read or written.

    All of them where it has no such stage. Raises ArtifactError as above.
    """
    content = read_mapping(directory / PIPELINE_FILE)
    paths = paths_of(content, directory)
    stage = content.get("stages", {}).get(name)
    if stage is None:
        return paths
    entries = [
        entry for kind in ("deps", "outs", "metrics", "plots") for entry in stage.get(kind, ())
    ]
    listed = {next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries}
    return {key: path for key, path in paths.items() if f"${{paths.{key}}}" in listed}
