"""Damage to the named arrays of an .npz file."""

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.tools.damage_formats import Pickled, npy
from tests.tools.damage_values import Change

Entries = list[tuple[str, Any]]

# Of these, every other value contradicts the rest of the file.
_BOUND = re.compile(
    r"(^|_)shape$|row_lengths$|^per_|^sample$|^layer_names$|^encoding_keys$|synapses$"
)
# Of these, any order contradicts it.
_ORDERED = re.compile(r"(^|_)shape$|^sample$|^layer_names$|^encoding_keys$")
# Whole numbers with an upper end that the file itself gives.
_BOUNDED_ABOVE = re.compile(
    r"^labels$|^predictions$|sources$|macs_nonzero$|active$|^activation_bits$"
)
# Of these, other texts are other names.
_NAMES = re.compile(r"^names$|^text$|\.columns$")
# No reader needs these: counts can be recounted from them.
_UNREAD = re.compile(r"^(baseline\d+\.)?layer\d+\.")


def change(content: Entries, random: Random) -> tuple[str, Entries, bool]:
    """Change one array; returns the change in words, the new entries, and `content_only`."""
    if random.random() < 0.3:
        words, entries, content_only = random.choice(list(_file_changes(content, random)))
        return words, entries, content_only
    named = [entry for entry in content if entry[0] != "schema"]
    # The many weights of the baseline would crowd out what is read; its teacher holds nothing else.
    read = [entry for entry in named if not _UNREAD.search(entry[0])] or named
    name, array = random.choice(named if random.random() < 0.1 else read)
    chosen = random.choice(list(_array_changes(name, array, random)))
    return (
        f"{name} {chosen.words}",
        _with(content, name, chosen.value),
        chosen.content_only,
    )


def _with(content: Entries, name: str, value: Any) -> Entries:
    return [(other, value if other == name else array) for other, array in content]


def _file_changes(content: Entries, random: Random) -> Iterator[tuple[str, Entries, bool]]:
    name, array = random.choice([entry for entry in content if not _UNREAD.search(entry[0])])
    objects = np.empty(1, dtype=object)
    objects[0] = Pickled()
    promise = npy(array).replace(b"'shape': (", b"'shape': (9999999999, ", 1)
    other = array + 1 if array.dtype.kind in "iu" else array[::-1] if array.ndim else array
    yield f"{name} is missing", [entry for entry in content if entry[0] != name], False
    yield (
        f"{name} has another name",
        [(f"{each}_" if each == name else each, value) for each, value in content],
        False,
    )
    yield f"{name} is there twice", [*content, (name, other)], False
    yield f"{name} holds a pickled object", _with(content, name, objects), False
    yield "an array more holds a pickled object", [*content, ("unknown", objects)], False
    yield f"{name} promises more than there is", _with(content, name, promise), False
    yield f"{name} is no array", _with(content, name, b"x"), False
    yield "the schema is another", _with(content, "schema", np.array("spikejoule/other/1")), False
    yield "the schema is a number", _with(content, "schema", np.array(1)), False
    yield "the schema is missing", [entry for entry in content if entry[0] != "schema"], False
    yield "an array more", [*content, ("unknown", np.zeros(3))], False
    arrays = dict(content)
    if "per_sample" in arrays:
        turned = [(each, -value if "per_" in each else value) for each, value in content]
        yield "all counts are negative", turned, False
    if "encoding_keys" in arrays:
        window = arrays["encoding_keys"] == "time_window"
        stated = np.where(window, "9999", arrays["encoding_values"])
        yield "another window is stated", _with(content, "encoding_values", stated), False
    lengths = {len(value) for each, value in content if each in ("images", "labels", "index")}
    if len(lengths) == 1 and any(each == "images" for each, _ in content):
        shorter = [(each, value[:-1] if value.ndim else value) for each, value in content]
        yield "the last image is missing", shorter, True
        none = [(each, value[:0] if value.ndim else value) for each, value in content]
        yield "all images are missing", none, False


def _array_changes(name: str, array: NDArray[Any], random: Random) -> Iterator[Change]:
    yield from _form_changes(array)
    free = not _BOUND.search(name)
    order = np.array(random.sample(range(len(array)), len(array)), dtype=np.int64)
    yield Change("is shuffled", array[order], not _ORDERED.search(name))
    if array.size == 0:
        return
    place = tuple(random.randrange(length) for length in array.shape)
    if array.dtype.kind == "U":
        named = bool(_NAMES.search(name))
        yield Change("has another text", _with_value(array.astype("<U99"), place, "x"), named)
        yield Change("has a text emptied", _with_value(array, place, ""), named)
        return
    if array.dtype.kind == "f":
        yield Change("has a NaN", _with_value(array, place, np.nan))
        yield Change("has an infinite value", _with_value(array, place, np.inf))
        yield Change("is 0", np.zeros_like(array), True)
        return
    if array.dtype.kind == "i":
        yield Change("has a negative value", _with_value(array, place, -1 - array[place]))
        yield Change("is negative", -1 - array)
    top = np.iinfo(array.dtype).max
    yield Change("has a huge value", _with_value(array, place, top),
                 free and not _BOUNDED_ABOVE.search(name))  # fmt: skip
    if array[place] < top:
        yield Change("has 1 more", _with_value(array, place, array[place] + 1), free)
    yield Change("is halved", array // 2, free)
    yield Change("is 0", np.zeros_like(array), free)
    if array.ndim == 1 and array.size > 1 and array[0] != array[-1]:
        one_to_another = array.copy()
        one_to_another[[0, -1]] = array[[-1, 0]]
        yield Change("has its ends swapped", one_to_another, not _ORDERED.search(name))


def _form_changes(array: NDArray[Any]) -> Iterator[Change]:
    """Other types and shapes: never what the schema asks for."""
    yield Change("becomes text", array.astype(np.str_) if array.dtype.kind != "U" else
                 np.arange(array.size))  # fmt: skip
    if array.dtype.kind != "U":
        yield Change("becomes float64", array.astype(np.float64))
        yield Change("becomes int32", array.astype(np.int32))
        yield Change("becomes complex", array.astype(np.complex128))
        yield Change("becomes truth values", array.astype(np.bool_))
    if array.dtype.itemsize > 1:
        # The same values: a reader may take them.
        yield Change("becomes big-endian", array.astype(array.dtype.newbyteorder(">")), True)
    yield Change("has one dimension more", array[None])
    yield Change("has no dimension", array.reshape(-1)[0] if array.size else np.array(0))
    yield Change("has lost its last item", array[:-1])
    yield Change("has its last item twice", np.concatenate([array, array[-1:]]))
    yield Change("is empty", array[:0])
    if array.ndim > 1:
        yield Change("is flat", array.reshape(-1))
        yield Change("is transposed", array.T.copy())


def _with_value(array: NDArray[Any], place: tuple[int, ...], value: Any) -> NDArray[Any]:
    changed = array.copy()
    changed[place] = value
    return changed
