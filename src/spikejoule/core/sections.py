"""Typed parameters: sections of params.yaml, and the things in them that are chosen by name.

A `Section` says what its keys may hold. A `Kind` is one of several things that a key chooses
between, such as an encoder, with parameters of its own. It stands in one file of its package,
where `Kinds` finds it. A section stays flat: it holds the name of the kind and, beside it, the
parameters of all kinds, so that one `-S encode.encoding=...` switches from one to another.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from spikejoule.core.errors import ParameterError
from spikejoule.core.parameter_problems import ADDENDUM


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
    stated = [key for base in kind.__mro__ for key in inspect.get_annotations(base)]
    missing = [key for key in kind.__class_vars__ if key in stated and not hasattr(kind, key)]
    if missing:
        return f"must say its {', '.join(sorted(missing))}"
    if kind.name != name:
        return f"has the name {kind.name!r}, but must have that of its file, {name!r}"
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    if abstract:
        return f"must define {', '.join(sorted(abstract))}"
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
