"""Words for what is wrong with a parameter: its full key, its value, and what is allowed."""

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

ADDENDUM = "addendum"
"""The type of a problem with one parameter whose message follows what its field allows."""

# The whole text of a value of megabytes would be made only to be cut.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 1000
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 30

WHOLE_LINE = "whole_line"
"""The type of a problem between several parameters, whose message is the whole line."""


def problem_lines(
    problems: Sequence[ErrorDetails], mapping: Mapping[str, Any], root: type[BaseModel]
) -> list[str]:
    """Say pydantic's problems with `mapping` in the form of this project: one line for each key."""
    # A list's elements and pydantic's own steps lie below the two levels that keys have.
    by_key = {(problem["type"] == WHOLE_LINE, problem["loc"][:2]): problem for problem in problems}
    return [
        problem["msg"] if whole_line else _problem_line(problem, location, mapping, root)
        for (whole_line, location), problem in by_key.items()
    ]


def _problem_line(
    problem: ErrorDetails,
    location: tuple[int | str, ...],
    mapping: Mapping[str, Any],
    root: type[BaseModel],
) -> str:
    key = ".".join(str(part) for part in location)
    section, field = _field_at(root, location)
    if problem["type"] == "missing":
        return f"{key}: is missing; allowed: {allowed_words(field)}"
    value: Any = mapping
    for part in location:
        value = value[part]
    if field is None:
        names = list(section.model_fields)
        near = difflib.get_close_matches(str(location[-1]).lower(), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return (
            f"{key}: {shown(value)} is given to an unknown key{hint}; allowed: {names_of(section)}"
        )
    allowed = allowed_words(field) + (problem["msg"] if problem["type"] == ADDENDUM else "")
    return f"{key}: {shown(value)} is not allowed; allowed: {allowed}"


def _field_at(
    root: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[type[BaseModel], FieldInfo | None]:
    section = root
    field: FieldInfo | None = None
    for part in location:
        if field is not None and _is_section(field.annotation):
            section = field.annotation  # type: ignore[assignment]
        field = section.model_fields.get(str(part))
    return section, field


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def allowed_words(field: FieldInfo | None) -> str:
    """What a field may hold, in words."""
    if field is None:
        return "nothing"
    if field.description:
        return field.description
    annotation = field.annotation
    if _is_section(annotation):
        return f"a section with the keys {names_of(annotation)}"  # type: ignore[arg-type]
    if get_origin(annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(annotation))
    kinds: dict[Any, str] = {int: "a whole number", bool: "true or false", str: "text"}
    kind = kinds.get(annotation, "a number")
    bounds = " and ".join(_bound(constraint) for constraint in field.metadata if _bound(constraint))
    or_null = ", or null" if type(None) in get_args(annotation) else ""
    return f"{kind} {bounds}".rstrip() + or_null


def _bound(constraint: object) -> str:
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
    for attribute, phrase in words.items():
        if hasattr(constraint, attribute):
            return f"{phrase} {getattr(constraint, attribute)}"
    return ""


def names_of(section: type[BaseModel]) -> str:
    """The keys of a section, for a message."""
    return ", ".join(section.model_fields)


def shown(value: object) -> str:
    """A value as YAML would show it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
