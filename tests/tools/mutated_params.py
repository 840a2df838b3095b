"""Mutated params.yaml: each an odd, broken or hostile edit of the project's own, by its number."""

import random
import re
from collections.abc import Callable

Lines = list[str]

# Scalars that readers of YAML disagree on, that overflow, or that are no scalars at all
NASTY = (
    *("010", "0o10", "0x10", "0b11", "1_000", "0_", "0b_", "1:30", "1:30.5", "+7", "-0", "-0.0"),
    *("1e-05", "1E-5", "1e5", "1.e-5", ".1e-4", "+.5", "1e400", "1e-400", "12.", "1e", "0x"),
    *("yes", "on", "y", "No", "true", "~", "null", "", ".nan", ".NaN", ".inf", "-.inf"),
    *("9007199254740993", "1" * 400, "1" * 5000, "0x" + "f" * 5000, "99999999999999999999"),
    *("2020-01-01", "2020-13-45", "2020-01-01T10:00:00Z", "12e03", "0123e1", "=", "<<"),
    *('"12"', "'12'", '"\\ud800"', '"a\\0b"', '"\\x07"', '"\U0001f600"', "\u0661\u0662", "\u200b"),
    *("!!int '12'", "!!int x", "!!float 3", "!!str 3", "!!bool 3", "!!binary aGk=", "!!null x"),
    *("!!python/object/apply:os.getcwd []", "!own 3", "!!set {a}", "!!omap [{a: 1}, {a: 2}]"),
    *("!!timestamp x", "!!merge x", "&a 12", "*a", "&a [*a]", "&a {b: *a}", "[12]", "[]", "{}"),
    *("[010, 1:30]", "[[12]]", "{a: {b: 1}}", "{1: 2}", "[1, 2", "{a", "|", ">", "@", "`", "%x"),
    *("12 # 13", "12: 13", "- 12", "? 12", "\t12", "12\u00a0", "${paths.test}", "$HOME", "../../x"),
    *("[" * 400, "{a: " * 400, "[" + "x, " * 3000 + "x]", "x" * 3000),
)
KEYS = (
    *("true", "1", "~", "1.5", "2020-01-01", "[1]", "{a: 1}", "? [1]", '"lr"', "'seed'", "", " "),
    *("<<", "=", "!!str true", "!!int x", "&k k", "*k", "LR", "lr ", "l\u0433", '"\\ud800"', "a.b"),
    *('"a\\nb"', "x" * 200, "-", "- a", "#", "..."),
)
HEADERS = (
    *("\ufeff", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "%YAML 1.3\n---\n", "%YAML 2.0\n---\n"),
    *(
        "%TAG ! !own\n---\n",
        "---\n",
        "---\n---\n",
        "...\n",
        "a: 1\n---\n",
        "\t\n",
        "!!map\n",
        "[\n",
    ),
)
FOOTERS = (
    "---\na: 1\n",
    "...\n",
    "...\n[\n",
    "\x00",
    "\x0c",
    "true: 2\n",
    "? ",
    "- 1\n",
    "  a: 1\n",
)


def mutated(text: str, number: int) -> bytes:
    """The mutation `number` of a params.yaml; the same one every time."""
    generator = random.Random(number)
    lines = text.splitlines(keepends=True)
    for _ in range(generator.choice((1, 1, 1, 2))):
        lines = generator.choice(_EDITS)(generator, lines)
    data = "".join(lines).encode("utf-8")
    if generator.random() < 0.1:
        data = generator.choice(_BYTE_EDITS)(generator, data)
    return data


