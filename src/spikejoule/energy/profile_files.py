"""Reading price files: YAML that is refused with its line and the reason if anything is wrong.

Of YAML, the structure alone is used. What a scalar means is said here and depends on no version of
YAML: numbers are decimal (`010` is ten), and `0x10`, `1_000`, `1:30` and `.inf` are none.
"""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, NoReturn

import yaml

from spikejoule.core.errors import ParameterError
from spikejoule.energy.price_nodes import (
    Fields,
    Node,
    PriceReader,
    compose,
    entries,
    refuse,
    shown,
)
from spikejoule.energy.prices import AnyPrice, Memory, Price
from spikejoule.energy.profiles import EVIDENCE, NUMBERS, SCOPES, TERMS_OF, HardwareProfile
from spikejoule.energy.terms import NEURON_UPDATE_ACTIVE, NEURON_UPDATE_INACTIVE, SYNAPTIC_EVENT

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The prices that come with the project."""

_PICOJOULES = {"pJ": Decimal(1), "nJ": Decimal(1000)}
_REQUIRED = ("title", "process", "year", "source", "scope", "evidence", "unit", "prices")
_OPTIONAL = ("notes", "numbers", "memory", "static_uw")
# Prices that depend on a width or a size: where it is clear of what.
_DEPENDING = ("system", "memory")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
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
    root = compose(file)
    return {
        id_node.value: _Reader(file, str(id_node.value)).profile(id_node, body)
        for id_node, body in entries(file, root, "a price file", "profiles by their ids")
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
        fields = self._fields(body, f"profile {self._id}", (*_REQUIRED, *_OPTIONAL))
        for name in _REQUIRED:
            if name not in fields:
                self._refuse(id_node, f"the {name} is missing")
        scope = self._choice(fields["scope"], "scope", SCOPES)
        source = self._text(fields["source"], "source")
        if not _REFERENCE.search(source):
            self._refuse(
                fields["source"], "the source lacks a doi:, an arXiv: number or an address"
            )
        numbers, notes = fields.get("numbers"), fields.get("notes")
        return HardwareProfile(
            id=id_node.value,
            title=self._text(fields["title"], "title"),
            process=self._text(fields["process"], "process"),
            year=self._year(fields["year"]),
            source=source,
            scope=scope,
            evidence=self._choice(fields["evidence"], "evidence", EVIDENCE),
            prices=self._prices(fields, scope),
            notes="" if notes is None else self._text(notes, "notes"),
            numbers="any" if numbers is None else self._choice(numbers, "numbers", NUMBERS),
            static_uw=self._static(fields),
        )

    def _refuse(self, node: Node, reason: str) -> NoReturn:
        refuse(self._file, node, f"profile {self._id}: {reason}")

    def _fields(self, node: Node, what: str, allowed: tuple[str, ...]) -> Fields:
        fields = {}
        for key, value in entries(self._file, node, what, "fields"):
            if key.value not in allowed:
                self._refuse(key, f"{key.value!r} is no field; allowed: {', '.join(allowed)}")
            fields[key.value] = value
        return fields

    def _text(self, node: Node, name: str) -> str:
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text or node.tag == "tag:yaml.org,2002:null":
            self._refuse(node, f"the {name} must be text, not {shown(node)}")
        return str(text)

    def _choice(self, node: Node, name: str, allowed: Mapping[str, object]) -> str:
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        if value not in allowed:
            self._refuse(node, f"{shown(node)} is no {name}; allowed: {', '.join(allowed)}")
        return str(value)

    def _year(self, node: Node) -> int:
        value = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not re.fullmatch(r"(19|20)\d\d", value, flags=re.ASCII):
            self._refuse(node, f"the year must be one from 1900 to 2099, not {shown(node)}")
        return int(value)

    def _static(self, fields: Fields) -> tuple[float, float] | None:
        """Microwatts, a number or a bracket; read as a price is."""
        if "static_uw" not in fields:
            return None
        node = fields["static_uw"]
        power = PriceReader(self._refuse, self._fields, Decimal(1)).price(node, "static_uw", None)
        if not isinstance(power, Price):
            self._refuse(node, "static_uw must be a number of microwatts, or [low, high]")
        return power.low_pj, power.high_pj

    def _prices(self, fields: Fields, scope: str) -> dict[str, AnyPrice]:
        allowed, node = TERMS_OF[scope], fields["prices"]
        unit = _PICOJOULES[self._choice(fields["unit"], "unit", _PICOJOULES)]
        reader = PriceReader(self._refuse, self._fields, unit)
        memory: Memory | None = None
        if "memory" in fields:
            memory = reader.memory(fields["memory"])
        prices: dict[str, AnyPrice] = {}
        for key, value in entries(self._file, node, f"prices of {self._id}", "terms and prices"):
            if key.value not in allowed:
                self._refuse(
                    key,
                    f"{key.value!r} is nothing that scope {scope} can price; allowed: "
                    f"{', '.join(allowed)}",
                )
            price = reader.price(value, key.value, memory)
            if scope not in _DEPENDING and not isinstance(price, Price):
                self._refuse(
                    value,
                    f"the price of {key.value} depends on a width or a size, which scope {scope} "
                    f"does not allow; allowed: {' and '.join(_DEPENDING)}",
                )
            prices[key.value] = price
        self._check(node, scope, prices)
        return prices

    def _check(self, node: Node, scope: str, prices: Mapping[str, AnyPrice]) -> None:
        """What must hold between the prices of one profile."""
        is_exact = [isinstance(one, Price) and one.low_pj == one.high_pj for one in prices.values()]
        if scope == "contested" and all(is_exact):
            self._refuse(node, "scope contested needs at least one bracket [low, high]")
        if scope == "all_in" and SYNAPTIC_EVENT not in prices:
            self._refuse(node, "scope all_in needs the price of a synaptic_event")
        if (NEURON_UPDATE_ACTIVE in prices) != (NEURON_UPDATE_INACTIVE in prices):
            self._refuse(
                node,
                "active and inactive neuron updates need a price both or neither, as one of the "
                "two would be free",
            )
