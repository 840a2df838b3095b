"""A second count of an inference, in loops, and a second reading of the prices.

Written from the docstrings of the ledger, without `spikejoule.energy`. Spikes are dense
lists [T][units] of zeros and ones for each layer, weights [target][source], pixels 0 to
255. Counts of one image are a Counter of (term, place).
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import yaml

# The plain arithmetic that a term consists of.
CONSISTS_OF = {
    "mac": "mac",
    "input_mac": "mac",
    "synaptic_event": "addition",
    "bias_addition": "addition",
    "accumulation": "addition",
    "rounding_addition": "addition",
    "leak_multiplication": "multiplication",
}
# Accesses that hardware can do without, at the price of a state access.
OPTIONAL = ("state_access_per_event", "sum_access_per_mac")

Counts = Counter[tuple[str, str]]
Words = dict[tuple[str, str], tuple[int, ...]]


def names(sizes):
    """Return the names of layers, and of the connections between them."""
    hidden = [f"hidden{k}" for k in range(1, len(sizes) - 1)]
    if len(sizes) == 3:
        hidden = ["hidden"]
    layers = ["input", *hidden, "output"]
    return layers, [f"{before}_to_{after}" for before, after in pairwise(layers)]


def address_bits(n):
    """Return the fewest bits, at least one, with a pattern for each of n units."""
    bits = 1
    while 2**bits < n:
        bits += 1
    return bits


def reached(weights, pruned):
    """Return the targets of each source's synapses, [L - 1][sources][...]."""
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


@dataclass
class Encoding:
    """How an image becomes spikes."""

    kind: str
    threshold: float = 0.0
    curve: str = "linear"


