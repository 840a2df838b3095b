"""A params.yaml and the class that says what it must hold: reading, filling in, checking.

A file holds every key. What a class has as a default is for those who make one in code, and for
results from before the key.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameter_problems import WHOLE_LINE, names_of, problem_lines, shown
from spikejoule.core.yaml_files import read_yaml

M = TypeVar("M", bound=BaseModel)


def read_sections(path: str | os.PathLike[str], root: type[BaseModel]) -> dict[str, Any]:
    """The content of a file, unchecked; ParameterError if it has no sections.

    Args:
        path: of the file.
        root: a model whose fields are the sections.
    """
    content = read_yaml(path, ParameterError)
    if content is None:
        raise ParameterError(f"{path} is empty, but must hold the sections {names_of(root)}.")
    if not isinstance(content, dict):
        raise ParameterError(
            f"{path} must hold sections of keys and values, but holds {shown(content)}."
        )
    return content


def with_earlier(
    content: Mapping[str, Any], root: type[BaseModel], earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a file, with what keys that came later stand for.

    Args:
        content: sections by name.
        root: a model whose fields are the sections.
        earlier: by full key, what results from before it were made with; a key with a default in
            its class needs no entry.
    """
    filled = dict(content)
    for name, section in _sections(root):
        if isinstance(filled.get(name), Mapping):
            defaults = {
                key: earlier.get(f"{name}.{key}", field.default)
                for key, field in section.model_fields.items()
                if f"{name}.{key}" in earlier or not field.is_required()
            }
            filled[name] = {**defaults, **filled[name]}
    return filled


def with_new_names(content: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """The content of a file, its keys under the names that they have today.

    Args:
        content: sections by name.
        renamed: by the old full key, the new one, in the same section.
    """
    made = dict(content)
    for old, new in renamed.items():
        (name, old_key), new_key = old.split("."), new.partition(".")[2]
        if isinstance(made.get(name), Mapping):
            made[name] = {
                new_key if key == old_key else key: value for key, value in made[name].items()
            }
    return made


def parsed(
    mapping: Mapping[str, Any],
    root: type[M],
    earlier: Mapping[str, Any],
    renamed: Mapping[str, str],
) -> M:
    """The model that a file's content makes; ParameterError with one line for each problem.

    Args:
        mapping: sections by name.
        root: the model; its fields are the sections.
        earlier: as for :func:`with_earlier`; a key that is missing is told with what it stood for.
        renamed: as for :func:`with_new_names`; an old name is refused with the new one.
    """
    problems = [
        _old_name(old, new, mapping[name])
        for old, new in renamed.items()
        for name, _, key in (old.partition("."),)
        if isinstance(mapping.get(name), Mapping) and key in mapping[name]
    ]
    mapping = with_new_names(mapping, renamed)
    problems += _unwritten(mapping, root, earlier)
    try:
        made = root.model_validate(dict(mapping))
    except ValidationError as error:
        # A key that is missing is told already, with what to write.
        problems += [
            problem
            for problem in error.errors(include_url=False)
            if problem["type"] != "missing" or len(problem["loc"]) == 1
        ]
    if problems:
        raise ParameterError("\n".join(problem_lines(problems, mapping, root)))
    return made


def _sections(root: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in root.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def _unwritten(
    mapping: Mapping[str, Any], root: type[BaseModel], earlier: Mapping[str, Any]
) -> list[ErrorDetails]:
    """The keys that are missing, whether their classes have defaults or not."""
    return [
        _missing(f"{name}.{key}", written, earlier)
        for name, section in _sections(root)
        if isinstance(written := mapping.get(name), Mapping)
        for key in section.model_fields
        if key not in written
    ]


def _old_name(old: str, new: str, written: Mapping[str, Any]) -> ErrorDetails:
    line = f"{old}: is called {new} now; rename the key"
    return ErrorDetails(type=WHOLE_LINE, loc=tuple(old.split(".")), msg=line, input=written)


def _missing(full_key: str, written: Mapping[str, Any], earlier: Mapping[str, Any]) -> ErrorDetails:
    location = tuple(full_key.split("."))
    if full_key not in earlier:
        return ErrorDetails(type="missing", loc=location, msg="", input=written)
    value = earlier[full_key]
    text = value if isinstance(value, str) else shown(value)
    line = f"{full_key}: is missing; add `{location[-1]}: {text}`, which is what there was before"
    return ErrorDetails(type=WHOLE_LINE, loc=location, msg=line, input=written)
