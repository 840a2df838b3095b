"""The tables of `docs/reference/parameters.md`: from params.yaml and the typed
sections.

Default, meaning, unit and range are in params.yaml; what a key chooses between is in
its kinds.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from spikejoule.core.parameters import Kind, Kinds
from spikejoule.energy.prices import load_profiles
from spikejoule.params import Params

_LINE = re.compile(
    r"(?P<indent> *)(?P<key>\w+):(?: ?(?P<value>[^#]*?)  # (?P<meaning>.*))?"
)
_ITEM = re.compile(r" +- (?P<value>.*)")


class Parameter(NamedTuple):
    """A parameter in params.yaml: full key, default, and meaning."""

    key: str
    default: str
    meaning: str


def parameters(params_file: Path) -> Iterator[Parameter]:
    """Every parameter, in the order of params.yaml."""
    section = ""
    lines = params_file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        if found["value"] is None:
            section = found["key"]
            continue
        key = f"{section}.{found['key']}" if found["indent"] else found["key"]
        default = found["value"] or _listed(lines[number + 1 :]) or "null"
        yield Parameter(key, default, found["meaning"])


def _listed(lines: Sequence[str]) -> str:
    """Write the items at the start of some lines as a list; empty if there are none."""
    items = [item["value"] for item in takewhile(bool, map(_ITEM.fullmatch, lines))]
    return f"[{', '.join(items)}]" if items else ""


def choices() -> dict[str, Kinds[Any]]:
    """What keys choose between, by the key in full."""
    found = {
        value.key: value
        for name, module in sorted(sys.modules.items())
        if name.startswith("spikejoule.")
        for value in vars(module).values()
        if isinstance(value, Kinds)
    }
    return {
        f"{section}.{key}": found[key]
        for section, field in Params.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
        if key in found
    }


def parameter_tables(params_file: Path) -> str:
    """A table for each section of params.yaml, and one for each of its choices."""
    by_section: dict[str, list[Parameter]] = {}
    for parameter in parameters(params_file):
        by_section.setdefault(parameter.key.rpartition(".")[0], []).append(parameter)
    kinds = choices()
    parts = []
    for section, members in by_section.items():
        parts.append(f"## {section or 'Whole project'}")
        field = Params.model_fields.get(section)
        if field is not None:
            parts.append(_first_paragraph(field.annotation))
        used = {
            f"{section}.{name}": _users(name, choice)
            for key, choice in kinds.items()
            if key.startswith(f"{section}.")
            for name in choice.parameters()
        }
        parts.append(
            _table(
                ("parameter", "default", "meaning, with its unit and range"),
                [
                    (
                        f"`{one.key}`",
                        f"`{one.default}`",
                        one.meaning + used.get(one.key, ""),
                    )
                    for one in members
                ],
                "parameters",
            )
        )
        for key, choice in kinds.items():
            if key.startswith(f"{section}."):
                parts += [f"### Choices of {key}", _kinds_table(choice)]
    return "\n\n".join(parts)


def _users(name: str, choice: Kinds[Any]) -> str:
    """Which kinds have a parameter, if not all have it."""
    users = [kind.name for kind in choice.values() if name in kind.model_fields]
    if len(users) == len(choice):
        return ""
    return f" (only {', '.join(f'`{user}`' for user in users)})"


def _kinds_table(choice: Kinds[Any]) -> str:
    rows = []
    for kind in choice.values():
        formula = getattr(kind, "formula", getattr(kind, "equation", ""))
        slope = getattr(kind, "default_slope", None)
        own = [f"`{name}`" for name in kind.model_fields]
        if slope is not None:
            own = [f"`surrogate_slope`, {slope} in the source"]
        rows.append(
            (
                f"`{kind.name}`",
                _first_paragraph(kind) + (f"<br>`{formula}`" if formula else ""),
                ", ".join(own) or "none",
                _linked(kind.reference),
            )
        )
    return _table(("name", "what it is, its formula", "parameters", "source"), rows)


def profile_table() -> str:
    """Return a table of the packaged price lists."""
    return _table(
        ("price list", "hardware", "covers; evidence; time", "source"),
        [
            (
                f"`{profile.id}`",
                f"{profile.title}: {profile.process} ({profile.year})",
                f"`{profile.scope}`; {profile.evidence}; "
                f"{'known' if profile.time else 'dynamic only'}",
                _linked(profile.source),
            )
            for profile in load_profiles().values()
        ],
    )


def _first_paragraph(documented: type[Kind] | Any) -> str:
    return " ".join(inspect.getdoc(documented).partition("\n\n")[0].split())


def _linked(source: str) -> str:
    """A source with its DOI or arXiv number as a link."""
    source = re.sub(
        r"doi:(\S+?)(?=[,;]?(?:\s|$))", r"[doi:\1](https://doi.org/\1)", source
    )
    return re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)


def escaped(cell: str) -> str:
    """A cell of a table: a bar ends it, unless it stands in code."""
    parts = cell.split("`")
    return "`".join(
        part if place % 2 else part.replace("|", "\\|")
        for place, part in enumerate(parts)
    )


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], style: str = ""
) -> str:
    """A Markdown table whose rows are cards on a narrow page."""
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines)
    return f'<div class="{f"cards {style}".strip()}" markdown>\n\n{table}\n\n</div>'
