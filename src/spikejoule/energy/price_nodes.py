"""Prices as they stand in YAML: nodes with their lines, and what a price may look like.

Of YAML, the structure alone is used. What a scalar means is said here and depends on no version of
YAML: numbers are decimal (`010` is ten), and `0x10`, `1_000`, `1:30` and `.inf` are none.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from spikejoule.core.errors import ParameterError
from spikejoule.energy.prices import AnyPrice, Memory, Price, PriceBySize, PriceByWidth

BY_SIZE: Final = "by_size"
"""In place of a number: the price of an access to the profile's memory."""

# From below what erasing a bit takes at room temperature (3e-9 pJ) to a joule: what lies beyond is
# a slip.
_LOWEST_PJ, _HIGHEST_PJ = 1e-9, 1e12
_MOST_BYTES = 1e15
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", flags=re.ASCII)
_BY_WIDTH = ("constant", "per_bit", "per_bit_squared")
_MEMORY = ("pj_per_byte", "access", "access_per_bit_stored", "parameters")
_PARAMETERS = {"joined": True, "separate": False}

Node = Any  # PyYAML's nodes; their stubs leave the values untyped
Fields = dict[str, Node]
Refuse = Callable[[Node, str], NoReturn]


def compose(file: Path) -> Node:
    """The root of a price file; ParameterError if it cannot be read, or holds nothing."""
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


def refuse(file: Path, node: Node, reason: str) -> NoReturn:
    """Raise ParameterError with the file and the line of a node."""
    raise ParameterError(f"{file}, line {node.start_mark.line + 1}: {reason}.")


def entries(file: Path, node: Node, what: str, content: str) -> Iterator[tuple[Node, Node]]:
    """The entries of a mapping, after a check that it is one, not empty, and without doubles."""
    if not isinstance(node, yaml.MappingNode):
        refuse(file, node, f"{what} must be a mapping of {content}, not {shown(node)}")
    if not node.value:
        refuse(file, node, f"{what} is empty, but must be a mapping of {content}")
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            refuse(file, key, f"{what} has {shown(key)} as a key, where a name is needed")
        if key.value in seen:
            refuse(
                file,
                key,
                f"{key.value!r} is given twice in {what}, first in line {seen[key.value]}",
            )
        seen[key.value] = key.start_mark.line + 1
        yield key, value


@dataclass(frozen=True)
class PriceReader:
    """Reads the prices of one profile.

    Attributes:
        refuse: says at a node what is wrong.
        fields: the entries of a mapping, after a check of their names.
        factor: picojoules of the profile's unit.
    """

    refuse: Refuse
    fields: Callable[[Node, str, tuple[str, ...]], Fields]
    factor: Decimal

    def price(self, node: Node, term: str, memory: Memory | None) -> AnyPrice:
        """A number, a bracket, numbers by the bits, or `by_size` of a memory."""
        if isinstance(node, yaml.MappingNode):
            given = self.fields(node, f"the price of {term}", _BY_WIDTH)
            return PriceByWidth(
                *(self._number(given[name], term) if name in given else 0.0 for name in _BY_WIDTH)
            )
        if isinstance(node, yaml.SequenceNode):
            numbers = [self._number(item, term) for item in node.value]
            if len(numbers) not in (2, 3) or sorted(numbers) != numbers:
                self.refuse(
                    node,
                    f"the bracket of {term} must be [low, high] or [low, number, high], ascending",
                )
            return Price(numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1])
        if isinstance(node, yaml.ScalarNode) and node.value == BY_SIZE:
            if memory is None:
                self.refuse(node, f"the price of {term} is {BY_SIZE}, but there is no memory")
            return PriceBySize(memory)
        number = self._number(node, term)
        return Price(number, number, number)

    def memory(self, node: Node) -> Memory:
        """The prices of an access by size: points for each byte, or a sum for each access."""
        given = self.fields(node, "the memory", _MEMORY)
        if ("pj_per_byte" in given) == ("access" in given):
            self.refuse(node, "the memory needs either pj_per_byte or access")
        if "pj_per_byte" in given and "access_per_bit_stored" in given:
            self.refuse(node, "access_per_bit_stored goes with access, not with pj_per_byte")
        points = None
        if "pj_per_byte" in given:
            points = self._points(given["pj_per_byte"])
        joined = _PARAMETERS["separate"]
        if "parameters" in given:
            choice = given["parameters"]
            if not isinstance(choice, yaml.ScalarNode) or choice.value not in _PARAMETERS:
                self.refuse(choice, "parameters must be joined or separate")
            joined = _PARAMETERS[choice.value]
        access, per_bit = (
            self._number(given[name], name) if name in given else 0.0
            for name in ("access", "access_per_bit_stored")
        )
        return Memory(points, access, per_bit, joined)

    def _points(self, node: Node) -> tuple[tuple[float, float], ...]:
        rows = node.value if isinstance(node, yaml.SequenceNode) else []
        points = []
        for row in rows:
            pair = row.value if isinstance(row, yaml.SequenceNode) else []
            if len(pair) != 2:
                self.refuse(row, "a point of pj_per_byte must be [bytes, price]")
            size, price = pair
            points.append((self._size(size), self._price_or_nothing(price)))
        ascending = [size for size, _ in points]
        if not points or sorted(set(ascending)) != ascending or points[-1][1] == 0:
            self.refuse(
                node,
                "pj_per_byte must be points [bytes, price] of ascending sizes, the last not free",
            )
        return tuple(points)

    def _size(self, node: Node) -> float:
        size = self._decimal(node, "pj_per_byte")
        if not 0 <= size <= _MOST_BYTES:
            self.refuse(
                node, f"a size is {node.value} bytes, but must be from 0 to {_MOST_BYTES:g}"
            )
        return float(size)

    def _price_or_nothing(self, node: Node) -> float:
        return 0.0 if self._decimal(node, "pj_per_byte") == 0 else self._number(node, "pj_per_byte")

    def _number(self, node: Node, term: str) -> float:
        try:
            number = float(self._decimal(node, term) * self.factor)
        except ArithmeticError:  # an exponent that decimal numbers do not have
            number = float("inf")
        if not _LOWEST_PJ <= number <= _HIGHEST_PJ:
            self.refuse(
                node,
                f"the price of {term} is {node.value}, but must be from {_LOWEST_PJ:g} to "
                f"{_HIGHEST_PJ:g} pJ (leave out what has none)",
            )
        return number

    def _decimal(self, node: Node, term: str) -> Decimal:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not _NUMBER.fullmatch(text):
            self.refuse(node, f"the price of {term} must be a number, not {shown(node)}")
        return Decimal(text)


def shown(node: Node) -> str:
    """A node as a message shows it."""
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
