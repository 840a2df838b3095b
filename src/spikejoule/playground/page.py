"""The page of the playground: a template with style, scripts and content."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, Template, select_autoescape
from markupsafe import Markup, escape

from spikejoule.core.errors import printable
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.playground.content import PlaygroundInputs, playground_content
from spikejoule.playground.opponent import Opponent

_FOLDER: Final = Path(__file__).parent

SCRIPTS: Final = (
    "arithmetic",
    "random",
    "encoders",
    "spiking",
    "conventional",
    "content",
    "run",
    "words",
    "verdict",
    "drawing",
    "pictures",
    "player",
    "main",
)
"""The scripts in the order of their imports."""

_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@cache
def script() -> str:
    """All scripts as one module.

    A page opened from disk cannot import files, so the scripts follow one another
    without their imports and exports. All their names differ.
    """
    texts = []
    for name in SCRIPTS:
        text = _read(f"scripts/{name}.js")
        texts.append(_EXPORT.sub("", _IMPORT.sub("", text)))
    return "\n".join(texts)


def playground_page(inputs: PlaygroundInputs) -> str:
    """The page as HTML: one file, which loads nothing.

    Raises:
        PlaygroundError: the scripts cannot run or price the network.
    """
    content = playground_content(inputs)
    opponent = inputs.opponent
    text = _template().render(
        noun=inputs.images.subject.noun,
        spiking=_spiking_title(inputs),
        conventional="" if opponent is None else _conventional_title(opponent),
        exit_rule="" if inputs.early is None else inputs.early.rule_in_words,
        content=_json_in_html(content),
        script=Markup(script()),  # noqa: S704 (the project's own)
        style=Markup(_read("style.css")),  # noqa: S704
    )
    return printable(text)


def unplayable_page(reason: str) -> str:
    """The page of a network that the scripts cannot run: the reason."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>Playground</title><p>{escape(reason)}</p></html>\n"
    )


def _spiking_title(inputs: PlaygroundInputs) -> str:
    network = inputs.checkpoint.network
    percent = 100 * float((inputs.measured.predictions == inputs.images.labels).mean())
    bits = "" if network.weight_bits == FLOAT_BITS else f", {network.weight_bits}-bit"
    encoding = inputs.checkpoint.encoder.name
    return f"{network.sizes} ({encoding}){bits}, {percent:.2f} % of the test images"


def _conventional_title(opponent: Opponent) -> str:
    variant = opponent.variant
    percent = opponent.counts.accuracy_percent
    return f"{variant.network}, {variant.method}, {percent:.2f} % of the test images"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("spikejoule.playground", ""),
        autoescape=select_autoescape(("html.j2",)),
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2")


def _json_in_html(content: dict[str, Any]) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
