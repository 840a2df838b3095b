"""Docstrings as pages show them: the roles of reStructuredText become links."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|data|func|meth|mod):`~?([\w.]+)`")


def _link(found: re.Match[str]) -> str:
    name = found[1]
    shown = (
        name if name.startswith("spikejoule.") and name.count(".") < 3 else _tail(name)
    )
    return f'<autoref identifier="{name}" optional><code>{shown}</code></autoref>'


def _tail(name: str) -> str:
    """The last part of a name, with its class where it is a method."""
    parts = name.split(".")
    return ".".join(
        parts[-2:] if len(parts) > 1 and parts[-2][:1].isupper() else parts[-1:]
    )


class Roles(griffe.Extension):
    """Replaces each role by a link, which is plain code where the page has no such
    object.
    """

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for every object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)
