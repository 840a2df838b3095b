"""The page of the playground: a template with style, scripts and content."""

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, Template, select_autoescape
from markupsafe import Markup, escape

from spikejoule.core.errors import printable
from spikejoule.energy.prices import HardwareProfile
from spikejoule.playground.content import (
    PlaygroundRecord,
    playground_record,
    price_lists,
)
from spikejoule.playground.inputs import PlaygroundInputs

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
    "elements",
    "embedding",
    "drawing",
    "pictures",
    "answer",
    "energy",
    "why",
    "gallery",
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


_PIXEL_TO_SPIKES: Final = {
    "binary": "A pixel that is bright enough spikes once, in the first step.",
    "latency": "A pixel spikes at most once: the brighter it is, the earlier.",
    "poisson": "The brighter a pixel is, the more often it spikes, at random steps.",
    "regular": "The brighter a pixel is, the more often it spikes, at equal intervals.",
}
"""How pixels become spikes, by the type of the encoder's table."""


def playground_page(inputs: PlaygroundInputs) -> str:
    """The page as HTML: one file, which loads nothing.

    Raises:
        PlaygroundError: the scripts cannot run or price the network.
    """
    return page_of_record(playground_record(inputs), inputs.profiles)


def page_of_record(
    record: PlaygroundRecord,
    profiles: Sequence[HardwareProfile],
    energy_model: str = "",
) -> str:
    """The page of recorded networks, under present prices.

    Args:
        record: the networks and test images.
        profiles: price lists, the headline's first.
        energy_model: address of the page on the energy model; empty without one.
    """
    lists = price_lists(record, profiles)
    shown = record.shown
    text = _template().render(
        noun=shown["images"]["noun"],
        titles=shown["titles"],
        is_random=shown["spiking"]["encoder"]["type"] == "poisson",
        pixel_to_spikes=_PIXEL_TO_SPIKES[shown["spiking"]["encoder"]["type"]],
        skipped=_skipped(shown["conventional"]),
        exit_rule=_exit_rule(shown["spiking"]),
        reads_potentials="readout" in shown["spiking"],
        energy_model=energy_model,
        content=_json_in_html({**shown, "priceLists": lists}),
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


def _skipped(conventional: dict[str, Any] | None) -> str:
    """What the conventional network does not multiply, in words; empty for nothing."""
    if conventional is None:
        return ""
    skipped = []
    if conventional["skipsZeros"]:
        skipped.append("zero pixels")
    if any(layer["fanOut"] is not None for layer in conventional["layers"]):
        skipped.append("removed (pruned) weights")
    return " and ".join(skipped)


def _exit_rule(spiking: dict[str, Any]) -> str:
    """When a run stops early, in words."""
    rule = spiking["exit"]
    if rule["rule"] == "first_spike":
        return "at the first output spike"
    if rule["rule"] == "never":
        return "at the end of the window"
    if "readout" in spiking:
        return f"as soon as one class leads by a potential of {rule['margin']:.4g}"
    plural = "" if rule["margin"] == 1 else "s"
    return f"as soon as one class leads by {rule['margin']} spike{plural}"


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