@dataclass
class Spiking:
    """A spiking network and one image in it.

    `targets` are those of `reached`; `leaks` says for each layer after the input
    whether it multiplies; `lead` stops early; `products` is for constant currents;
    `initial` biases are the potentials before the first step; `potentials` are those of
    an output that never fires, [T][units], whose largest is the answer: of the last
    step, or `of_any` step.
    """

    layers: list[Any]
    targets: list[Any]
    bias: bool
    leaks: list[bool]
    pixels: list[int]
    encoding: Encoding
    pruned: bool = False
    lazy: bool = False
    lead: float | None = None
    products: str | None = None
    potentials: Any = None
    of_any: bool = False
    initial: bool = False
    count: Counts = field(default_factory=Counter)

    def __post_init__(self):
        self.sizes = [len(layer[0]) for layer in self.layers]
        self.places, self.between = names(self.sizes)
        self.window = len(self.layers[0])
        self.steps = self.window
        if self.lead is not None:
            self.steps = exit_step(self.scores(), self.lead)

    def scores(self):
        """The score of each class after each step."""
        if self.potentials is None:
            return list(accumulate(self.layers[-1], added))
        return list(accumulate(self.potentials, largest if self.of_any else later))

    def recount(self) -> Counts:
        """Count one image."""
        self.encode()
        if self.products is not None:
            self.multiply_currents()
        if self.initial:
            for number in range(1, len(self.sizes)):
                for _ in range(self.sizes[number]):
                    self.add_bias(self.places[number])
                    self.count["state_access", self.places[number]] += 1
        for step in range(self.steps):
            for number in range(len(self.layers)):
                self.run_layer(number, step)
        self.decide()
        return self.count

    def encode(self):
        """Count turning the image into spikes."""
        for pixel in self.pixels:
            self.count["pixel_read", "input"] += 1
            if self.encoding.kind != "direct":
                self.encode_pixel(pixel)
        if self.encoding.kind == "latency":
            self.count["code_addition", "input"] += self.window

    def encode_pixel(self, pixel):
        self.count["code_comparison", "input"] += 1
        if pixel / 255 <= self.encoding.threshold or self.encoding.kind == "binary":
            return
        self.count["code_multiplication", "input"] += 1
        if self.encoding.kind == "latency":
            is_linear = self.encoding.curve == "linear"
            self.count["code_addition", "input"] += 3 if is_linear else 4
            if not is_linear:
                self.count["code_logarithm", "input"] += 1
            return
        for _ in range(self.steps):
            draws = self.encoding.kind == "poisson"
            self.count["random_draw" if draws else "code_addition", "input"] += 1
            self.count["code_comparison", "input"] += 1

    def multiply_currents(self):
        """Count the products of constant currents."""
        connection = self.between[0]
        for source, pixel in enumerate(self.pixels):
            self.count["zero_comparison", "input"] += 1
            if pixel == 0:
                continue
            for _ in range(self.steps if self.products == "every_step" else 1):
                for _ in self.targets[0][source]:
                    self.count["input_mac", connection] += 1
                    self.read_weight(connection)

    def read_weight(self, connection):
        """A weight is found, read, and added to a potential."""
        self.count["address_event", connection] += 1
        self.count["weight_read", connection] += 1
        if self.pruned:
            self.count["index_read", connection] += 1
        self.count["state_access_per_event", connection] += 2

    def run_layer(self, number, step):
        touched = set()
        if number > 0:
            for source, spike in enumerate(self.layers[number - 1][step]):
                if spike:
                    touched.update(self.targets[number - 1][source])
        for unit, spike in enumerate(self.layers[number][step]):
            if spike:
                self.emit(number, unit)
            if number > 0:
                self.update(number, spike, unit in touched)

    def emit(self, number, unit):
        """A unit of layer `number` spikes."""
        place = self.places[number]
        self.count["spike_routed", place] += 1
        if number > 0:
            self.count["reset", place] += 1
            self.count["spike_write", place] += 1
        if number == len(self.between):
            self.count["spike_counted", place] += 1
            return
        self.count["spike_read", place] += 1
        for _ in self.targets[number][unit]:
            self.count["synaptic_event", self.between[number]] += 1
            self.read_weight(self.between[number])

    def update(self, number, spike, touched):
        """A neuron takes a step, or sleeps through it if updates are lazy."""
        has_currents = number == 1 and self.products is not None
        adds_bias = self.bias and not self.initial
        has_work = adds_bias or has_currents or spike or touched
        if self.lazy and not has_work:
            return
        place = self.places[number]
        kind = "neuron_update_active" if spike else "neuron_update_inactive"
        self.count[kind, place] += 1
        if self.potentials is None or number < len(self.between):
            self.count["threshold_comparison", place] += 1
        self.count["state_access", place] += 2
        if self.leaks[number - 1]:
            self.count["leak_multiplication", place] += 1
        if adds_bias or (has_currents and self.products == "once"):
            self.add_bias(place)

    def add_bias(self, place):
        self.count["bias_addition", place] += 1
        self.count["bias_read", place] += 1

    def decide(self):
        """Find the class with the most spikes, after the window or in every step."""
        n = self.sizes[-1]
        if self.of_any:
            self.decide_on_any_step(n)
            return
        if self.lead is None:
            self.count["decision_comparison", "output"] += n - 1
            return
        for _ in range(self.steps):
            # The best, the second among the others, and the distance of the two.
            for comparisons in (n - 1, n - 2, 1):
                self.count["decision_comparison", "output"] += comparisons

    def decide_on_any_step(self, n):
        """Find the class with the largest potential so far, in every step."""
        for step in range(self.steps):
            for unit in range(n):
                if self.lead is not None:
                    # With the largest so far, and the largest of the other classes.
                    self.count["decision_comparison", "output"] += 2
                elif step > 0 or unit > 0:
                    self.count["decision_comparison", "output"] += 1
            if self.lead is not None:
                self.count["decision_comparison", "output"] += 1


def added(before, row):
    return [total + spike for total, spike in zip(before, row, strict=True)]


def largest(before, row):
    return [max(pair) for pair in zip(before, row, strict=True)]


def later(before, row):
    return row


def exit_step(scores, lead):
    """Return the step, from 1, after which the best class leads by `lead`; or T."""
    for step, row in enumerate(scores, start=1):
        second, best = sorted(row)[-2:]
        if best - second >= lead:
            return step
    return len(scores)


@dataclass
class Bits:
    """Widths of weights, of activations, and of sums or potentials."""

    weight: int = 32
    activation: int = 32
    sum: int = 32


