"""A second count of what an inference takes, in loops, and a second reading of the
prices.

Written from the prose of the ledger's docstrings; nothing of `spikejoule.energy` is
used. Spikes are dense lists [T][units] of zeros and ones for each layer, weights
[target][source], pixels 0 to 255. A count is a dict of (term, place) -> number, of one
image.
"""

from itertools import pairwise
from typing import Any

import yaml

# What one operation of a term is, of plain arithmetic.
CONSISTS_OF = {
    "mac": "mac",
    "input_mac": "mac",
    "synaptic_event": "addition",
    "bias_addition": "addition",
    "leak_multiplication": "multiplication",
}
COMPARE = ("arithmetic", "memory", "system")
# Accesses to a potential or a sum that hardware can do without, at the price of those
# it cannot.
OPTIONAL = ("state_access_per_event", "sum_access_per_mac")


def names(sizes):
    """Names of layers, and of what connects them."""
    hidden = (
        ["hidden"]
        if len(sizes) == 3
        else [f"hidden{k}" for k in range(1, len(sizes) - 1)]
    )
    layers = ["input", *hidden, "output"]
    return layers, [f"{layers[k]}_to_{layers[k + 1]}" for k in range(len(sizes) - 1)]


def address_bits(n):
    """The fewest bits, one at least, of which there are as many patterns as units."""
    bits = 1
    while 2**bits < n:
        bits += 1
    return bits


def reached(weights, pruned):
    """For each layer and source: the targets that it has a synapse to,
    [L - 1][sources][...].
    """
    return [
        [
            [
                target
                for target, row in enumerate(matrix)
                if not pruned or row[source] != 0
            ]
            for source in range(len(matrix[0]))
        ]
        for matrix in weights
    ]


class Tally(dict):
    """A count that begins at zero wherever it is asked for."""

    def add(self, term, place, number=1):
        self[term, place] = self.get((term, place), 0) + number


def code(count, kind, pixels, steps, whole_steps, threshold=0.0, curve="linear"):
    """What turning one image into spikes takes, if it is done for so many steps of the
    window.
    """
    for term in (
        "random_draw",
        "code_comparison",
        "code_multiplication",
        "code_addition",
        "code_logarithm",
    ):
        count.add(term, "input", 0)
    for pixel in pixels:
        count.add("pixel_read", "input")
        if kind == "direct":
            continue
        count.add("code_comparison", "input")
        if pixel / 255 <= threshold:
            continue
        count.add("code_multiplication", "input")
        if kind == "latency":
            count.add("code_addition", "input", 3 if curve == "linear" else 4)
            count.add("code_logarithm", "input", 0 if curve == "linear" else 1)
            continue
        for _ in range(steps):
            count.add("random_draw" if kind == "poisson" else "code_addition", "input")
            count.add("code_comparison", "input")
    if kind == "latency":
        count.add("code_addition", "input", whole_steps)


def exit_step(output, lead):
    """The step, from 1, after which the best class is `lead` spikes ahead of the
    second; or T.
    """
    spikes = [0] * len(output[0])
    for step, row in enumerate(output, start=1):
        for unit, spike in enumerate(row):
            spikes[unit] += spike
        best, second = sorted(spikes)[-1], sorted(spikes)[-2]
        if best - second >= lead:
            return step
    return len(output)


def spiking(
    layers,
    targets,
    bias,
    leaks,
    pruned=False,
    lazy=False,
    lead=None,
    products=None,
    pixels=None,
    kind=None,
    **of_code,
):
    """Operations of one image in a spiking network.

    `targets` are those of `reached`; `leaks` says of each layer after the input whether
    it multiplies; `lead` stops early; `products` is of constant currents, whose pixels
    are given.
    """
    sizes = [len(of_layer[0]) for of_layer in layers]
    place, between = names(sizes)
    whole = len(layers[0])
    steps = whole if lead is None else exit_step(layers[-1], lead)
    count = Tally()
    if kind is not None:
        code(count, kind, pixels, steps, whole, **of_code)
    for number, name in enumerate(place):
        count.add("spike_routed", name, 0)
        if number < len(between):
            count.add("spike_read", name, 0)
            for term in (
                "synaptic_event",
                "address_event",
                "weight_read",
                "state_access_per_event",
            ):
                count.add(term, between[number], 0)
            if pruned:
                count.add("index_read", between[number], 0)
        if number > 0:
            for term in (
                "neuron_update_active",
                "neuron_update_inactive",
                "leak_multiplication",
                "bias_addition",
                "bias_read",
                "threshold_comparison",
                "reset",
                "state_access",
                "spike_write",
            ):
                count.add(term, name, 0)
    count.add("spike_counted", "output", 0)
    if products is not None:
        count.add("input_mac", between[0], 0)
        for source, pixel in enumerate(pixels):
            count.add("zero_comparison", "input")
            if pixel == 0:
                continue
            for _ in range(steps if products == "every_step" else 1):
                for _ in targets[0][source]:
                    count.add("input_mac", between[0])
                    word(count, between[0], pruned)
    for step in range(steps):
        for number, of_layer in enumerate(layers):
            row = of_layer[step]
            touched = set()
            if number > 0:
                for source, spike in enumerate(layers[number - 1][step]):
                    if spike:
                        touched.update(targets[number - 1][source])
            for unit, spike in enumerate(row):
                if spike:
                    fired(count, place, between, number, unit, targets, pruned)
                if number == 0:
                    continue
                currents = number == 1 and products is not None
                if lazy and not (bias or currents or spike or unit in touched):
                    continue
                update(
                    count,
                    place[number],
                    spike,
                    leaks[number - 1],
                    bias or (currents and products == "once"),
                )
        if lead is not None:
            # The best, the second of the others, and the distance of the two.
            for comparisons in (sizes[-1] - 1, sizes[-1] - 2, 1):
                count.add("decision_comparison", "output", comparisons)
    if lead is None:
        count.add("decision_comparison", "output", sizes[-1] - 1)
    return dict(count)


