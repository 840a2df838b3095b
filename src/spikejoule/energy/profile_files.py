"""Reading price files: YAML that is refused with its line and the reason if anything is wrong.

Of YAML, the structure alone is used. What a scalar means is said here and depends on no version of
YAML: numbers are decimal (`010` is ten), and `0x10`, `1_000`, `1:30` and `.inf` are none.
"""

import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from spikejoule.energy.profiles import EVIDENCE, SCOPES, TERMS_OF, HardwareProfile, Price
from spikejoule.energy.terms import NEURON_UPDATE_ACTIVE, NEURON_UPDATE_INACTIVE, SYNAPTIC_EVENT
from spikejoule.foundation.errors import ParameterError

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The prices that come with the project."""

_PICOJOULES = {"pJ": Decimal(1), "nJ": Decimal(1000)}
# From below what erasing a bit takes at room temperature (3e-9 pJ) to a joule: what lies beyond is
# a slip.
_LOWEST_PJ, _HIGHEST_PJ = 1e-9, 1e12
_REQUIRED = ("title", "process", "year", "source", "scope", "evidence", "unit", "prices")
_OPTIONAL = ("notes",)
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", flags=re.ASCII)
_REFERENCE = re.compile(r"doi:10\.|arXiv:\d|https?://", flags=re.IGNORECASE)

Node = Any  # PyYAML's nodes; their stubs leave the values untyped
Fields = dict[str, Node]


def load_profiles(path: str | os.PathLike[str] | None = None) -> dict[str, HardwareProfile]:
    """Read a price file; returns its profiles by id, in the file's order.

    Args:
        path: the file; None for the packaged list.

    Raises:
        ParameterError: the file cannot be read, or holds something that is not allowed; one
            sentence with the file, the line and the reason.
    """
    file = Path(PACKAGED if path is None else path)
    root = _compose(file)
    return {
        id_node.value: _Reader(file, str(id_node.value)).profile(id_node, body)
        for id_node, body in _entries(file, root, "a price file", "profiles by their ids")
    }


def select_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str, name: str
) -> HardwareProfile:
    """The profile of an id; ParameterError, naming the parameter `name`, if there is none."""
    if profile_id not in profiles:
        raise ParameterError(
            f"{name}: {profile_id!r} is not allowed; allowed: {', '.join(profiles)}"
        )
    return profiles[profile_id]


def _compose(file: Path) -> Node:
    try:
        root = yaml.compose(file.read_bytes(), yaml.SafeLoader)
    except OSError as error:
        raise ParameterError(f"{file} cannot be read: {error.strerror or error}.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ParameterError(f"{file}{where}: not valid YAML ({error.problem}).") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{file} is not valid YAML: {reason}.") from error
    if root is None:
        raise ParameterError(f"{file} is empty, but must hold at least one profile of prices.")
    return root


def _refuse(file: Path, node: Node, reason: str) -> NoReturn:
    raise ParameterError(f"{file}, line {node.start_mark.line + 1}: {reason}.")


def _entries(file: Path, node: Node, what: str, content: str) -> Iterator[tuple[Node, Node]]:
    """The entries of a mapping, after a check that it is one, not empty, and without doubles."""
    if not isinstance(node, yaml.MappingNode):
        _refuse(file, node, f"{what} must be a mapping of {content}, not {_shown(node)}")
    if not node.value:
        _refuse(file, node, f"{what} is empty, but must be a mapping of {content}")
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            _refuse(file, key, f"{what} has {_shown(key)} as a key, where a name is needed")
        if key.value in seen:
            _refuse(
                file,
                key,
                f"{key.value!r} is given twice in {what}, first in line {seen[key.value]}",
            )
        seen[key.value] = key.start_mark.line + 1
        yield key, value


class _Reader:
    """Reads one profile; every refusal names the file, the line and the profile."""

    def __init__(self, file: Path, profile_id: str) -> None:
        self._file = file
        self._id = profile_id

    def profile(self, id_node: Node, body: Node) -> HardwareProfile:
        """The profile, or ParameterError."""
        if not _ID.fullmatch(id_node.value):
            self._refuse(
                id_node, "an id consists of lower-case letters, digits, dots, hyphens, underscores"
            )
        fields = self._fields(id_node, body)
        scope = self._choice(fields["scope"], "scope", SCOPES)
        factor = _PICOJOULES[self._choice(fields["unit"], "unit", _PICOJOULES)]
        source = self._text(fields["source"], "source")
        if not _REFERENCE.search(source):
            self._refuse(
                fields["source"], "the source lacks a doi:, an arXiv: number or an address"
            )
        return HardwareProfile(
            id=id_node.value,
            title=self._text(fields["title"], "title"),
            process=self._text(fields["process"], "process"),
            year=self._year(fields["year"]),
            source=source,
            scope=scope,
            evidence=self._choice(fields["evidence"], "evidence", EVIDENCE),
            prices=self._prices(fields["prices"], scope, factor),
            notes=self._text(fields["notes"], "notes") if "notes" in fields else "",
        )

    def _refuse(self, node: Node, reason: str) -> NoReturn:
        _refuse(self._file, node, f"profile {self._id}: {reason}")

    def _fields(self, id_node: Node, body: Node) -> Fields:
        what = f"profile {self._id}"
        fields = {}
        for key, value in _entries(self._file, body, what, "fields"):
            if key.value not in (*_REQUIRED, *_OPTIONAL):
                allowed = ", ".join((*_REQUIRED, *_OPTIONAL))
                self._refuse(key, f"{key.value!r} is no field; allowed: {allowed}")
            fields[key.value] = value
        for name in _REQUIRED:
            if name not in fields:
                self._refuse(id_node, f"the {name} is missing")
        return fields

    def _text(self, node: Node, name: str) -> str:
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text or node.tag == "tag:yaml.org,2002:null":
            self._refuse(node, f"the {name} must be text, not {_shown(node)}")
        return str(text)

    def _choice(self, node: Node, name: str, allowed: Mapping[str, object]) -> str:
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        if value not in allowed:
            self._refuse(node, f"{_shown(node)} is no {name}; allowed: {', '.join(allowed)}")
        return str(value)

    def _year(self, node: Node) -> int:
        value = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not re.fullmatch(r"(19|20)\d\d", value, flags=re.ASCII):
            self._refuse(node, f"the year must be one from 1900 to 2099, not {_shown(node)}")
        return int(value)

    def _prices(self, node: Node, scope: str, factor: Decimal) -> dict[str, Price]:
        allowed = TERMS_OF[scope]
        prices: dict[str, Price] = {}
        for key, value in _entries(self._file, node, f"prices of {self._id}", "terms and prices"):
            if key.value not in allowed:
                self._refuse(
                    key,
                    f"{key.value!r} is nothing that scope {scope} can price; allowed: "
                    f"{', '.join(allowed)}",
                )
            prices[key.value] = self._price(value, key.value, factor)
        if scope == "contested" and all(price.low_pj == price.high_pj for price in prices.values()):
            self._refuse(node, "scope contested needs at least one bracket [low, high]")
        if scope == "all_in" and SYNAPTIC_EVENT not in prices:
            self._refuse(node, "scope all_in needs the price of a synaptic_event")
        if (NEURON_UPDATE_ACTIVE in prices) != (NEURON_UPDATE_INACTIVE in prices):
            self._refuse(
                node,
                "active and inactive neuron updates need a price both or neither, as one of the "
                "two would be free",
            )
        return prices

    def _price(self, node: Node, term: str, factor: Decimal) -> Price:
        if isinstance(node, yaml.SequenceNode):
            numbers = [self._number(item, term, factor) for item in node.value]
            if len(numbers) not in (2, 3) or sorted(numbers) != numbers:
                self._refuse(
                    node,
                    f"the bracket of {term} must be [low, high] or [low, number, high], ascending",
                )
            return Price(numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1])
        number = self._number(node, term, factor)
        return Price(number, number, number)

    def _number(self, node: Node, term: str, factor: Decimal) -> float:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not _NUMBER.fullmatch(text):
            self._refuse(node, f"the price of {term} must be a number, not {_shown(node)}")
        try:
            number = float(Decimal(text) * factor)
        except ArithmeticError:  # an exponent that decimal numbers do not have
            number = float("inf")
        if not _LOWEST_PJ <= number <= _HIGHEST_PJ:
            self._refuse(
                node,
                f"the price of {term} is {text}, but must be from {_LOWEST_PJ:g} to "
                f"{_HIGHEST_PJ:g} pJ (leave out what has none)",
            )
        return number


def _shown(node: Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
