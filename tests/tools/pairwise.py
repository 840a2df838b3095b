"""Few combinations of choices in which every two values of different choices come together."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

Combination = dict[str, Any]
Value = tuple[str, Any]


def pairwise(
    choices: Mapping[str, Sequence[Any]],
    excluded: Callable[[Combination], bool] = lambda pair: False,
) -> list[Combination]:
    """Combinations that hold every pair of values of two choices, at least two of them.

    Each begins with a pair that is still missing; every other choice then takes the value that
    brings the most further ones, the first of equals. Choices of many values come first: their
    pairs decide how many combinations there are, and the others find room in them. Few, not
    fewest. No combination holds a pair that is excluded; whatever is chosen, every other choice
    must have a value that goes with it.
    """
    most_first = {key: choices[key] for key in sorted(choices, key=lambda key: -len(choices[key]))}
    missing = {frozenset(pair.items()): None for pair in pairs_of(most_first) if not excluded(pair)}
    found = []
    while missing:
        chosen = dict(next(iter(missing)))
        for key in [key for key in most_first if key not in chosen]:
            possible = [
                value
                for value in choices[key]
                if not any(excluded({key: value, **dict([pair])}) for pair in chosen.items())
            ]
            chosen[key] = max(
                possible,
                key=lambda value, key=key, chosen=chosen: sum(
                    frozenset({(key, value), pair}) in missing for pair in chosen.items()
                ),
            )
        ordered = {key: chosen[key] for key in choices}
        for pair in combinations(ordered.items(), 2):
            missing.pop(frozenset(pair), None)
        found.append(ordered)
    return found


def pairs_of(choices: Mapping[str, Sequence[Any]]) -> list[Combination]:
    """Every two values of two choices."""
    return [
        {one: first, other: second}
        for one, other in combinations(choices, 2)
        for first in choices[one]
        for second in choices[other]
    ]