def word(count, connection, pruned):
    """A weight is found, read, and added to a potential, which may be read and written
    for it.
    """
    count.add("address_event", connection)
    count.add("weight_read", connection)
    if pruned:
        count.add("index_read", connection)
    count.add("state_access_per_event", connection, 2)


def fired(count, place, between, number, unit, targets, pruned):
    """A unit of layer `number` has spiked."""
    name = place[number]
    count.add("spike_routed", name)
    if number > 0:
        count.add("reset", name)
        count.add("spike_write", name)
    if number == len(between):
        count.add("spike_counted", name)
        return
    count.add("spike_read", name)
    for _ in targets[number][unit]:
        count.add("synaptic_event", between[number])
        word(count, between[number], pruned)


def update(count, name, spike, leak, adds):
    """A neuron takes a step."""
    count.add("neuron_update_active" if spike else "neuron_update_inactive", name)
    count.add("threshold_comparison", name)
    count.add("state_access", name, 2)
    if leak:
        count.add("leak_multiplication", name)
    if adds:
        count.add("bias_addition", name)
        count.add("bias_read", name)


def spiking_words(
    weights, bias, pruned=False, weight_bits=32, state_bits=32, keeps_sums=False
):
    """(width, bits of its memory, bits of the layer's parameters) of every word of
    memory.
    """
    sizes = [len(weights[0][0]), *(len(matrix) for matrix in weights)]
    place, between = names(sizes)
    found = {("pixel_read", "input"): (8, 8 * sizes[0], 0)}
    for number, matrix in enumerate(weights):
        n = sizes[number + 1]
        synapses = sum(1 for row in matrix for w in row if not pruned or w != 0)
        index = address_bits(n) if pruned else 0
        adds = bias or (keeps_sums and number == 0)
        held = synapses * (weight_bits + index) + (n * state_bits if adds else 0)
        found["weight_read", between[number]] = (
            weight_bits,
            synapses * weight_bits,
            held,
        )
        if pruned:
            found["index_read", between[number]] = (index, synapses * index, held)
        found["bias_read", place[number + 1]] = (state_bits, n * state_bits, held)
        for where in (
            ("state_access", place[number + 1]),
            ("state_access_per_event", between[number]),
        ):
            found[where] = (state_bits, n * state_bits, 0)
    for term, where in (("spike_read", place[:-1]), ("spike_write", place[1:])):
        for name in where:
            n = sizes[place.index(name)]
            found[term, name] = (address_bits(n), n * address_bits(n), 0)
    return found


def conventional(
    layers, weights, skips, pruned=False, integers=False, rounds=False, bias=True
):
    """Operations of one image in a ReLU network; `layers` are activations [units].

    `rounds` says whether pixels of 8 bits have to become activations of another width.
    A sum that has no `bias` is 0 at first, as a potential is.
    """
    sizes = [len(of_layer) for of_layer in layers]
    place, between = names(sizes)
    count = Tally()
    for _ in layers[0] if rounds else ():
        for term in (
            "pixel_read",
            "code_multiplication",
            "code_addition",
            "activation_write",
        ):
            count.add(term, "input")
    for number, matrix in enumerate(weights):
        into, name, last = (
            between[number],
            place[number + 1],
            number == len(weights) - 1,
        )
        of_method = (
            ("address_event", "sum_access_per_mac") if skips else ("address_mac",)
        )
        for term in (
            "mac",
            "weight_read",
            *of_method,
            *(["index_read"] if pruned else []),
        ):
            count.add(term, into, 0)
        for source, activation in enumerate(layers[number]):
            if skips:
                count.add("zero_comparison", place[number])
            else:
                count.add("address_unit", into)
            # Sums one after the other ask for it at each weight, unless all do so in
            # their order.
            gathered = pruned and not skips
            count.add("activation_read", place[number], 0 if gathered else 1)
            for row in matrix:
                if pruned and row[source] == 0:
                    continue
                if skips and activation == 0:
                    continue
                count.add("mac", into)
                count.add("weight_read", into)
                if gathered:
                    count.add("activation_read", place[number])
                if skips:
                    count.add("sum_access_per_mac", into, 2)
                count.add("address_event" if skips else "address_mac", into)
                if pruned:
                    count.add("index_read", into)
        for _ in matrix:
            if skips:
                count.add("sum_access", name, 2 if bias else 1)
            else:
                count.add("address_unit", into)
            count.add("bias_addition", name, 1 if bias else 0)
            count.add("bias_read", name, 1 if bias else 0)
            count.add("activation_write", name)
            if not last:
                count.add("activation_comparison", name)
                if integers:
                    count.add("requantisation", name)
    count.add("decision_comparison", "output", sizes[-1] - 1)
    return dict(count)


