"""Few combinations of choices in which every two values of different choices come together."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Combination = dict[str, Any]
Value = tuple[str, Any]


def pairwise(
    choices: Mapping[str, Sequence[Any]], impossible: Mapping[Value, Value] | None = None
) -> list[Combination]:
    """Combinations that hold every pair of values of two choices, at least two of them.

    Each begins with a pair that is still missing; every other choice then takes the value that
    brings the most further ones, the first of equals. Few, not fewest. Pairs that are `impossible`
    (a value of a choice, and one of a later choice) come in none.
    """
    never = {frozenset(pair) for pair in (impossible or {}).items()}
    missing = {
        frozenset({(one, first), (other, second)}): None
        for one, other in combinations(choices, 2)
        for first in choices[one]
        for second in choices[other]
        if frozenset({(one, first), (other, second)}) not in never
    }
    found = []
    while missing:
        chosen = dict(next(iter(missing)))
        for key in [key for key in choices if key not in chosen]:
            chosen[key] = max(
                (
                    value
                    for value in choices[key]
                    if not any(frozenset({(key, value), pair}) in never for pair in chosen.items())
                ),
                key=lambda value, key=key, chosen=chosen: sum(
                    frozenset({(key, value), pair}) in missing for pair in chosen.items()
                ),
            )
        ordered = {key: chosen[key] for key in choices}
        for pair in combinations(ordered.items(), 2):
            missing.pop(frozenset(pair), None)
        found.append(ordered)
    return found
