"""YAML as DVC reads it: what DVC records of a file is what the project works with.

DVC parses with ruamel.yaml's safe loader, which is YAML 1.2: `010` is ten, `1:30` and `yes` are
text, `1e-05` is a number. PyYAML's 1.1 reads each of them otherwise.

The paths of artifacts stand in the variables of dvc.yaml, and nowhere else.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from spikejoule.core.errors import ArtifactError, SpikejouleError
from spikejoule.core.store import read_text

MAX_VALUES: Final = 100_000
"""Values that a file may hold. One behind an alias counts wherever the alias stands, so that a few
lines of nested aliases do not stand for more than memory and time allow."""

_MAX_DIGITS = 1000  # Python refuses to print whole numbers of more than 4,300
_TAG = "tag:yaml.org,2002:"


def read_yaml(path: str | os.PathLike[str], error_type: type[SpikejouleError]) -> Any:
    """The content of a YAML file, as DVC reads it; None for an empty one.

    Raises `error_type`, in one sentence with the file and where known the line: the file cannot be
    read, is no valid YAML, gives a key twice, has a key that is no text, or holds too much.
    """
    loader = YAML(typ="safe")
    loader.Constructor = _CheckedConstructor
    loader.composer.warn_double_anchors = False
    text = read_text(path, error_type)
    try:
        return loader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = " ".join(str(error.problem).split())
        reason = problem if isinstance(error, _RefusedError) else f"not valid YAML ({problem})"
        raise error_type(f"{where}: {reason}.") from error
    except RecursionError as error:
        raise error_type(f"{path}: not valid YAML (nested too deeply).") from error
    except (YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise error_type(f"{path}: not valid YAML ({reason}).") from error
    except Exception as error:
        # ruamel.yaml raises KeyError, IndexError, AssertionError for the likes of `!!bool 3`.
        raise error_type(f"{path}: not valid YAML (no value of its tag: {error!r}).") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, read as DVC reads it.

    Raises ArtifactError if there is no such file.
    """
    content = read_yaml(path, ArtifactError)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} must hold keys and values.")
    return content


class _RefusedError(MarkedYAMLError):
    """YAML that DVC would take, and the project does not."""

    def __init__(self, problem: str, node: Node | None = None) -> None:
        super().__init__(problem=problem, problem_mark=node and node.start_mark)


class _CheckedConstructor(SafeConstructor):
    """Builds what DVC's constructor builds, after a look at the whole document."""

    def construct_document(self, node: Node) -> Any:
        _check(node)
        return super().construct_document(node)


def _check(root: Node) -> None:
    # A list of its own in place of recursion: an alias may lead back to where it stands.
    waiting, n_values = [root], 0
    while waiting:
        node = waiting.pop()
        n_values += 1
        if n_values > MAX_VALUES:
            raise _RefusedError(
                f"more than {MAX_VALUES:,} values, those behind an alias counted each time"
            )
        if isinstance(node, MappingNode):
            _check_keys(node)
            waiting += [value for _, value in node.value]
        elif isinstance(node, SequenceNode):
            waiting += node.value
        elif node.tag == f"{_TAG}int" and len(node.value) > _MAX_DIGITS:
            raise _RefusedError(f"a whole number of more than {_MAX_DIGITS:,} digits", node)


def _check_keys(mapping: MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in mapping.value:
        if not isinstance(key, ScalarNode):
            raise _RefusedError("a list or mapping stands where a key must", key)
        if key.tag not in (f"{_TAG}str", f"{_TAG}merge"):
            raise _RefusedError(f"the key {key.value!r:.80} is no text: write it in quotes", key)
        if not key.value.isprintable():
            raise _RefusedError(f"the key {key.value!r:.80} holds what cannot be printed", key)
        if key.value in seen:
            raise _RefusedError(f"the key {key.value!r:.80} is given twice", key)
        seen.add(key.value)


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
