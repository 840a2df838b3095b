"""Parameters that are one number for all layers, or a list of one for each layer."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, Tag

from spikejoule.core.parameters import Real

ByLayer = float | tuple[float, ...]
"""One number for all layers after the input, or one for each, as code sees it."""

_MOST_LAYERS: Final = 9
"""The most layers after the input that a network can have."""


def number_or_list(least: float, most: float | None = None) -> Any:
    """Make the type of such a parameter in a section, which is a `ByLayer`.

    Args:
        least, most: bounds of each number.
    """
    number = Annotated[Real, Field(ge=least, le=most)]
    numbers = Annotated[
        tuple[number, ...], Field(min_length=1, max_length=_MOST_LAYERS)
    ]
    upper = "" if most is None else f" and of at most {most:g}"
    # Without a discriminator, pydantic reports the errors of both alternatives.
    return Annotated[
        Annotated[number, Tag("[one]")] | Annotated[numbers, Tag("[each]")],
        Discriminator(lambda value: "[each]" if isinstance(value, tuple) else "[one]"),
        BeforeValidator(_tuple_of_list),
        Field(
            description=f"a number of at least {least:g}{upper}, or a list of one "
            "for each layer after the input"
        ),
    ]


def _tuple_of_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def allowed_lengths(n_layers: int) -> str:
    """Say what is allowed in place of a list of another length."""
    return f"a number, or a list of {n_layers}, one for each layer after the input"
