"""What the commands share: arguments, their types, and JSON."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_command(
    commands: Any, name: str, description: str, earlier_names: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A command with its description in the list and on its own help page.

    It goes by `earlier_names`, too, which it had in another version.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        aliases=earlier_names,
        help=description,
        description=f"{description[0].upper()}{description[1:]}.",
    )
    return parser


def checkpoint_command(
    commands: Any, name: str, description: str, earlier_names: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A command that reads a complete checkpoint."""
    parser = add_command(commands, name, description, earlier_names)
    graph = ", or a graph of NIR (GRAPH.nir)" if name == "energy" else ""
    parser.add_argument("file", type=Path, metavar="FILE", help=f"a complete checkpoint{graph}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def add_project_directory(parser: argparse.ArgumentParser, *, option: bool = False) -> None:
    """Where the project is, as an argument or as the option ``--directory``."""
    name = "--directory" if option else "directory"
    optional: dict[str, Any] = {} if option else {"nargs": "?"}
    parser.add_argument(
        name,
        type=Path,
        default=Path(),
        metavar="DIRECTORY",
        help="of the project (default: the working directory)",
        **optional,
    )


def json_text(values: dict[str, Any]) -> str:
    """Sorted and indented JSON with a final newline."""
    text = json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole_number(text, 1)


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    return _whole_number(text, 0)


def _whole_number(text: str, lowest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {lowest}")
    return value
