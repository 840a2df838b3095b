"""Few combinations of choices in which every two values of different choices come together."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

Combination = dict[str, Any]


def pairwise(choices: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Combinations that hold every pair of values of two choices, at least two of them.

    Each begins with a pair that is still missing; every other choice then takes the value that
    brings the most further ones, the first of equals. Few, not fewest.
    """
    missing = {
        frozenset({(one, first), (other, second)}): None
        for one, other in combinations(choices, 2)
        for first in choices[one]
        for second in choices[other]
    }
    found = []
    while missing:
        chosen = dict(next(iter(missing)))
        for key in [key for key in choices if key not in chosen]:
            chosen[key] = max(
                choices[key],
                key=lambda value, key=key, chosen=chosen: sum(
                    frozenset({(key, value), pair}) in missing for pair in chosen.items()
                ),
            )
        ordered = {key: chosen[key] for key in choices}
        for pair in combinations(ordered.items(), 2):
            missing.pop(frozenset(pair), None)
        found.append(ordered)
    return found
