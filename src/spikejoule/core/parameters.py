"""Typed parameters: sections of params.yaml, and the things in them that are chosen by
name.

A `ParameterSection` says what its keys may hold. A `Kind` is one of several things that
a key chooses between, such as an encoder, with parameters of its own. Each kind is one
file of its package; `Kinds` discovers it. A section stays flat: it holds the name of
the kind and the parameters of all kinds, so that one `-S encode.encoding=...` switches
from one to another.

A params.yaml holds every key: what a class has as a default is for those who make one
in code. What is wrong with it is said with the full key, the value, and what is
allowed.
"""

import difflib
import inspect
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from spikejoule.core.errors import ParameterError, shown
from spikejoule.core.yaml_files import read_mapping


def _exact(value: object) -> object:
    # A number is recorded as it is written: one that no float equals would not be the
    # one used.
    if isinstance(value, int) and abs(value) > 2**53:
        raise ValueError("a number beyond 2**53 is written with an exponent")
    return value


# One line of printable text: of control characters and separators of lines, none.
Line = Annotated[str, Field(max_length=500, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Real = Annotated[float, BeforeValidator(_exact)]


class ParameterSection(BaseModel):
    """Parameters: immutable, without implicit conversions, NaN or unknown keys.

    What is allowed is stated once, in `Field`: messages derive the words from the
    bounds, or take the `description` where bounds do not say it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    chosen_between: ClassVar[tuple["Kinds[Any]", ...]] = ()

    @classmethod
    def choices(cls) -> "tuple[Kinds[Any], ...]":
        """The things that the section chooses between."""
        return tuple(
            kinds
            for base in cls.__mro__
            for kinds in vars(base).get("chosen_between", ())
        )


class Kind(ParameterSection):
    """One of the things that a key of params.yaml chooses between; its fields are its
    parameters.

    Attributes:
        name: how params.yaml names it: that of its file.
        reference: the publication or project that it comes from.
    """

    name: ClassVar[str]
    reference: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Name the kind after its file."""
        super().__init_subclass__(**kwargs)
        cls.name = cls.__module__.rpartition(".")[2]


K = TypeVar("K", bound=Kind)
S = TypeVar("S", bound=ParameterSection)


class Kinds(dict[str, type[K]]):
    """The kinds of one thing by name: one from each module of a package.

    Args:
        key: the key of params.yaml that chooses, without its section.
        base: the class that all of them derive from.
        package: full name of the package; a new module in it is a new kind.

    Raises:
        TypeError: a module defines none or several, or two kinds disagree on a
            parameter that they share.
    """

    def __init__(self, key: str, base: type, package: str) -> None:
        super().__init__()
        self.key = key
        for module in sorted(pkgutil.iter_modules(import_module(package).__path__)):
            if not module.name.startswith("_"):
                self[module.name] = _class_of(
                    import_module(f"{package}.{module.name}"), base
                )
        shared = self.parameters()
        for kind_name, kind in self.items():
            for parameter, field in kind.model_fields.items():
                if repr(field) != repr(shared[parameter]):
                    raise TypeError(
                        f"{package}: {kind_name} and another kind have a parameter "
                        f"{parameter}, "
                        "but do not declare it alike"
                    )

    def __missing__(self, name: str) -> type[K]:
        raise ParameterError(f"{self.key} is {name!r}; allowed are {', '.join(self)}")

    def parameters(self) -> dict[str, FieldInfo]:
        """The parameters of all kinds; kinds may share one, and then mean the same by
        it.
        """
        return {
            name: field
            for kind in self.values()
            for name, field in kind.model_fields.items()
        }

    def idle_in(self, section: ParameterSection) -> set[str]:
        """The parameters of all kinds but the one that a section names."""
        name = getattr(section, self.key)
        chosen = set(self[name].model_fields) if name in self else set()
        return self.parameters().keys() - chosen

    def chosen_in(self, section: ParameterSection) -> K:
        """The kind that a section names, with the parameters that stand there."""
        kind = self[getattr(section, self.key)]
        return kind.model_validate(
            {name: getattr(section, name) for name in kind.model_fields}
        )


def _class_of(module: ModuleType, base: type) -> Any:
    """The one class of a module that derives from `base`; TypeError for none or
    several.
    """
    defined = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and issubclass(member, base)
    ]
    if len(defined) != 1:
        raise TypeError(f"{module.__name__} must define one {base.__name__}")
    return defined[0]


def chooses(*choices: Kinds[Any]) -> Callable[[type[S]], type[S]]:
    """Give a section the keys of what it chooses between: each name, and all kinds'
    parameters.
    """

    def with_keys(section: type[S]) -> type[S]:
        fields: dict[str, Any] = {}
        for kinds in choices:
            key = section.model_fields[kinds.key]
            # A section may allow more than the kinds, and then says so itself.
            if not key.description:
                fields[kinds.key] = (Literal[tuple(kinds)], key.default)
            for name, field in kinds.parameters().items():
                own = section.model_fields.get(name)
                # A section may declare a key for readers, but no range: the kinds state
                # that.
                if name in fields or (own and own.metadata):
                    raise TypeError(
                        f"{section.__name__} has a key {name}, so no {kinds.key} "
                        "can have a "
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


def read_sections(
    path: str | os.PathLike[str], root: type[BaseModel]
) -> dict[str, Any]:
    """The content of a file, unchecked; ParameterError if it has no sections.

    Args:
        path: of the file.
        root: a model whose fields are the sections.
    """
    return read_mapping(path, ParameterError, f"the sections {names_of(root)}")


def parsed(
    mapping: Mapping[str, Any], root: type[M], renamed: Mapping[str, str] = {}
) -> M:
    """The model that a file's content makes; ParameterError with one line for each
    problem.

    Args:
        mapping: sections by name.
        root: the model; its fields are the sections.
        renamed: by the old full key, the new one; an old name is refused with the new
            one.
    """
    lines: dict[str, str] = {}
    try:
        model = root.model_validate(dict(mapping))
    except ValidationError as error:
        lines = problem_lines(error.errors(include_url=False), mapping, root)
    # A key is missing even if its field has a default, which is for code.
    for name, section in root.model_fields.items():
        written = mapping.get(name)
        for key, field in getattr(section.annotation, "model_fields", {}).items():
            if isinstance(written, Mapping) and key not in written:
                full_key = f"{name}.{key}"
                lines[full_key] = (
                    f"{full_key}: is missing; allowed: {allowed_words(field)}"
                )
    for old in renamed.keys() & lines.keys():
        lines[old] = f"{old}: is called {renamed[old]} now; rename the key"
        lines.pop(renamed[old], None)
    if lines:
        raise ParameterError("\n".join(lines.values()))
    return model


_WHOLE_LINE = "whole_line"


def refused(line: str) -> PydanticCustomError:
    """The problem of several parameters, for a validator to raise; `line` is all that
    is said.
    """
    return PydanticCustomError(_WHOLE_LINE, "{line}", {"line": line})


def problem_lines(
    problems: Sequence[ErrorDetails], mapping: Mapping[str, Any], root: type[BaseModel]
) -> dict[str, str]:
    """Pydantic's problems with `mapping` in the form of this project: a line for each
    key.
    """
    lines: dict[str, str] = {}
    for problem in problems:
        if problem["type"] == _WHOLE_LINE:
            lines[problem["msg"]] = problem["msg"]
            continue
        # Keys have two levels; list elements and pydantic's own steps lie below them.
        path = [str(part) for part in problem["loc"][:2]]
        model: Any = root
        values: Any = mapping
        for part in path[:-1]:
            model = model.model_fields[part].annotation
            values = values[part]
        key = ".".join(path)
        name = path[-1]
        value = shown(values.get(name))
        field = model.model_fields.get(name)
        if field is None:
            near = difflib.get_close_matches(name.lower(), model.model_fields, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            reason = (
                f"{value} is given to an unknown key{hint}; allowed: {names_of(model)}"
            )
        elif problem["type"] == "missing":
            reason = f"is missing; allowed: {allowed_words(field)}"
        else:
            reason = f"{value} is not allowed; allowed: {allowed_words(field)}"
        lines[key] = f"{key}: {reason}"
    return lines


def allowed_words(field: FieldInfo) -> str:
    """What a field may hold, in words."""
    annotation: Any = field.annotation
    if field.description:
        return field.description
    if hasattr(annotation, "model_fields"):
        return f"a section with the keys {names_of(annotation)}"
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


def flat(content: object, prefix: str = "") -> dict[str, Any]:
    """Values by their full keys (`train.lr`), whatever the depth."""
    if not isinstance(content, Mapping):
        return {prefix: content}
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values


def names_of(section: type[BaseModel]) -> str:
    """The keys of a section, for a message."""
    return ", ".join(section.model_fields)
