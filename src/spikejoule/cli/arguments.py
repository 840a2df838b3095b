"""What the commands share: arguments, their types, and JSON."""

import argparse
import json
from pathlib import Path
from typing import Any


def checkpoint_command(commands: Any, name: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=f"{description[0].upper()}{description[1:]}."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a complete checkpoint")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def json_text(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text}\n"


def positive(text: str) -> int:
    return _whole_number(text, 1)


def not_negative(text: str) -> int:
    return _whole_number(text, 0)


def _whole_number(text: str, lowest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {lowest}")
    return value
