"""Reading price files: YAML that is refused with its line and the reason if anything is wrong."""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from spikejoule.core.errors import ParameterError, first_problem
from spikejoule.core.yaml_files import read_yaml
from spikejoule.energy.prices import (
    EVIDENCE,
    NUMBERS,
    SCOPES,
    TERMS_OF,
    AnyPrice,
    HardwareProfile,
    Memory,
    Price,
    PriceBySize,
    PriceByWidth,
)
from spikejoule.energy.terms import UPDATES

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The prices that come with the project."""

_UNITS = {"pJ": 1, "nJ": 1000}
_REFERENCE = re.compile(r"doi:10\.|arXiv:\d|https?://", flags=re.IGNORECASE)


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
        return _Profile.model_validate({"id": name, **content}).profile()
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


class _EntryError(ValueError):
    """What is wrong with an entry `within` a value, not with the whole of it."""

    def __init__(self, reason: str, *within: str) -> None:
        super().__init__(f"{'.'.join(within)} {reason}")
        self.within = within


def _one_of(allowed: Mapping[str, object]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not allowed; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _with_reference(source: str) -> str:
    if not _REFERENCE.search(source):
        raise ValueError("it lacks a doi:, an arXiv: number or an address")
    return source


def _ascending(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) not in (2, 3) or sorted(numbers) != list(numbers):
        raise ValueError("a bracket must be [low, high] or [low, number, high], ascending")
    return numbers


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# From below what erasing a bit takes at room temperature (3e-9 pJ) to a joule in pJ: what lies
# beyond is a slip. A price that is not there is left out.
Number = Annotated[float, Field(strict=True, ge=1e-9, le=1e12)]


class _Mapping(BaseModel):
    """A mapping of a price file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _ByWidth(_Mapping):
    """A price by the width b of what is computed or read."""

    constant: Number = 0.0
    per_bit: Number = 0.0
    per_bit_squared: Number = 0.0

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it is empty")
        return self


def _form(value: Any) -> str:
    for kind, form in ((dict, "[by width]"), (list, "[bracket]"), (str, "[by size]")):
        if isinstance(value, kind):
            return form
    return "[number]"


# The names of the forms, in brackets, are no part of a place in the file (`first_problem`).
PriceNode = Annotated[
    Annotated[_ByWidth, Tag("[by width]")]
    | Annotated[tuple[Number, ...], AfterValidator(_ascending), Tag("[bracket]")]
    | Annotated[Literal["by_size"], Tag("[by size]")]
    | Annotated[Number, Tag("[number]")],
    Discriminator(_form),
]
"""The forms of a price: numbers by the bits, a bracket, `by_size` of a memory, or a number."""


class _Memory(_Mapping):
    """The prices of an access by size: points for each byte, or a sum for each access."""

    pj_per_byte: (
        tuple[
            tuple[
                Annotated[float, Field(strict=True, ge=0, le=1e15)],
                Annotated[float, Field(strict=True, ge=0, le=1e12)],
            ],
            ...,
        ]
        | None
    ) = None
    access: Number | None = None
    access_per_bit_stored: Number | None = None
    parameters: Literal["joined", "separate"] = "separate"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        points = self.pj_per_byte
        if (points is None) == (self.access is None):
            raise ValueError("it needs either pj_per_byte or access")
        if points is not None:
            if self.access_per_bit_stored is not None:
                raise ValueError("access_per_bit_stored goes with access, not with pj_per_byte")
            sizes = [size for size, _ in points]
            if not points or sorted(set(sizes)) != sizes or points[-1][1] == 0:
                raise ValueError(
                    "pj_per_byte must be points [bytes, price] of ascending sizes, the last not "
                    "free"
                )
        return self


class _Profile(_Mapping):
    """A profile of a price file."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    title: Text
    process: Text
    year: Annotated[int, Field(ge=1900, le=2099)]
    source: Annotated[Text, AfterValidator(_with_reference)]
    scope: Annotated[str, _one_of(SCOPES)]
    evidence: Annotated[str, _one_of(EVIDENCE)]
    unit: Annotated[str, _one_of(_UNITS)]
    numbers: Annotated[str, _one_of(NUMBERS)] = "any"
    notes: Text | None = None
    static_uw: PriceNode | None = None
    memory: _Memory | None = None
    prices: Annotated[dict[str, PriceNode], Field(min_length=1)]

    @model_validator(mode="after")
    def _prices_fit(self) -> Self:
        """What must hold between the scope and the prices, and between prices."""
        allowed = TERMS_OF[self.scope]
        for term, price in self.prices.items():
            reason = ""
            if term not in allowed:
                reason = f"is nothing that scope {self.scope} can price; allowed: "
                reason += ", ".join(allowed)
            elif isinstance(price, _ByWidth | str) and self.scope not in ("system", "memory"):
                reason = f"depends on a width or a size, which scope {self.scope} does not allow; "
                reason += "allowed: system and memory"
            elif isinstance(price, str) and self.memory is None:
                reason = "is by_size, but there is no memory"
            if reason:
                raise _EntryError(reason, "prices", term)
        brackets = [one for one in self.prices.values() if isinstance(one, tuple)]
        if self.scope == "contested" and not any(one[0] < one[-1] for one in brackets):
            raise _EntryError("of scope contested need a bracket [low, high]", "prices")
        if sum(update in self.prices for update in UPDATES) == 1:
            raise _EntryError(
                "need active and inactive neuron updates, both or neither, as one of the two "
                "would be free",
                "prices",
            )
        if isinstance(self.static_uw, _ByWidth | str):
            raise _EntryError("must be a number of microwatts, or [low, high]", "static_uw")
        return self

    def profile(self) -> HardwareProfile:
        watts = None if self.static_uw is None else self._price(self.static_uw, 1)
        assert watts is None or isinstance(watts, Price)
        prices = {term: self._price(one, _UNITS[self.unit]) for term, one in self.prices.items()}
        return HardwareProfile(
            prices=prices,
            notes=self.notes or "",
            static_uw=None if watts is None else (watts.low_pj, watts.high_pj),
            **self.model_dump(exclude={"unit", "memory", "prices", "notes", "static_uw"}),
        )

    def _price(self, price: Any, unit: int) -> AnyPrice:
        if isinstance(price, _ByWidth):
            return PriceByWidth(*(_times(unit, number) for _, number in price))
        if isinstance(price, str) and self.memory is not None:
            memory = self.memory
            points = memory.pj_per_byte and tuple(
                (size, _times(unit, number)) for size, number in memory.pj_per_byte
            )
            access = _times(unit, memory.access)
            per_bit = _times(unit, memory.access_per_bit_stored)
            return PriceBySize(Memory(points, access, per_bit, memory.parameters == "joined"))
        bracket = price if isinstance(price, tuple) else (price, price, price)
        low, *value, high = (_times(unit, one) for one in bracket)
        return Price(low, value[0] if value else None, high)


def _times(unit: int, number: float | None) -> float:
    """Picojoules of a number as it stands in the file, without a rounding of its own."""
    return float(Decimal(str(number or 0.0)) * unit)
