"""Parameters that are a number for all layers, or a list of one for each."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from spikejoule.core.parameters import Real

ByLayer = float | tuple[float, ...]
"""A value of such a parameter, as code sees it."""


def _tuple_of_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def number_or_list(
    least: float, most: float | None = None, where: str = "layer after the input", at_most: int = 9
) -> Any:
    """The type of a number for all layers, or a tuple of one for each, within bounds.

    Args:
        least, most: bounds of each number.
        where: which layers have one, in words.
        at_most: how many of these layers a network can have.
    """
    one = Annotated[Real, Field(ge=least, le=most)]
    each = Annotated[tuple[one, ...], Field(min_length=1, max_length=at_most)]
    upper = "" if most is None else f" and of at most {most:g}"
    return Annotated[
        Annotated[one, Tag("[one]")] | Annotated[each, Tag("[each]")],
        Discriminator(lambda value: "[each]" if isinstance(value, tuple) else "[one]"),
        BeforeValidator(_tuple_of_list),
        Field(
            description=f"a number of at least {least:g}{upper}, or a list of one for each {where}"
        ),
    ]


def allowed_lengths(n_layers: int, where: str = "layer after the input") -> str:
    """What may be in the place of a list of another length, in words."""
    return f"a number, or a list of {n_layers}, one for each {where}"
