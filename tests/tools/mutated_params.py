"""Mutated params.yaml: each an odd, broken or hostile edit of the project's own, by its number."""

import random
import re

# Scalars that readers of YAML disagree on, that overflow, or that are no scalars at all
NASTY = (
    *("010", "0o10", "0x10", "0b11", "1_000", "0_", "1:30", "1:30.5", "+7", "-0", "-0.0", "12."),
    *("1e-05", "1E-5", "1e5", "1.e-5", ".1e-4", "+.5", "1e400", "1e-400", "1e", "0123e1", "<<"),
    *("yes", "on", "y", "No", "true", "~", "null", "", ".nan", ".NaN", ".inf", "-.inf"),
    *("9007199254740993", "1" * 5000, "0x" + "f" * 5000, "2020-13-45", "2020-01-01T10:00:00Z"),
    *('"12"', "'12'", '"\\ud800"', '"a\\0b"', '"\\x07"', '"\U0001f600"', "\u0661\u0662", "\u200b"),
    *("!!int '12'", "!!int x", "!!float 3", "!!str 3", "!!bool 3", "!!binary aGk=", "!!null x"),
    *("!!python/object/apply:os.getcwd []", "!own 3", "!!set {a}", "!!omap [{a: 1}, {a: 2}]"),
    *("!!timestamp x", "!!merge x", "&a 12", "*a", "&a [*a]", "&a {b: *a}", "[12]", "[]", "{}"),
    *("[010, 1:30]", "[[12]]", "{a: {b: 1}}", "{1: 2}", "[1, 2", "{a", "|", ">", "@", "`", "%x"),
    *("12 # 13", "12: 13", "- 12", "? 12", "\t12", "12\u00a0", "${paths.test}", "$HOME", "../../x"),
    *("[" * 400, "{a: " * 400, "[" + "x, " * 3000 + "x]", "x" * 3000),
)
KEYS = (
    *("true", "1", "~", "2020-01-01", "[1]", "{a: 1}", "? [1]", '"lr"', "'seed'", "", " ", "a.b"),
    *("<<", "=", "!!str true", "&k k", "*k", "LR", "l\u0433", '"\\ud800"', '"a\\nb"', "x" * 200),
)
# The file stands where the @ is.
AROUND = (
    *("\ufeff@", "%YAML 1.1\n---\n@", "%YAML 1.3\n---\n@", "---\n---\n@", "...\n@", "[\n@"),
    *("a: 1\n---\n@", "\t\n@", "!!map\n@", "@---\na: 1\n", "@...\n[\n", "@\x00", "@\x0c"),
    *("@true: 2\n", "@- 1\n"),
)


def mutated(text: str, number: int) -> bytes:
    """The mutation `number` of a params.yaml; the same one every time."""
    generator = random.Random(number)
    lines = text.splitlines(keepends=True)
    entries = [index for index, line in enumerate(lines) if re.match(r" *\w+: \S", line)]
    for _ in range(generator.choice((1, 1, 1, 2))):
        index = generator.choice(entries)
        lines[index] = generator.choice(_edits(generator, lines[index]))
    text = "".join(lines)
    if generator.random() < 0.1:
        text = generator.choice(AROUND).replace("@", text)
    data = text.encode("utf-8")
    if generator.random() < 0.1:
        place = generator.randrange(len(data))
        flipped = bytes([data[place] ^ 1 << generator.randrange(8)])
        cut = data[:place]
        data = generator.choice(
            (cut, cut + flipped + data[place + 1 :], text.encode("utf-16"), b"")
        )
    return data


def _edits(generator: random.Random, line: str) -> list[str]:
    """What may stand in the place of an entry; that which comes often stands there often."""
    match = re.fullmatch(r"( *)([^:]*: )(.*?)((?:  #.*)?\n?)", line, flags=re.DOTALL)
    if match is None:
        return [line]
    indent, key, value, rest = match.groups()
    odd, other, name = generator.choice(NASTY), _spelling(generator, value), generator.choice(KEYS)
    return [
        *(f"{indent}{key}{odd}{rest}",) * 4,
        *(f"{indent}{key}{other}{rest}",) * 4,
        f"{indent}{name}: {value}{rest}",
        f"{line}{indent}{name}: {value}{rest}",
        f"{line}{indent}{key}{generator.choice((value, '7', '0.5'))}{rest}",
        generator.choice(("", " ", "    ", "\t", "  - ")) + line.lstrip(),
        f"{indent}{key}&v {value}{rest}{indent}<<: {{time_window: 9, {key}{value}}}\n",
        f"{indent}{key}&v {value}{rest}{indent}{name}: *v\n",
        "",
    ]


def _spelling(generator: random.Random, value: str) -> str:
    """A number that is allowed where it stands, written as it rarely is."""
    if not re.fullmatch(r"[\d.]+", value):
        return value
    others = [f"0{value}", f"+{value}", f"0_0{value}", f"0:{value}", f"[{value}]", f"'{value}'"]
    if value.isdigit():
        others += [f"0x{int(value):x}", f"0o{int(value):o}", f"0b{int(value):b}", f"{value}.0"]
        others += [f"{value[0]}_{value[1:]}", f"{value}e0", f"!!int '{value}'", f"&x {value}"]
    else:
        others += [f"{float(value):e}", f"{value}00", value.lstrip("0"), f"!!float '{value}'"]
    return generator.choice(others)