def _entries(lines: Lines) -> list[int]:
    """Where a key has a value. Those that `encode` computes with come as often as all others."""
    found = [index for index, line in enumerate(lines) if re.match(r" *\w+: \S", line)]
    used = [index for index in found if re.match(r"seed|  (time_window|max_rate)\b", lines[index])]
    return found + used * (len(found) // max(len(used), 1)) or [0]


def _parts(line: str) -> tuple[str, str, str]:
    """Indentation and key, value, and the rest of an entry."""
    match = re.fullmatch(r"( *[^:]*: )(.*?)((?:  #.*)?\n?)", line, flags=re.DOTALL)
    return (match[1], match[2], match[3]) if match else (line.rstrip("\n"), "", "\n")


def _nasty_value(generator: random.Random, lines: Lines) -> Lines:
    index = generator.choice(_entries(lines))
    key, _, rest = _parts(lines[index])
    return [*lines[:index], f"{key}{generator.choice(NASTY)}{rest}", *lines[index + 1 :]]


def _other_spelling(generator: random.Random, lines: Lines) -> Lines:
    """A number that is allowed where it stands, written as it rarely is."""
    index = generator.choice(_entries(lines))
    key, value, rest = _parts(lines[index])
    if re.fullmatch(r"\d+", value):
        number = int(value)
        value = generator.choice(
            [f"0{value}", f"+{value}", f"0x{number:x}", f"0o{number:o}", f"0b{number:b}",
             f"{value[0]}_{value[1:]}", f"{value}.0", f"{value}e0", f"!!int '{value}'",
             f"0_0{value}", f"&x {value}", f"0:{value}", f"[{value}]", f"'{value}'"]
        )  # fmt: skip
    elif re.fullmatch(r"[\d.]+", value):
        number_text = f"{float(value):e}"
        value = generator.choice(
            [number_text, number_text.upper(), f"+{value}", f"{value}00", f"0{value}",
             value.lstrip("0"), f"!!float '{value}'", f"'{value}'", f"{value}_0", f"0:{value}"]
        )  # fmt: skip
    return [*lines[:index], f"{key}{value}{rest}", *lines[index + 1 :]]


def _renamed_key(generator: random.Random, lines: Lines) -> Lines:
    index = generator.choice(_entries(lines))
    line = lines[index]
    indentation = line[: len(line) - len(line.lstrip())]
    _, value, rest = _parts(line)
    new = f"{indentation}{generator.choice(KEYS)}: {value}{rest}"
    replaced = generator.random() < 0.5
    return [*lines[:index], *([new] if replaced else [line, new]), *lines[index + 1 :]]


def _doubled_line(generator: random.Random, lines: Lines) -> Lines:
    index = generator.choice(_entries(lines))
    key, value, rest = _parts(lines[index])
    return [*lines[:index], f"{key}{generator.choice([value, '7', '0.5'])}{rest}", *lines[index:]]


def _lost_line(generator: random.Random, lines: Lines) -> Lines:
    index = generator.randrange(len(lines))
    return lines[:index] + lines[index + generator.choice((1, 1, 3)) :]


def _other_indentation(generator: random.Random, lines: Lines) -> Lines:
    index = generator.choice(_entries(lines))
    bent = generator.choice(("", " ", "    ", "\t", "  - ")) + lines[index].lstrip()
    return [*lines[:index], bent, *lines[index + 1 :]]


def _aliases(generator: random.Random, lines: Lines) -> Lines:
    """One value anchored and used in the place of another, or merged, or nested many times over."""
    kind = generator.choice(("alias", "merge", "nested", "redefined"))
    if kind == "nested":
        # DVC itself takes a millisecond for each value that they stand for.
        depth, width = generator.choice(((3, 9), (4, 9), (4, 2)))
        nested = ["a0: &a0 [x]\n"] + [
            f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]\n"
            for level in range(1, depth)
        ]
        return [*lines, *nested]
    lines = list(lines)
    first, second = sorted(generator.sample(sorted(set(_entries(lines))), 2))
    (key, value, rest), (other, _, other_rest) = _parts(lines[first]), _parts(lines[second])
    lines[first] = f"{key}&v {value}{rest}"
    if kind == "merge":
        lines[second] = f"{lines[second]}  <<: {{time_window: 9, {key.strip()}{value}}}\n"
    else:
        lines[second] = f"{other}{'*v' if kind == 'alias' else '&v 1'}{other_rest}"
    return lines


def _header(generator: random.Random, lines: Lines) -> Lines:
    return [generator.choice(HEADERS), *lines]


def _footer(generator: random.Random, lines: Lines) -> Lines:
    return [*lines, generator.choice(FOOTERS)]


def _cut(generator: random.Random, data: bytes) -> bytes:
    return data[: generator.randrange(len(data))]


def _flipped(generator: random.Random, data: bytes) -> bytes:
    place = generator.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << generator.randrange(8)]) + data[place + 1 :]


def _other_encoding(generator: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8")
    return generator.choice((text.encode("utf-16"), text.replace("\n", "\r\n").encode(), b""))


_EDITS: tuple[Callable[[random.Random, Lines], Lines], ...] = (
    *(_nasty_value,) * 4,
    *(_other_spelling,) * 4,
    *(_renamed_key, _doubled_line, _lost_line, _other_indentation, _aliases, _header, _footer),
)
_BYTE_EDITS: tuple[Callable[[random.Random, bytes], bytes], ...] = (_cut, _flipped, _other_encoding)