def spiking_words(weights, bias, pruned, bits, keeps_sums=False) -> Words:
    """Return (width, bits of its memory, bits of the layer's parameters) of words."""
    sizes = [len(weights[0][0]), *(len(matrix) for matrix in weights)]
    place, between = names(sizes)
    words = {("pixel_read", "input"): (8, 8 * sizes[0], 0)}
    for number, matrix in enumerate(weights):
        n = sizes[number + 1]
        synapses = sum(1 for row in matrix for w in row if not pruned or w != 0)
        index = address_bits(n) if pruned else 0
        held = synapses * (bits.weight + index)
        if bias or (keeps_sums and number == 0):
            held += n * bits.sum
        into = between[number]
        words["weight_read", into] = (bits.weight, synapses * bits.weight, held)
        if pruned:
            words["index_read", into] = (index, synapses * index, held)
        words["bias_read", place[number + 1]] = (bits.sum, n * bits.sum, held)
        words["state_access", place[number + 1]] = (bits.sum, n * bits.sum, 0)
        words["state_access_per_event", into] = (bits.sum, n * bits.sum, 0)
    of_pixels = ("comparison", "multiplication", "addition", "logarithm")
    for term in ("random_draw", "zero_comparison", *(f"code_{x}" for x in of_pixels)):
        words[term, "input"] = (32, 0, 0, 8 * 8, 8)
    of_states = ("leak_multiplication", "threshold_comparison", "reset")
    for name in place[1:]:
        for term in ("bias_addition", *of_states):
            words[term, name] = (32, 0, 0, bits.sum**2, bits.sum)
    for name in between:
        words["synaptic_event", name] = (32, 0, 0, bits.sum**2, bits.sum)
        words["input_mac", name] = (32, 0, 0, 8 * bits.weight, bits.sum)
    for term, where in (("spike_read", place[:-1]), ("spike_write", place[1:])):
        for name in where:
            n = sizes[place.index(name)]
            words[term, name] = (address_bits(n), n * address_bits(n), 0)
    return words


@dataclass
class Conventional:
    """A ReLU network and one image in it; `layers` are its activations [units]."""

    layers: list[Any]
    weights: list[Any]
    skips: bool
    pruned: bool
    bits: Bits
    bias: bool
    binary: bool = False
    shifts: bool = False
    count: Counts = field(default_factory=Counter)

    def __post_init__(self):
        self.sizes = [len(layer) for layer in self.layers]
        self.places, self.between = names(self.sizes)
        # Pixels of 8 bits have to become activations of another width.
        self.rounds = self.binary or self.bits.activation not in (8, 16, 32)
        self.encoding = ["code_multiplication", "code_addition"]
        if self.binary:
            self.encoding = ["code_comparison"]
        # One sum after the other asks for an activation at each remaining weight.
        self.gathers = self.pruned and not self.skips

    def recount(self) -> Counts:
        """Count one image."""
        if self.rounds:
            for term in ("pixel_read", *self.encoding, "activation_write"):
                self.count[term, "input"] += self.sizes[0]
        for number, matrix in enumerate(self.weights):
            for source, activation in enumerate(self.layers[number]):
                self.take_activation(number, matrix, source, activation)
            for _ in matrix:
                self.finish_sum(number)
        self.count["decision_comparison", "output"] += self.sizes[-1] - 1
        return self.count

    def take_activation(self, number, matrix, source, activation):
        place = self.places[number]
        if self.skips:
            self.count["zero_comparison", place] += 1
        else:
            self.count["address_unit", self.between[number]] += 1
        if not self.gathers:
            self.count["activation_read", place] += 1
        for row in matrix:
            is_removed = self.pruned and row[source] == 0
            is_skipped = self.skips and activation == 0
            if not is_removed and not is_skipped:
                self.multiply(number)

    def multiply(self, number):
        into = self.between[number]
        of_bits = self.binary and number == 0
        self.count["accumulation" if of_bits else "mac", into] += 1
        self.count["weight_read", into] += 1
        if self.gathers:
            self.count["activation_read", self.places[number]] += 1
        if self.skips:
            self.count["sum_access_per_mac", into] += 2
        self.count["address_event" if self.skips else "address_mac", into] += 1
        if self.pruned:
            self.count["index_read", into] += 1

    def finish_sum(self, number):
        place = self.places[number + 1]
        biases = 1 if self.bias else 0
        if self.skips:
            # A sum without bias starts at 0, as a potential does.
            self.count["sum_access", place] += 1 + biases
        else:
            self.count["address_unit", self.between[number]] += 1
        self.count["bias_addition", place] += biases
        self.count["bias_read", place] += biases
        self.count["activation_write", place] += 1
        if number < len(self.weights) - 1:
            self.count["activation_comparison", place] += 1
            if self.bits.weight < 32:
                term = "rounding_addition" if self.shifts else "requantisation"
                self.count[term, place] += 1


