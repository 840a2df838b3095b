"""Reading price files: YAML that is refused with its line and the reason if anything is wrong."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from spikejoule.core.errors import ParameterError, first_problem
from spikejoule.core.yaml_files import read_yaml
from spikejoule.energy.prices import HardwareProfile

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The prices that come with the project."""


def load_profiles(path: str | os.PathLike[str] | None = None) -> dict[str, HardwareProfile]:
    """Read a price file; returns its profiles by id, in the file's order.

    Args:
        path: the file; None for the packaged list.

    Raises:
        ParameterError: the file cannot be read, or holds something that is not allowed; one
            sentence with the file, the line and the reason.
    """
    file = Path(PACKAGED if path is None else path)
    content = read_yaml(file, ParameterError)
    if not isinstance(content, dict) or not content:
        raise ParameterError(f"{file} must hold profiles of prices, each under its id.")
    return {name: _profile(file, name, content[name]) for name in content}


def select_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str, name: str
) -> HardwareProfile:
    """The profile of an id; ParameterError, naming the parameter `name`, if there is none."""
    if profile_id not in profiles:
        raise ParameterError(
            f"{name}: {profile_id!r} is not allowed; allowed: {', '.join(profiles)}"
        )
    return profiles[profile_id]


def _profile(file: Path, name: str, content: Any) -> HardwareProfile:
    """A checked profile; ParameterError at the line of what is wrong first."""
    if not isinstance(content, dict):
        raise ParameterError(f"{file}: profile {name} must be a mapping of fields.")
    try:
        return HardwareProfile.model_validate({"id": name, **content})
    except ValidationError as error:
        raise ParameterError(
            f"{file}, line {_line(file, name, error)}: profile {name}: {first_problem(error)}."
        ) from error


def _line(file: Path, name: str, error: ValidationError) -> int:
    """The line of what is wrong; of what is missing, that of the name that it is missing under."""
    problem = error.errors(include_url=False)[0]
    within = getattr(problem.get("ctx", {}).get("error"), "within", ())
    # Composed a second time, for the marks that the checked content does not have.
    node: Node = YAML(typ="safe", pure=True).compose(file.read_bytes())
    mark: Node = node
    for step in (name, *problem["loc"], *within):
        if isinstance(node, MappingNode):
            entries = [pair for pair in node.value if pair[0].value == step]
            mark, node = entries[0] if entries else (mark, node)
        elif isinstance(step, int) and isinstance(node.value, list) and step < len(node.value):
            mark = node = node.value[step]
    return int(mark.start_mark.line) + 1