def conventional_words(
    sizes,
    synapses,
    skips,
    pruned=False,
    weight_bits=32,
    activation_bits=32,
    sum_bits=32,
    bias=True,
):
    """As `spiking_words`, and the width of a product."""
    place, between = names(sizes)
    found = {}
    if activation_bits not in (8, 16, 32):
        found["pixel_read", "input"] = (8, 8 * sizes[0], 0)
        found["activation_write", "input"] = (
            activation_bits,
            activation_bits * sizes[0],
            0,
        )
    for number, n_weights in enumerate(synapses):
        n = sizes[number + 1]
        index = address_bits(n) if pruned else 0
        held = n_weights * (weight_bits + index) + (sum_bits * n if bias else 0)
        found["mac", between[number]] = (weight_bits, 0, 0)
        found["weight_read", between[number]] = (
            weight_bits,
            n_weights * weight_bits,
            held,
        )
        if pruned:
            found["index_read", between[number]] = (index, n_weights * index, held)
        n_biases = n if bias else 1  # no memory is smaller than a word
        found["bias_read", place[number + 1]] = (sum_bits, sum_bits * n_biases, held)
        if skips:
            found["sum_access_per_mac", between[number]] = (sum_bits, sum_bits * n, 0)
            found["sum_access", place[number + 1]] = (sum_bits, sum_bits * n, 0)
        before = sizes[number]
        found["activation_read", place[number]] = (
            activation_bits,
            before * activation_bits,
            0,
        )
        width = sum_bits if number == len(synapses) - 1 else activation_bits
        found["activation_write", place[number + 1]] = (width, n * width, 0)
    return found


def read_prices(path) -> dict[str, Any]:
    """Profiles of the price file, as YAML has them."""
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def price_of(profile, term, words):
    """(low, value, high) in pJ of a term whose word has (bits, memory, parameters);
    None if none.

    The value of a bracket of two is None.
    """
    prices, scope = profile["prices"], profile["scope"]
    optional = False
    given = prices.get(term)
    if given is None and scope == "arithmetic":
        given = prices.get(CONSISTS_OF.get(term))
    if given is None and scope == "memory" and term in OPTIONAL:
        given, optional = prices.get("state_access"), True
    if given is None:
        return None
    bits, memory, parameters = words
    factor = {"pJ": 1, "nJ": 1000}[profile["unit"]]
    if given == "by_size":
        low = value = high = (
            access(profile["memory"], bits, memory, parameters) * factor
        )
    elif isinstance(given, dict):
        low = value = high = factor * (
            given.get("constant", 0)
            + given.get("per_bit", 0) * bits
            + given.get("per_bit_squared", 0) * bits * bits
        )
    elif isinstance(given, list):
        low, high = given[0] * factor, given[-1] * factor
        value = given[1] * factor if len(given) == 3 else None
    else:
        low = value = high = given * factor
    return (0, None, high) if optional else (low, value, high)


def access(memory, bits, stored, parameters):
    """pJ of a word of so many bits in a memory that holds so many."""
    if memory.get("parameters") == "joined" and parameters:
        stored = parameters
    if "access" in memory:
        return memory["access"] + memory.get("access_per_bit_stored", 0) * stored
    points, size = memory["pj_per_byte"], stored / 8
    if size >= points[-1][0]:
        return points[-1][1] * bits / 8
    if size <= points[0][0]:
        return points[0][1] * bits / 8
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= size <= x1:
            return (y0 + (y1 - y0) * (size - x0) / (x1 - x0)) * bits / 8
    raise AssertionError(size)


def energy(profile, counts, words):
    """(low, value, high) in pJ of (term, place) -> count, and the same of each that has
    a price.
    """
    parts = {}
    for (term, place), count in counts.items():
        price = price_of(profile, term, words.get((term, place), (32, 0, 0)))
        if price is not None:
            parts[term, place] = tuple(
                None if end is None else end * count for end in price
            )
    low, high = (sum(part[end] for part in parts.values()) for end in (0, 2))
    values = [part[1] for part in parts.values()]
    return (low, None if None in values else sum(values), high), parts
