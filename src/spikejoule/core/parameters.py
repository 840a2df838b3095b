"""Typed parameters: sections of params.yaml, and the things in them that are chosen by name.

A `Section` says what its keys may hold. A `Kind` is one of several things that a key chooses
between, such as an encoder, with parameters of its own. It stands in one file of its package,
where `Kinds` finds it. A section stays flat: it holds the name of the kind and, beside it, the
parameters of all kinds, so that one `-S encode.encoding=...` switches from one to another.

A params.yaml holds every key: what a class has as a default is for those who make one in code, and
for results from before the key. What is wrong with it is said with the full key, the value, and
what is allowed.
"""

import difflib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.yaml_files import read_yaml


def _exact(value: object) -> object:
    # A number is recorded as it is written: one that no float equals would not be the one used.
    if isinstance(value, int) and abs(value) > 2**53:
        raise PydanticCustomError(ADDENDUM, ", and written with an exponent beyond 2**53")
    return value


# One line of printable text: of control characters and separators of lines, none.
Line = Annotated[str, Field(max_length=500, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Real = Annotated[float, BeforeValidator(_exact)]


class Section(BaseModel):
    """Parameters: immutable, without implicit conversions, NaN or unknown keys.

    What is allowed is stated once, in `Field`: messages derive the words from the bounds, or take
    the `description` where bounds do not say it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    chosen_between: ClassVar[tuple["Kinds[Any]", ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Raise TypeError where two bases say different things of one key."""
        keys: dict[str, tuple[type, FieldInfo]] = {}
        for base in cls.__bases__:
            for key, field in getattr(base, "model_fields", {}).items():
                other, known = keys.setdefault(key, (base, field))
                if not _same(field, known):
                    raise TypeError(
                        f"{key} is in {other.__name__} and, otherwise, in {base.__name__}"
                    )

    @classmethod
    def choices(cls) -> "tuple[Kinds[Any], ...]":
        """The things that the section chooses between."""
        return tuple(
            kinds for base in cls.__mro__ for kinds in vars(base).get("chosen_between", ())
        )


def _same(one: FieldInfo, other: FieldInfo) -> bool:
    return repr(one) == repr(other)


class Kind(Section):
    """One of the things that a key of params.yaml chooses between; its fields are its parameters.

    Attributes:
        name: how params.yaml names it; the name of its file.
        reference: the publication or project that it comes from.
        reserved: names that a parameter cannot have, since files use them beside it.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    reserved: ClassVar[frozenset[str]] = frozenset()


def _problem_of(kind: type[Kind], name: str) -> str:
    """What a kind in the module `name` lacks or has too much; nothing if it is whole."""
    stated = {key for base in kind.__mro__ for key in inspect.get_annotations(base)}
    missing = {key for key in kind.__class_vars__ & stated if not hasattr(kind, key)}
    missing |= getattr(kind, "__abstractmethods__", frozenset())
    if missing:
        return f"must define {', '.join(sorted(missing))}"
    if kind.name != name:
        return f"has the name {kind.name!r}, but must have that of its file, {name!r}"
    taken = sorted(kind.reserved & kind.model_fields.keys())
    return f"cannot call a parameter {taken[0]}" if taken else ""


K = TypeVar("K", bound=Kind)
S = TypeVar("S", bound=Section)


class Kinds(Mapping[str, type[K]]):
    """The kinds of one thing by name: one from each module of a package.

    Args:
        key: the key of params.yaml that chooses, without its section.
        base: the class that all of them derive from.
        package: full name of the package; a new module in it is a new kind.
    """

    def __init__(self, key: str, base: type, package: str) -> None:
        self.key = key
        self._base: Any = base
        self._package = package

    @cached_property
    def _by_name(self) -> dict[str, type[K]]:
        kinds: dict[str, type[K]] = {}
        parameters: dict[str, tuple[str, FieldInfo]] = {}
        folders = import_module(self._package).__path__
        for name in sorted(found.name for found in pkgutil.iter_modules(folders)):
            if name.startswith("_"):
                continue
            kind = self._defined_in(f"{self._package}.{name}", name)
            for key, field in kind.model_fields.items():
                other, known = parameters.setdefault(key, (name, field))
                if not _same(field, known):
                    raise TypeError(
                        f"{self._package}: {key} is a parameter of {other} and, otherwise, of "
                        f"{name}; kinds that share a parameter say the same of it"
                    )
            kinds[name] = kind
        return kinds

    def _defined_in(self, path: str, name: str) -> type[K]:
        """The kind that a module defines; TypeError names the module and what is wrong with it."""
        module = import_module(path)
        defined: list[Any] = [
            kind
            for kind in vars(module).values()
            if inspect.isclass(kind)
            and kind.__module__ == module.__name__
            and issubclass(kind, self._base)
        ]
        if len(defined) != 1:
            names = ", ".join(kind.__name__ for kind in defined) or "none"
            raise TypeError(f"{path} must define one {self._base.__name__}, but defines {names}")
        kind = defined[0]
        problem = _problem_of(kind, name)
        if problem:
            raise TypeError(f"{path}: {kind.__name__} {problem}")
        checked: type[K] = kind
        return checked

    def __getitem__(self, name: str) -> type[K]:
        if name not in self._by_name:
            raise ParameterError(f"{self.key} is {name!r}; allowed are {', '.join(self)}")
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def parameters(self) -> dict[str, FieldInfo]:
        """The parameters of all kinds; kinds may share one, and then mean the same by it."""
        return {name: field for kind in self.values() for name, field in kind.model_fields.items()}

    def idle_in(self, section: Section) -> set[str]:
        """The parameters of all kinds but the one that a section names."""
        name = getattr(section, self.key)
        return self.parameters().keys() - (self[name].model_fields if name in self else {}).keys()

    def chosen_in(self, section: Section) -> K:
        """The kind that a section names, with the parameters that stand there."""
        kind = self[getattr(section, self.key)]
        return kind.model_validate({name: getattr(section, name) for name in kind.model_fields})


def chooses(*choices: Kinds[Any]) -> Callable[[type[S]], type[S]]:
    """Give a section the keys of what it chooses between: each name, and all kinds' parameters."""

    def with_keys(section: type[S]) -> type[S]:
        fields: dict[str, Any] = {}
        for kinds in choices:
            key = section.model_fields[kinds.key]
            # A section may allow more than the kinds, and then says so itself.
            if not key.description:
                fields[kinds.key] = (Literal[tuple(kinds)], key.default)
            for name, field in kinds.parameters().items():
                own = section.model_fields.get(name)
                # A section may declare a key for readers, but not say anything else of it.
                if name in fields or (own and not _same(own, FieldInfo(annotation=own.annotation))):
                    raise TypeError(
                        f"{section.__name__} has a key {name}, so no {kinds.key} can have a "
                        "parameter of this name"
                    )
                fields[name] = (field.annotation, field)
        made = create_model(
            section.__name__,
            __base__=section,
            __module__=section.__module__,
            __doc__=section.__doc__,
            **fields,
        )
        made.chosen_between = choices
        return made

    return with_keys


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
        earlier: by full key, what results from before it were made with; a key that is missing is
            told with it.
        renamed: by the old full key, the new one; an old name is refused with the new one.
    """
    lines: dict[str, str] = {}
    try:
        made = root.model_validate(dict(mapping))
    except ValidationError as error:
        lines = problem_lines(error.errors(include_url=False), mapping, root)
    lines |= {
        f"{name}.{key}": _missing(f"{name}.{key}", field, earlier)
        for name, section in _sections(root)
        if isinstance(written := mapping.get(name), Mapping)
        for key, field in section.model_fields.items()
        if key not in written
    }
    for old in renamed.keys() & lines.keys():
        lines[old] = f"{old}: is called {renamed[old]} now; rename the key"
        lines.pop(renamed[old], None)
    if lines:
        raise ParameterError("\n".join(lines.values()))
    return made


def _sections(root: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in root.model_fields.items():
        if _is_section(field.annotation):
            yield name, field.annotation  # type: ignore[misc]


def _missing(full_key: str, field: FieldInfo, earlier: Mapping[str, Any]) -> str:
    if full_key not in earlier:
        return f"{full_key}: is missing; allowed: {allowed_words(field)}"
    value = earlier[full_key]
    written = f"{full_key.partition('.')[2]}: {value if isinstance(value, str) else shown(value)}"
    return f"{full_key}: is missing; add `{written}`, which is what there was before"


ADDENDUM = "addendum"
"""The type of a problem with one parameter whose message follows what its field allows."""

_WHOLE_LINE = "whole_line"


def refused(line: str) -> PydanticCustomError:
    """The problem of several parameters, for a validator to raise; `line` is all that is said."""
    return PydanticCustomError(_WHOLE_LINE, "{line}", {"line": line})


def problem_lines(
    problems: Sequence[ErrorDetails], mapping: Mapping[str, Any], root: type[BaseModel]
) -> dict[str, str]:
    """Pydantic's problems with `mapping` in the form of this project: a line for each key."""
    lines = {}
    for problem in problems:
        # A list's elements and pydantic's own steps lie below the two levels that keys have.
        location = problem["loc"][:2]
        key = ".".join(str(part) for part in location)
        if problem["type"] == _WHOLE_LINE:
            lines[problem["msg"]] = problem["msg"]
        elif problem["type"] != "missing":
            lines[key] = _problem_line(key, problem, mapping, root)
        elif key in root.model_fields:  # of a section's own keys all that are missing are told
            lines[key] = _missing(key, root.model_fields[key], {})
    return lines


def _problem_line(key: str, problem: ErrorDetails, value: Any, section: Any) -> str:
    field = None
    for part in problem["loc"][:2]:
        section = section if field is None else field.annotation
        field, value = section.model_fields.get(str(part)), value[part]
    if field is None:
        names = list(section.model_fields)
        near = difflib.get_close_matches(str(part).lower(), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return (
            f"{key}: {shown(value)} is given to an unknown key{hint}; allowed: {names_of(section)}"
        )
    allowed = allowed_words(field) + (problem["msg"] if problem["type"] == ADDENDUM else "")
    return f"{key}: {shown(value)} is not allowed; allowed: {allowed}"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def allowed_words(field: FieldInfo) -> str:
    """What a field may hold, in words."""
    if field.description:
        return field.description
    annotation = field.annotation
    if _is_section(annotation):
        return f"a section with the keys {names_of(annotation)}"  # type: ignore[arg-type]
    if get_origin(annotation) is Literal:
        return ", ".join(str(choice) for choice in get_args(annotation))
    kinds: dict[Any, str] = {int: "a whole number", bool: "true or false", str: "text"}
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
    bounds = " and ".join(
        f"{phrase} {getattr(constraint, attribute)}"
        for constraint in field.metadata
        for attribute, phrase in words.items()
        if hasattr(constraint, attribute)
    )
    or_null = ", or null" if type(None) in get_args(annotation) else ""
    return f"{kinds.get(annotation, 'a number')} {bounds}".rstrip() + or_null


def names_of(section: type[BaseModel]) -> str:
    """The keys of a section, for a message."""
    return ", ".join(section.model_fields)