def conventional_words(network: Conventional, synapses) -> Words:
    """Return the same as `spiking_words`, and the width of a product."""
    bits = network.bits
    sizes = network.sizes
    place = network.places
    words: Words = {}
    if network.rounds:
        for term in network.encoding:
            words[term, "input"] = (32, 0, 0, 8 * 8, 8)
        words["pixel_read", "input"] = (8, 8 * sizes[0], 0)
        width = 1 if network.binary else bits.activation
        words["activation_write", "input"] = (width, width * sizes[0], 0)
    for number, n_weights in enumerate(synapses):
        into = network.between[number]
        before, n = sizes[number : number + 2]
        index = address_bits(n) if network.pruned else 0
        held = n_weights * (bits.weight + index)
        if network.bias:
            held += bits.sum * n
        entering = 1 if network.binary and number == 0 else bits.activation
        words["mac", into] = (bits.weight, 0, 0, bits.weight * entering, bits.sum)
        of_sums = (32, 0, 0, bits.sum**2, bits.sum)
        words["accumulation", into] = of_sums
        words["zero_comparison", place[number]] = (32, 0, 0, 0, entering)
        for term in (
            "bias_addition",
            "activation_comparison",
            "requantisation",
            "rounding_addition",
        ):
            words[term, place[number + 1]] = of_sums
        words["weight_read", into] = (bits.weight, n_weights * bits.weight, held)
        if network.pruned:
            words["index_read", into] = (index, n_weights * index, held)
        # No memory is smaller than a word.
        n_biases = n if network.bias else 1
        words["bias_read", place[number + 1]] = (bits.sum, bits.sum * n_biases, held)
        if network.skips:
            words["sum_access_per_mac", into] = (bits.sum, bits.sum * n, 0)
            words["sum_access", place[number + 1]] = (bits.sum, bits.sum * n, 0)
        words["activation_read", place[number]] = (entering, before * entering, 0)
        is_last = number == len(synapses) - 1
        width = bits.sum if is_last else bits.activation
        words["activation_write", place[number + 1]] = (width, n * width, 0)
    return words


def read_prices(path) -> dict[str, Any]:
    """Read the price lists as YAML has them."""
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def price_of(profile, term, words):
    """Return (low, value, high) in pJ for words of (bits, memory, parameters).

    None without a price; the value of a range is NaN.
    """
    prices = profile.get("prices", {})
    price = prices.get(term)
    if price is None and profile["scope"] == "arithmetic":
        price = prices.get(CONSISTS_OF.get(term))
    is_optional = price is None and profile["scope"] == "memory" and term in OPTIONAL
    if is_optional:
        price = prices.get("state_access")
    if price is None:
        return None
    bits, _, _, *widths = words
    product_bits, sum_bits = widths or (32 * 32, 32)
    factor = {"pJ": 1, "nJ": 1000}[profile["unit"]]
    if price == "by_size":
        price = access(profile["memory"], *words[:3])
    elif isinstance(price, dict):
        by_width = defaultdict(float, price)
        plain = by_width["per_bit"] * bits + by_width["per_bit_squared"] * bits * bits
        products = triple(price.get("per_product_bit", 0))
        sums = triple(price.get("per_sum_bit", 0))
        price = [
            plain + product * product_bits + added * sum_bits
            for product, added in zip(products, sums, strict=True)
        ]
    if not isinstance(price, list):
        price = [price, price, price]
    low = price[0] * factor
    value = price[1] * factor if len(price) == 3 else math.nan
    high = price[-1] * factor
    return (0, math.nan, high) if is_optional else (low, value, high)


def triple(price):
    """Return (low, value, high) of a number or of such a list."""
    return price if isinstance(price, list) else [price] * 3


def access(memory, bits, stored, parameters):
    """Return pJ of a word in a memory that holds so many bits."""
    if memory.get("parameters") == "joined" and parameters:
        stored = parameters
    if "access" in memory:
        return memory["access"] + memory.get("access_per_bit_stored", 0) * stored
    points = memory["pj_per_byte"]
    size = stored / 8
    if size >= points[-1][0]:
        return points[-1][1] * bits / 8
    if size <= points[0][0]:
        return points[0][1] * bits / 8
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= size <= x1:
            return (y0 + (y1 - y0) * (size - x0) / (x1 - x0)) * bits / 8
    raise AssertionError(size)


def energy(profile, counts, words):
    """Return (low, value, high) in pJ of counts; the value of a range is NaN."""
    total = [0.0, 0.0, 0.0]
    for (term, place), count in counts.items():
        price = price_of(profile, term, words.get((term, place), (32, 0, 0)))
        for end, pj in enumerate(price or (0, 0, 0)):
            total[end] += count * pj
    return total
