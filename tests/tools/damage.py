"""Damage to an artifact: from a seed, another file in its place and a word on what was done.

Two kinds: damage to the bytes, as a disk or a transfer does it, and damage to the content in a file
that is otherwise whole, as a script or an editor does it.
"""

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.tools import damage_arrays, damage_values
from tests.tools.damage_formats import FORMATS, MARK, Pickled

# Tables whose rows are numbered by their first columns; in any other the rows are a set.
_NUMBERED = {"per_class", "accuracy_by_step", "history", "confusion"}
# Artifacts of one schema: a whole one of the others in its place is whole content.
_ALIKE = ({"train", "validation", "test"}, {"events_validation", "events_test"})
_WORDS = {"name", "data_source", "git_commit"}  # columns of text
# Columns whose cells may be empty, by artifact: what is not known, or has no figure.
_MAY_BE_EMPTY = {"verdict": re.compile(r"^ratio|_percent$(?<!^level_percent)|_pj")}
_PRICES = re.compile(r"(?<=[\[ ])\d+(\.\d+)?(?=[,\]}\n])")


@dataclass(frozen=True)
class Damage:
    """What to put in the place of an artifact.

    Attributes:
        words: what was done.
        data: the bytes of the file; None for none at all.
        content_only: the file may be a valid one still, with other content. False: it breaks a
            type, a range or a relation between fields, and no reader may make anything of that.
        folder: a folder stands in the file's place.
    """

    words: str
    data: bytes | None
    content_only: bool = False
    folder: bool = False

    def put(self, path: Path) -> None:
        """Put it in the place of the file at `path`."""
        path.unlink()
        if self.folder:
            path.mkdir()
        elif self.data is not None:
            path.write_bytes(self.data)


def damaged(artifact: str, path: Path, random: Random) -> Damage:
    """Damage to the artifact of that name (of dvc.yaml) at `path`; never the same bytes."""
    data = path.read_bytes()
    for _ in range(1000):
        if path.suffix not in FORMATS or random.random() < 0.25:
            damage = random.choice(list(_byte_damages(path, data, random)))
        else:
            damage = _content_damage(artifact, path.suffix, data, random)
        if damage.data != data:
            return damage
    raise AssertionError(f"{path} resists all damage")


def _byte_damages(path: Path, data: bytes, random: Random) -> Iterator[Damage]:
    place = random.randrange(len(data))
    flipped = bytearray(data)
    flipped[place] ^= 1 << random.randrange(8)
    replaced = bytearray(data)
    replaced[place] = random.choice(b"09azAZ -.,:\n\"'[]{}#")
    valid = _still_valid(path.suffix)
    for words, other in (
        ("cut to a part", data[:place]),
        ("cut by its last byte", data.rstrip(b"\n")[:-1]),
        (f"bit flipped at {place}", bytes(flipped)),
        (f"byte replaced at {place}", bytes(replaced)),
        ("written twice into one file", data + data),
        ("a start that is no longer there", data[place:]),
    ):
        yield Damage(words, other, valid(other))
    yield Damage("missing", None)
    yield Damage("a folder", None, folder=True)
    yield Damage("emptied", b"")
    yield Damage("garbage", random.randbytes(5000))
    yield Damage("a pickle", pickle.dumps({"schema": Pickled()}))
    siblings = sorted(path.parent.glob(f"*{path.suffix}"))
    if len(siblings) > 1:
        other_path = random.choice(siblings)
        alike = any({path.stem, other_path.stem} <= names for names in _ALIKE)
        yield Damage(f"{other_path.name} in its place", other_path.read_bytes(), alike)


def _still_valid(suffix: str) -> Any:
    """Whether bytes can be taken apart still: checksums of archives find what text does not."""

    def is_valid(data: bytes) -> bool:
        if suffix not in FORMATS:
            return True  # no stage reads it
        try:
            FORMATS[suffix].decode(data)
        except Exception:
            return False
        return bool(data)

    return is_valid


def _content_damage(artifact: str, suffix: str, data: bytes, random: Random) -> Damage:
    form = FORMATS[suffix]
    content = form.decode(data)
    if suffix == ".npz":
        words, content, content_only = damage_arrays.change(content, random)
    elif suffix == ".csv":
        words, content, content_only = _table_change(artifact, content, random)
    elif suffix == ".yaml":
        words, content, content_only = _price_change(content, random)
    else:
        words, content, content_only = damage_values.change(artifact, content, random)
    return Damage(words, form.encode(content), content_only)


