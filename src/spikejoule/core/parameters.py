"""Typed parameters: sections of params.yaml, and choices between kinds of one thing.

A `ParameterSection` declares the keys of a section. A `Kind` is one of several things
that a key chooses between, such as an encoder, with parameters of its own. Each kind is
one file of its package; `Kinds` discovers it. A section is flat: it holds the name of
the kind and the parameters of all kinds, so that one `-S encode.encoding=...` switches
between them.

A stage declares a `ParameterFile` with the sections that it reads, and `Only` the keys
that it reads of a section of which it does not read all. `spikejoule.params` has the
whole file.

A params.yaml holds every key: the defaults of classes are for code.
"""

import difflib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError

from spikejoule.core.errors import ParameterError, shown


def _exact(value: object) -> object:
    # A number is recorded as it is written: one that no float equals would differ from
    # the one used.
    if isinstance(value, int) and abs(value) > 2**53:
        raise ValueError("up to 2**53 without an exponent")
    return value


# One line of printable text, without control characters and line separators.
Line = Annotated[str, Field(max_length=500, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Real = Annotated[float, BeforeValidator(_exact)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
ByLayer = float | tuple[float, ...]
"""One number for all layers of a network after the input, or one for each layer."""

_MOST_LAYERS = 9
"""The most layers after the input that a network can have."""

Value = str | int | float | list[int] | list[float] | list[str] | None
Values = dict[str, Value]
"""Plain YAML values by full key (`train.lr`)."""


def number_or_list(least: float, most: float | None = None) -> Any:
    """Make the type of a parameter that is a `ByLayer`.

    Args:
        least, most: bounds of each number.
    """
    number = Annotated[Real, Field(ge=least, le=most)]
    numbers = Annotated[
        tuple[number, ...], Field(min_length=1, max_length=_MOST_LAYERS)
    ]
    upper = "" if most is None else f" and of at most {most:g}"
    # Without a discriminator, pydantic reports the errors of both alternatives.
    return Annotated[
        Annotated[number, Tag("[one]")] | Annotated[numbers, Tag("[each]")],
        Discriminator(lambda value: "[each]" if isinstance(value, tuple) else "[one]"),
        BeforeValidator(_tuple_of_list),
        Field(
            description=f"a number of at least {least:g}{upper}, or a list of one "
            "for each layer after the input"
        ),
    ]


def _tuple_of_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def allowed_lengths(n_layers: int) -> str:
    """Say what is allowed in place of a list of another length."""
    return f"a number, or a list of {n_layers}, one for each layer after the input"


class ParameterSection(BaseModel):
    """Parameters: immutable, without implicit conversions, NaN or unknown keys.

    `Field` states what is allowed, by bounds, or by a `description` where pydantic's
    own message would not say it well.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    chosen_between: ClassVar["Kinds[Any]"]

    @classmethod
    def choices(cls) -> "list[Kinds[Any]]":
        """Return what the section, and the sections it derives from, choose between."""
        sections = map(vars, cls.__mro__)
        name = "chosen_between"
        return [section[name] for section in sections if name in section]


class ParameterFile(ParameterSection):
    """A params.yaml, or with `extra="ignore"` the sections that one stage reads."""

    def flattened(self) -> Values:
        """Return every parameter by its full key."""
        return flat(self.model_dump(mode="json"))


@dataclass(frozen=True)
class Only:
    """Restricts a section to some keys: `Annotated[TrainParams, Only(("lr",))]`.

    The value is a model with these attributes alone: reading another one raises
    AttributeError. Its other keys, and what must hold between keys, are not checked.
    """

    keys: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, section: type[ParameterSection], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the restricted section, for pydantic."""
        fields: dict[str, Any] = {}
        for key in self.keys:
            field = section.model_fields[key]
            fields[key] = (field.annotation, field)
        config: ConfigDict = {**section.model_config, "extra": "ignore"}
        part = create_model(section.__name__, __config__=config, **fields)
        return handler(part)


class Kind(ParameterSection):
    """One of the things that a key chooses between; its fields are its parameters.

    Attributes:
        name: name in params.yaml: that of its file.
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
M = TypeVar("M", bound=BaseModel)


class Kinds(dict[str, type[K]]):
    """The kinds of one thing by name: one from each module of a package.

    Args:
        key: the key of params.yaml that chooses, without its section.
        base: the class that all of them derive from.
        package: full name of the package; a new module in it is a new kind.

    Raises:
        TypeError: a module defines no kind or several, or two kinds declare a parameter
            that they share differently.
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
        for kind in self.values():
            for parameter, field in kind.model_fields.items():
                if repr(field) != repr(shared[parameter]):
                    raise TypeError(
                        f"{package}: {kind.name} and another kind declare the "
                        f"parameter {parameter} differently"
                    )

    def __missing__(self, name: str) -> type[K]:
        raise ParameterError(f"{self.key} is {name!r}; allowed are {', '.join(self)}")

    def parameters(self) -> dict[str, FieldInfo]:
        """Return the parameters of all kinds; kinds may share one, declared alike."""
        parameters: dict[str, FieldInfo] = {}
        for kind in self.values():
            parameters |= kind.model_fields
        return parameters

    def idle_in(self, section: ParameterSection) -> set[str]:
        """Return the parameters that the kind named by a section does not have."""
        name = getattr(section, self.key)
        used = set(self[name].model_fields) if name in self else set()
        return self.parameters().keys() - used

    def chosen_in(self, section: ParameterSection) -> K:
        """Return the kind that a section names, with its parameters from there."""
        kind = self[getattr(section, self.key)]
        return kind.model_validate(
            {name: getattr(section, name) for name in kind.model_fields}
        )


def _class_of(module: ModuleType, base: type) -> Any:
    """Return the one class of a module that derives from `base`, or raise TypeError."""
    defined = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__ and issubclass(member, base)
    ]
    if len(defined) != 1:
        raise TypeError(f"{module.__name__} must define one {base.__name__}")
    return defined[0]


def chooses(kinds: Kinds[Any]) -> Callable[[type[S]], type[S]]:
    """Add the parameters of all kinds to a section, and restrict its key to them.

    Raises TypeError if a kind has a parameter whose name the section uses otherwise.
    """

    def with_keys(section: type[S]) -> type[S]:
        fields: dict[str, Any] = {}
        key = section.model_fields[kinds.key]
        # A section that allows more than the kinds describes its key itself.
        if not key.description:
            fields[kinds.key] = (Literal[tuple(kinds)], key.default)
        for name, field in kinds.parameters().items():
            own = section.model_fields.get(name)
            # A section may declare a key for readers, but without a range.
            if name in fields or (own and own.metadata):
                raise TypeError(
                    f"{section.__name__} has a key {name}, so no {kinds.key} can have "
                    "a parameter of this name"
                )
            fields[name] = (field.annotation, field)
        # Pydantic builds validators with the class, so a new class gets the fields.
        made = create_model(
            section.__name__,
            __base__=section,
            __module__=section.__module__,
            __doc__=section.__doc__,
            **fields,
        )
        made.chosen_between = kinds
        return made

    return with_keys


def parsed(content: Mapping[str, Any], root: type[M]) -> M:
    """Validate the content of a file; ParameterError with one line for each problem.

    Args:
        content: sections by name.
        root: the model, whose fields are the sections.
    """
    lines: dict[str, str] = {}
    try:
        model = root.model_validate(dict(content))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            key, reason = _problem(problem, content, root)
            lines[key] = f"{key}: {reason}" if reason else key
    # A key is missing even if its field has a default, which is for code.
    for name, section in root.model_fields.items():
        written = content.get(name)
        for own_key in getattr(section.annotation, "model_fields", {}):
            if isinstance(written, Mapping) and own_key not in written:
                key = f"{name}.{own_key}"
                lines[key] = f"{key}: is missing"
    if lines:
        raise ParameterError("\n".join(lines.values()))
    return model


_WHOLE_LINE = "whole_line"


def refused(line: str) -> PydanticCustomError:
    """Make an error for a validator of several parameters; `line` is its message."""
    return PydanticCustomError(_WHOLE_LINE, "{line}", {"line": line})


class Problem(NamedTuple):
    """A key whose value is not allowed, and what is allowed, in words."""

    key: str
    allowed: str


def not_allowed(name: str, problem: Problem, section: ParameterSection) -> str:
    """Write the line for a problem of a section, which is called `name` in files.

    The value is the one in the section.
    """
    value = shown(section.model_dump(mode="json")[problem.key])
    return f"{name}.{problem.key}: {value} is not allowed; allowed: {problem.allowed}"


def _problem(
    problem: ErrorDetails, content: Mapping[str, Any], root: type[BaseModel]
) -> tuple[str, str]:
    """Return the full key of a problem and the reason; a `refused` line has none."""
    if problem["type"] == _WHOLE_LINE:
        return problem["msg"], ""
    # Keys have two levels; below are list elements and pydantic's own steps.
    path = [str(part) for part in problem["loc"][:2]]
    key = ".".join(path)
    model: Any = root
    values: Any = content
    for part in path[:-1]:
        model = model.model_fields[part].annotation
        values = values[part]
    name = path[-1]
    value = shown(values.get(name))
    if name not in model.model_fields:
        near = difflib.get_close_matches(name.lower(), model.model_fields, n=1)
        allowed = f"allowed: {', '.join(model.model_fields)}"
        hint = f"did you mean {near[0]}?" if near else allowed
        return key, f"{value} is given to an unknown key ({hint})"
    if problem["type"] == "missing":
        return key, "is missing"
    field = model.model_fields[name]
    if problem["type"] == "model_type":
        allowed = "a section with keys and values"
    elif field.description:
        allowed = field.description
    else:
        allowed = re.sub("^(Input should be|Value error,) ", "", problem["msg"])
        if type(None) in get_args(field.annotation):
            allowed += ", or null"
    return key, f"{value} is not allowed; allowed: {allowed}"


def flat(content: object, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings to full keys (`train.lr`)."""
    if not isinstance(content, Mapping):
        return {prefix: content}
    values: dict[str, Any] = {}
    for key, value in content.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values
