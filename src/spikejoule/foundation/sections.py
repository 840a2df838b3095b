"""Typed parameters: sections of params.yaml, and the things in them that are chosen by name.

A `Section` says what its keys may hold. A `Kind` is one of several things that a key chooses
between, such as an encoder, with parameters of its own. It stands in one file of its package,
where `Kinds` finds it. A section stays flat: it holds the name of the kind and, beside it, the
parameters of all kinds, so that one `-S encode.code=...` switches from one to another.
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

from spikejoule.foundation.errors import ParameterError
from spikejoule.foundation.parameter_problems import ADDENDUM


def _exact(value: object) -> object:
    # A number is recorded as it is written: one that no float equals would not be the one used.
    if isinstance(value, int) and abs(value) > 2**53:
        raise PydanticCustomError(ADDENDUM, ", and written with an exponent beyond 2**53")
    return value


# One line of printable text: of control characters and separators of lines, none.
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Real = Annotated[float, BeforeValidator(_exact)]


class Section(BaseModel):
    """Parameters: immutable, without implicit conversions, NaN or unknown keys.

    What is allowed is stated once, in `Field`: messages derive the words from the bounds, or take
    the `description` where bounds do not say it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Kind(Section):
    """One of the things that a key of params.yaml chooses between; its fields are its parameters.

    Attributes:
        name: how params.yaml names it; the name of its file.
        source: the publication or project that it comes from.
    """

    name: ClassVar[str]
    source: ClassVar[str]


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
        folders = import_module(self._package).__path__
        for name in sorted(found.name for found in pkgutil.iter_modules(folders)):
            module = import_module(f"{self._package}.{name}")
            defined: list[Any] = [
                kind
                for kind in vars(module).values()
                if inspect.isclass(kind)
                and kind.__module__ == module.__name__
                and issubclass(kind, self._base)
                and not inspect.isabstract(kind)
            ]
            if len(defined) != 1 or defined[0].name != name:
                raise TypeError(
                    f"{module.__name__} must define one {self._base.__name__} of the name {name!r},"
                    f" but defines {[kind.name for kind in defined]}"
                )
            kinds[name] = defined[0]
        return kinds

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

    def chosen_in(self, section: Section) -> K:
        """The kind that a section names, with the parameters that stand there."""
        kind = self[getattr(section, self.key)]
        return kind.model_validate({name: getattr(section, name) for name in kind.model_fields})


def chooses(*choices: Kinds[Any]) -> Callable[[type[S]], type[S]]:
    """Give a section the keys of what it chooses between: each name, and all kinds' parameters."""

    def with_keys(section: type[S]) -> type[S]:
        fields: dict[str, Any] = {}
        for kinds in choices:
            default = section.model_fields[kinds.key].default
            fields[kinds.key] = (Literal[tuple(kinds)], default)
            for name, field in kinds.parameters().items():
                fields.setdefault(name, (field.annotation, field))
        return create_model(
            section.__name__,
            __base__=section,
            __module__=section.__module__,
            __doc__=section.__doc__,
            **fields,
        )

    return with_keys