def _table_change(
    artifact: str, content: list[list[str]], random: Random
) -> tuple[str, list[list[str]], bool]:
    header, *rows = content
    if random.random() < 0.5:
        return _cell_change(artifact, header, rows, random)
    as_set = artifact not in _NUMBERED
    first, second = random.sample(range(len(rows)), 2)
    column = random.randrange(len(header))
    swapped = list(rows)
    swapped[first], swapped[second] = rows[second], rows[first]
    without = [row for number, row in enumerate(rows) if number != first]
    renamed = [f"{name}_" if number == column else name for number, name in enumerate(header)]
    further = "." in header[column]
    return random.choice(
        [
            (f"rows {first} and {second} swapped", [header, *swapped], as_set),
            ("rows reversed", [header, *rows[::-1]], as_set),
            (f"row {first} missing", [header, *without], as_set),
            (f"row {first} twice", [header, *rows, rows[first]], as_set),
            ("only the header", [header], as_set),
            ("no header", rows, False),
            ("the header twice", [header, header, *rows], False),
            (f"without the column {header[column]}", _without_column(content, column), further),
            (f"column {header[column]} renamed", [renamed, *rows], further),
            (
                f"column {header[column]} twice",
                [[*row, row[column]] for row in content],
                False,
            ),
            (
                f"column {header[column]} twice, and different",
                [[*header, header[column]], *([*row, "0.5"] for row in rows)],
                False,
            ),
            (f"row {first} shorter", [header, *without, rows[first][:-1]], False),
            (f"row {first} longer", [header, *without, [*rows[first], "1"]], False),
            ("columns in another order", [row[::-1] for row in content], True),
        ]
    )


def _without_column(content: list[list[str]], column: int) -> list[list[str]]:
    return [row[:column] + row[column + 1 :] for row in content]


def _cell_change(
    artifact: str, header: list[str], rows: list[list[str]], random: Random
) -> tuple[str, list[list[str]], bool]:
    column, row = random.randrange(len(header)), random.randrange(len(rows))
    name = header[column]
    percent = "percent" in name
    # The front's further columns are the parameters in which the runs differ: text to its reader.
    may_be = _MAY_BE_EMPTY.get(artifact)
    empty = may_be is not None and bool(may_be.search(name))
    word = name in _WORDS or "." in name or not re.fullmatch(r"[\d.e+-]+", rows[row][column])
    value, content_only = random.choice(
        [
            ("x", word),
            ("", word or empty),
            ("1e999", word),
            ("nan", word),
            ("inf", word),
            ("-1", word),
            ("1e300", word or not percent),
            ("500", word or not percent),
            ("1,5", word),
            ("0x10", word),
            ("9" * 5000, word or not percent),
            (str(10**20), word or not percent),
            (str(2**62), word or not percent),
            ("<script>", word),
        ]
    )
    changed = [list(cells) for cells in rows]
    changed[row][column] = value
    return f"{value[:10]!r} for {name} in row {row}", [header, *changed], content_only


def _price_change(lines: list[str], random: Random) -> tuple[str, list[str], bool]:
    text = "".join(lines)
    line = random.randrange(len(lines))
    first_id = next(each for each in lines if re.match(r"[a-z0-9]", each))
    price = random.choice([found for found in _PRICES.finditer(text) if _is_price(text, found)])

    def priced(value: str) -> list[str]:
        return [text[: price.start()] + value + text[price.end() :]]

    def told(old: str, new: str) -> list[str]:
        places = [found.start() for found in re.finditer(old, text)]
        place = random.choice(places)
        return [text[:place] + re.sub(old, new, text[place:], count=1)]

    tag = f"!!python/object/apply:os.mkdir [{MARK}]"
    return random.choice(
        [
            (f"cut after line {line}", lines[:line], True),
            (f"line {line} missing", lines[:line] + lines[line + 1 :], True),
            (f"line {line} twice", [*lines[: line + 1], *lines[line:]], True),
            *((f"a price of {value}", priced(value), True) for value in ("1e308", "1e-320")),
            *(
                (f"a price of {value}", priced(value), False)
                for value in ("-1", "0", "x", "null", ".nan", ".inf", "1e999", "true", "[]", "{}")
            ),
            ("a price halved", priced(str(float(price.group()) / 2)), True),
            ("a price with a tag", priced(tag), False),
            ("a title with a tag", told(r"  title: .*", f"  title: {tag}"), False),
            ("a unit that is none", told(r"  unit: .*", "  unit: kJ"), False),
            ("a year in words", told(r"  year: .*", "  year: last"), False),
            ("a scope that is none", told(r"  scope: .*", "  scope: wide"), False),
            ("prices that are none", told(r"  prices:.*", "  prices: x #"), False),
            ("a profile twice", [*lines, *lines[lines.index(first_id) :]], False),
            ("an unknown entry", told(r"  year: .*", r"\g<0>\n  colour: 1"), False),
        ]
    )


def _is_price(text: str, found: re.Match[str]) -> bool:
    """Whether a number stands among prices, not in a comment, a title or a year."""
    line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
    return line.startswith(("  prices:", "    ")) and ":" in line and '"' not in line
