"""Damage to nested values: one entry of a JSON file or of a file of PyTorch's."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import torch

from tests.tools.damage_formats import Pickled

Place = tuple[Any, ...]

# Entries that may be null; lists and mappings that are as long as it comes.
_NULLABLE = {"energy_j", "target_accuracy", "surrogate_slope", "seed"}
_OPEN = {"sha256", "library_versions", "parts", "hidden"}
_IDENTIFYING = {"schema", "schema_version", "layer_names"}
_BOUNDED = re.compile(r"percent|accuracy|fraction|_acc$|prune|decay|smoothing|share")
_COUNTS = re.compile(r"samples|epochs_trained|batch_size|time_window|^n_")
_HOLD_OBJECTS = {"trained", "checkpoint"}
# A foreign writer may leave out what it does not know, and a profile what it has no price for.
_FOREIGN = {"checkpoint"}
_MAY_LACK_ENTRIES = {*_FOREIGN, "energy_metrics"}


class Change(NamedTuple):
    """One change: in words, the new value, and whether the file may be valid with it."""

    words: str
    value: Any
    content_only: bool = False


def change(artifact: str, content: Any, random: Random) -> tuple[str, Any, bool]:
    """Change one entry; returns the change in words, the new content, and `content_only`."""
    relations = _RELATIONS.get(artifact, ())
    if relations and random.random() < 0.2:
        place, words, new = random.choice(relations)
        return f"{_dotted(place)} {words}", replaced(content, place, new), False
    place: Place = ()
    node = content
    # A walk, not a choice among all entries: most of these are the optimizer's.
    while isinstance(node, Mapping | list | tuple) and node and (random.random() < 0.75):
        key = random.choice(list(node) if isinstance(node, Mapping) else range(len(node)))
        place, node = (*place, key), node[key]
    name = next((part for part in reversed(place) if isinstance(part, str)), "")
    chosen = random.choice(list(_changes(artifact, name, node, random)))
    loose = len(place) > 3 and place[0] in ("optimizer_state", "optimizer_state_dict")
    new_content = replaced(content, place, lambda _: chosen.value)
    return f"{_dotted(place)} {chosen.words}", new_content, chosen.content_only or loose


def replaced(value: Any, place: Sequence[Any], new: Callable[[Any], Any]) -> Any:
    """A copy of `value` in which `new` has been applied at `place`."""
    if not place:
        return new(value)
    head, *rest = place
    if isinstance(value, Mapping):
        return {
            key: replaced(item, rest, new) if key == head else item for key, item in value.items()
        }
    position = head % len(value)
    return type(value)(
        replaced(item, rest, new) if index == position else item for index, item in enumerate(value)
    )


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the whole"


def _changes(artifact: str, name: str, node: Any, random: Random) -> Iterator[Change]:
    if not isinstance(node, str):
        yield Change("becomes a text", "x")
    if node is not None:
        yield Change("becomes null", None, name in _NULLABLE or artifact in _FOREIGN)
    if isinstance(node, torch.Tensor):
        yield from _tensor_changes(node)
    elif isinstance(node, Mapping):
        yield from _mapping_changes(artifact, name, node, random)
    elif isinstance(node, list | tuple):
        yield from _sequence_changes(name, node)
    elif isinstance(node, bool):
        yield from (Change("becomes 7", 7), Change("is turned round", not node, True))
    elif isinstance(node, int | float):
        yield from _number_changes(name, node)
    else:
        yield from (Change("becomes 7", 7), Change("becomes a list", [node]))
    if isinstance(node, str):
        yield Change("becomes empty", "", name not in _IDENTIFYING)
        yield Change("becomes another text", f"{node}x", name not in _IDENTIFYING)
    if artifact in _HOLD_OBJECTS:
        yield Change("becomes a pickled object", Pickled())


def _number_changes(name: str, number: float) -> Iterator[Change]:
    whole = isinstance(number, int)
    yield Change("becomes a list", [number])
    yield Change("becomes a mapping", {"value": number})
    yield Change("becomes a truth value", True)
    yield Change("becomes negative", -1 - abs(number))
    yield Change("becomes NaN", math.nan)
    yield Change("becomes infinite", math.inf)
    yield Change("becomes huge", 10**30 if whole else 1e300, not _BOUNDED.search(name))
    if whole:
        yield Change("becomes more than any float", 10**400, not _BOUNDED.search(name))
        yield Change("becomes nearly 2^63", 2**62, not _BOUNDED.search(name))
    yield Change("becomes 500", 500, not _BOUNDED.search(name))
    yield Change("becomes 0", 0, not _COUNTS.search(name))
    yield Change("becomes 1 more", number + 1, True)
    if whole:
        yield Change("becomes a fraction", number + 0.5)


def _sequence_changes(name: str, items: list[Any] | tuple[Any, ...]) -> Iterator[Change]:
    content_only = name in _OPEN
    ordered = any(isinstance(item, Mapping) and "epoch" in item for item in items)
    yield Change("becomes a mapping", {})
    yield Change("is emptied", type(items)(), content_only)
    yield Change("loses its last item", items[:-1], content_only)
    yield Change("is doubled", items + items, content_only)
    yield Change("is reversed", items[::-1], not ordered and name not in _IDENTIFYING)


def _mapping_changes(
    artifact: str, name: str, entries: Mapping[Any, Any], random: Random
) -> Iterator[Change]:
    content_only = name in _OPEN or artifact in _MAY_LACK_ENTRIES
    yield Change("becomes a list", list(entries.values()))
    yield Change("is emptied", {}, content_only)
    further = {**entries, "unknown": 1}
    yield Change("gets an unknown entry", further, name in _OPEN or artifact in _FOREIGN)
    if not entries:
        return
    key = random.choice(list(entries))
    rest = {other: value for other, value in entries.items() if other != key}
    yield Change(f"loses {key}", rest, content_only)
    yield Change(f"has {key} under another name", {**rest, f"{key}_": entries[key]}, content_only)
    yield Change(f"has {key} deeper", {**rest, key: {"value": entries[key]}})
    for low in entries:
        high = str(low).replace("low", "high")
        if high != low and high in entries and entries[low] != entries[high]:
            turned = {**entries, low: entries[high], high: entries[low]}
            yield Change(f"has {low} and {high} swapped", turned)


def _tensor_changes(tensor: torch.Tensor) -> Iterator[Change]:
    yield Change("overflows in float32", _overflowing(tensor))
    yield Change("becomes NaN", _not_numbers(tensor))
    yield Change("becomes infinite", torch.full_like(tensor, math.inf))
    yield Change("becomes whole numbers", tensor.int())
    yield Change("becomes complex", tensor.to(torch.complex64))
    yield Change("becomes sparse", tensor.to_sparse())
    yield Change("becomes a list", tensor.tolist())
    yield Change("loses a row", tensor[:-1].clone())
    yield Change("gets a dimension", tensor[None].clone())
    yield Change("becomes flat", tensor.flatten().clone()[: tensor.numel() - 1])
    yield Change("becomes float64", tensor.double(), True)
    yield Change("becomes bfloat16", tensor.to(torch.bfloat16), True)
    yield Change("becomes 0", torch.zeros_like(tensor), True)


_WEIGHTS: Place = ("state", "layer1.synapses.weight")


def _overflowing(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() * 1e300


def _not_numbers(tensor: torch.Tensor) -> torch.Tensor:
    return torch.full_like(tensor, math.nan)


def _more(number: float) -> float:
    return number + 1


# Relations between fields that single changes would seldom hit.
_RELATIONS: Mapping[str, tuple[tuple[Place, str, Callable[[Any], Any]], ...]] = {
    "trained": (
        (("history",), "is emptied", lambda _: []),
        (("history", -1, "epoch"), "is repeated", lambda epoch: epoch - 1),
        (("history", -1, "samples"), "becomes 0", lambda _: 0),
        (("best_epoch",), "is beyond the last", lambda epoch: epoch + 5),
        (("training_spikes", "samples"), "becomes 0", lambda _: 0),
        (("training_spikes", "samples"), "is 1 more than the history's", _more),
        (("training_spikes", "totals", 0), "is 1 more than the history's", _more),
        (("architecture", "hidden"), "is that of another network", lambda _: [17]),
        (("data",), "has no title", lambda data: {k: v for k, v in data.items() if k != "title"}),
        (_WEIGHTS, "overflows in float32", _overflowing),
        (_WEIGHTS, "becomes NaN", _not_numbers),
        (("optimizer_state",), "is broken", lambda _: "x"),
        (("optimizer_state", "state"), "is broken", lambda _: [None]),
    ),
    "checkpoint": (
        (("model_state_dict", _WEIGHTS[1]), "overflows in float32", _overflowing),
        (("test_accuracy",), "becomes 500", lambda _: 500.0),
        (("inference_spikes", "n_samples"), "becomes 0", lambda _: 0),
        (("inference_spikes", "total_input"), "becomes negative", lambda _: -5),
        (("inference_spikes", "per_inference_per_layer", "input"), "is not the mean", _more),
        (("training_results", "total_samples"), "becomes negative", lambda _: -5),
        (("connectivity", "n_synapses_total"), "is not the network's", _more),
        (("n_hidden",), "is not the network's", _more),
    ),
    "data_metrics": (
        (("counts", "train"), "becomes 0", lambda _: 0),
        (("validated_on_test",), "becomes a text", lambda _: "no"),
    ),
    "train_metrics": ((("best_epoch",), "is beyond the last", lambda epoch: epoch + 5),),
    "evaluate_metrics": (
        (("test_accuracy_percent",), "leaves its interval", lambda _: 99.9),
        (("test_accuracy_low_percent",), "is above the accuracy", lambda _: 99.9),
    ),
    "early_exit": (
        (("test", "accuracy_percent"), "leaves its interval", lambda _: 99.9),
        (("test", "synaptic_events_low"), "is above the mean", lambda _: 1e9),
        (("whole_window", "test", "mean_exit_step"), "becomes 0", lambda _: 0),
        (("margin_spikes",), "becomes nothing", lambda _: None),
    ),
    "energy_metrics": (
        (("energy_per_inference_low_pj",), "is above the mean", lambda _: 1e9),
        (("ratio_to_dense_ann_high",), "is below the mean", lambda _: 1e-9),
    ),
    "train_timings": (
        (("training_time_seconds",), "is not the sum of the epochs", lambda total: 2 * total + 1),
        (("epoch_times_seconds",), "loses an epoch", lambda times: times[:-1]),
        (("timestamp",), "is no time", lambda _: "yesterday"),
    ),
    "baseline_metrics": (
        (("relu_macs_nonzero_per_inference",), "is above the dense", lambda _: 1e9),
    ),
}
