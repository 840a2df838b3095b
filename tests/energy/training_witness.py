"""A training step that counts itself: plain loops over arrays that count accesses.

Written from the equations in docs/explanation/neuron.md and from the machine in
docs/explanation/energy-of-training.md, without `spikejoule.energy`: an operand is read
from its memory, a sum under way is in a register, a result is written. Each array has a
memory of its own. Gradients that samples add to are in a register for one event, or for
all events of a synapse in a sample (`Setting.gradients`). In a product of a matrix and
a vector, the vector is read once, and the matrix once per multiply-accumulate.

Counts have keys (phase, term, place). A place is a layer for what neurons do, and a
connection for what weights do. Weights are flat lists; synapses are (source, target,
place of the weight); indices in memories of a batch begin with (sample, step).
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from spikejoule.encoding.events import Products
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.nodes import Convolution
from tests import naive

WORD = 32
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Counts = Counter[tuple[str, str, str]]


class Machine:
    """What is counted: operations and memory accesses by phase, term and place.

    `sizes` has (bits of a word, bits of its memory, bits of all parameters that share
    the memory) of every access.
    """

    def __init__(self) -> None:
        self.phase = ""
        self.counts: Counts = Counter()
        self.sizes: dict[tuple[str, str, str], tuple[int, int, int]] = {}

    def count(self, term, place, times=1):
        self.counts[self.phase, term, place] += times


class Arithmetic:
    """Operations that count themselves: ``delta_addition`` and so on.

    The engine's surrogates emit their instructions for such an object.
    """

    def __init__(self, machine: Machine, prefix: str, place: str) -> None:
        self._machine = machine
        self._prefix = prefix
        self._place = place

    def _count(self, operation):
        self._machine.count(f"{self._prefix}_{operation}", self._place)

    def constant(self, value):
        return value

    def negate(self, a):
        """A sign takes no operation."""
        return -a

    def absolute(self, a):
        """A sign takes no operation."""
        return abs(a)

    def add(self, a, b):
        self._count("addition")
        return a + b

    def subtract(self, a, b):
        self._count("addition")
        return a - b

    def multiply(self, a, b):
        self._count("multiplication")
        return a * b

    def multiply_add(self, a, b, c):
        return self.add(self.multiply(a, b), c)

    def divide(self, a, b):
        self._count("division")
        return a / b

    def root(self, a):
        self._count("root")
        return math.sqrt(a)

    def exponential(self, a):
        self._count("exponential")
        return math.exp(a)

    def maximum(self, a, b):
        self._count("comparison")
        return max(a, b)

    def minimum(self, a, b):
        self._count("comparison")
        return min(a, b)

    def where_below(self, a, bound, then, otherwise):
        self._count("comparison")
        return then if a < bound else otherwise


class CountedArray:
    """Numbers by index in a memory of `n_words`: every read and write is counted.

    `terms` are those of a read and of a write. `joined` are the words of all parameters
    that share the memory.
    """

    def __init__(self, machine: Machine, terms, n_words, values=None, **size) -> None:
        self._machine = machine
        self._read, self._write = terms
        bits = size.get("bits", WORD)
        self._size = (bits, bits * n_words, bits * size.get("joined", 0))
        self.values: dict[Any, Any] = {} if values is None else values

    def _access(self, term, place):
        machine = self._machine
        machine.count(term, place)
        known = machine.sizes.setdefault((machine.phase, term, place), self._size)
        assert known == self._size, (machine.phase, term, place)

    def read(self, place, index):
        """Read a word for an operation at a place; it is 0 before it is written."""
        self._access(self._read, place)
        return self.values.get(index, 0.0)

    def write(self, place, index, value):
        self._access(self._write, place)
        self.values[index] = value

    def add(self, place, index, value):
        """Read a word, add to it, and write it back."""
        self.write(place, index, self.read(place, index) + value)


@dataclass(frozen=True)
class Setting:
    """A network and how it is trained.

    Attributes:
        network: with LIF neurons.
        learning: surrogate, loss and optimizer.
        rate: learning rate.
        batch_size: samples for which memories of a batch have room.
        n_steps: T.
        set_size: samples of the training set.
        products: how often constant currents are multiplied; None for spikes.
        masks: False where a synapse was removed, by weight matrix; None if not pruned.
        gradients: how long a gradient is in a register: for an event, or a sample.
        own_biases: whether biases and constants have memories of their own.
    """

    network: Network
    learning: LearningSettings
    rate: float
    batch_size: int
    n_steps: int
    set_size: int
    products: Products | None = None
    masks: dict[str, Any] | None = None
    gradients: str = "sample"
    own_biases: bool = False


class Grid(NamedTuple):
    """The unit of a layer's integers, and the largest weight and bias in units."""

    unit: float
    limits: tuple[int, int]


class Storage(NamedTuple):
    """How a connection's numbers are kept.

    `keeps_sums` says whether products with constant currents are kept, one sum for each
    neuron; `starts_at_bias` whether biases are initial potentials; `kept_steps` are the
    steps of a sample that differ, and `held` the samples whose pooled values are in
    memory at the same time.
    """

    held: int = 1
    kept_steps: int = 1
    keeps_sums: bool = False
    starts_at_bias: bool = False
    grid: Grid | None = None
    masks: dict[str, Any] | None = None
    own_biases: bool = False


class Parameters:
    """Numbers of a connection's weights, and of the biases and constants after it.

    Indices begin with the name of the parameter. Accesses are counted at the connection
    for weights, at the layer for others.
    """

    def __init__(self, connection, weights: CountedArray, others: CountedArray) -> None:
        self._connection = connection
        self._weights = weights
        self._others = others
        self.values = weights.values

    def _of(self, index):
        connection = self._connection
        name = index[1][0] if isinstance(index[1], tuple) else index[0]
        if name == connection.weight_name:
            return self._weights, connection.name
        return self._others, connection.target.name

    def read(self, index):
        array, place = self._of(index)
        return array.read(place, index)

    def write(self, index, value):
        array, place = self._of(index)
        array.write(place, index, value)

    def add(self, index, value):
        self.write(index, self.read(index) + value)


class Population:
    """Neurons, or the input, and what they keep in memory.

    `held` are the samples whose values are in memory at the same time; `kept_steps` the
    steps of what the population passes on.
    """

    def __init__(self, machine: Machine, node: Any, held: int, kept_steps: int) -> None:
        self.name = node.name
        self.n = node.n_out
        words = held * kept_steps * self.n
        bits = 1
        while 2**bits < self.n:
            bits += 1
        self.queue = CountedArray(
            machine, ("spike_read", "spike_write"), words, bits=bits
        )
        self.n_spikes: Counter[tuple[int, int]] = Counter()
        self.activations = CountedArray(
            machine, ("activation_read", "activation_write"), words
        )
        self.deltas = CountedArray(machine, ("delta_read", "delta_write"), words)
        self.potentials = CountedArray(machine, ("state_access",) * 2, self.n)
        self.sums = CountedArray(machine, ("state_access_per_event",) * 2, self.n)
        # Whether its potentials are the scores: it integrates, and never fires.
        self.is_read = False

    def take_constants(self, machine, setting, state, layer):
        """Take threshold, decay and grid of the layer, from 0 for the first."""
        network = setting.network
        neuron = network.neurons[layer]
        self.threshold, self.decay = naive.constants_of(
            state, layer, naive.Neuron(*neuron.constants)
        )
        self.leaks = neuron.leaks
        self.reset = neuron.reset
        self.learned = neuron.learned_names
        if self.is_read:
            self.threshold = math.inf
        self.unit = None
        if network.quantisation is not None:
            self.unit = 2.0 ** -network.quantisation.exponents[layer]
            if not self.is_read:
                self.threshold = round(self.threshold / self.unit) * self.unit
            self.decay = round(256 * self.decay) / 256
            self.range = network.quantisation.state_range
        self.machine = machine

    def leaked(self, u):
        """What a step leaves of a potential."""
        if not self.leaks:
            return u
        self.machine.count("leak_multiplication", self.name)
        if self.unit is None:
            return self.decay * u
        return math.floor(self.decay * u / self.unit) * self.unit

    def after_reset(self, v, fired):
        """The potential after a step, which saturates in integers."""
        u = naive.after_reset(v, fired, self.threshold, self.reset)
        if self.unit is None:
            return u
        lowest, highest = self.range
        return naive.clamp(u, lowest * self.unit, highest * self.unit)


class Connection:
    """Weights between populations, from windows of the sender if it is pooled.

    A connection's parameters are its weights and, unless it is recurrent, the biases
    and learned constants of its target. They have indices (name, place).
    """

    def __init__(self, node: Any, sender: Population, target: Population) -> None:
        self.name = node.name
        self.n_in = node.n_in
        self.sender = sender
        self.target = target
        self.is_recurrent = sender is target
        self.pooling = None
        self.window_of = range(sender.n)
        self.factor = 1.0
        self.weight_name = ""
        self.bias_name = ""
        self.bias_of: list[int] = []
        self.synapses: list[tuple[int, int, int]] = []
        self.reached: list[list[tuple[int, int]]] = []
        self.learning: list[list[tuple[int, int]]] = []

    def connect(self, network: Network, number: int) -> None:
        """Find the synapses of layer `number`, from 1."""
        kind = "recurrent" if self.is_recurrent else "synapses"
        self.weight_name = f"layer{number}.{kind}.weight"
        self.bias_name = f"layer{number}.synapses.bias"
        word: tuple[Any, ...] = ("dense", self.target.n, False)
        forward = network.forward_connections[number - 1]
        shape = forward.in_shape
        if self.is_recurrent:
            shape = (self.target.n,)
        elif isinstance(forward, Convolution):
            windows = forward.windows
            sides = (windows.kernel[0], windows.stride[0], windows.padding[0])
            channels = forward.out_shape[0]
            word = ("convolution", channels, *sides, forward.groups)
        (population,) = naive.chain(shape, [word])
        self.synapses = [synapse[:3] for synapse in population.synapses]
        self.bias_of = population.biases
        pooling = network.pooling_before(forward)
        if pooling is not None and not self.is_recurrent:
            self._pool(pooling)

    def _pool(self, pooling) -> None:
        self.pooling = pooling.name
        side, _ = pooling.windows.kernel
        channels, height, width = pooling.out_shape
        windows = np.full(pooling.in_shape, -1)
        for window, (c, y, x) in enumerate(np.ndindex(channels, height, width)):
            rows = slice(y * side, (y + 1) * side)
            windows[c, rows, x * side : (x + 1) * side] = window
        self.window_of = windows.ravel().tolist()
        if pooling.average:
            self.factor = 1 / side**2

    def store(self, machine: Machine, state, storage: Storage) -> None:
        """Put parameters, gradients, moments and masks into memories."""
        names = [self.weight_name]
        if not self.is_recurrent:
            others = (name for name in state if name.startswith(self.prefix))
            names += [name for name in others if "weight" not in name]
        self.learned = {
            (name, place): float(value)
            for name in names
            for place, value in enumerate(np.ravel(state[name]))
        }
        n_weights = np.size(state[self.weight_name])
        n_biases = np.size(state.get(self.bias_name, ())) * (not self.is_recurrent)
        n_others = len(self.learned) - n_weights
        # What shares a memory with the weights, and with the other parameters.
        own = storage.own_biases
        size = n_weights if own else len(self.learned)
        size_of_others = n_others if own else len(self.learned)

        def stored(terms, values=None, times=0):
            """Parameters, or `times` words for each in a memory for them alone."""
            weights, others = (
                CountedArray(machine, terms, times * whole, values)
                if times
                else CountedArray(machine, terms, n, values, joined=whole)
                for n, whole in ((n_weights, size), (n_others, size_of_others))
            )
            others.values = weights.values
            return Parameters(self, weights, others)

        self.grid = storage.grid
        self.running = dict(self.learned) if self.grid else self.learned
        terms = ("weight_read", "weight_write")
        self.weights = CountedArray(
            machine, terms, n_weights, self.running, joined=size
        )
        self.parameters = stored(terms, self.learned)
        self.rounded_parameters = stored(terms, self.running)
        self.keeps_sums = storage.keeps_sums
        self.starts_at_bias = storage.starts_at_bias and n_biases > 0
        n_constants = self.target.n if self.keeps_sums else n_biases
        if self.keeps_sums and self.starts_at_bias:
            n_constants += n_biases
        inference = n_weights + (0 if own else n_constants)
        self.inference_weights = CountedArray(
            machine, terms, n_weights, self.running, joined=inference
        )
        self.constants = CountedArray(
            machine,
            ("bias_read", ""),
            n_constants,
            joined=n_constants if own else inference,
        )
        # What every step adds.
        self.has_constants = self.keeps_sums or (
            n_biases > 0 and not self.starts_at_bias
        )
        self.has_biases = n_biases > 0
        self.gradients = stored(("gradient_access",) * 2, times=1)
        self.moments = stored(("moment_access",) * 2, times=2)
        self.masks = None
        if storage.masks is not None:
            kept = np.ravel(storage.masks[self.weight_name]).astype(float).tolist()
            values = dict.fromkeys(self.learned, 1.0)
            values |= {(self.weight_name, k): one for k, one in enumerate(kept)}
            self.masks = stored(("mask_read", ""), values, times=1)
        self.kept_steps = storage.kept_steps
        self.pooled = CountedArray(
            machine,
            ("activation_read", "activation_write"),
            storage.held * self.kept_steps * self.n_in,
        )
        if self.grid:
            # Before anything is counted.
            uncounted = Arithmetic(Machine(), "", "")
            for index in self.learned:
                self.running[index] = self.rounded(uncounted, index)
        self.find_synapses()

    @property
    def prefix(self) -> str:
        """The beginning of names of the layer's parameters."""
        return self.weight_name.partition(".")[0] + "."

    def place_of(self, index):
        """Where a parameter is counted: at the connection, or the layer after it."""
        return self.name if index[0] == self.weight_name else self.target.name

    def biases(self):
        """The bias of each unit of the target."""
        places = [(self.bias_name, place) for place in self.bias_of]
        return [self.running.get(index, 0.0) for index in places]

    def added_biases(self):
        """What every step adds to each unit: its bias, unless that is its start."""
        return [0.0 if self.starts_at_bias else bias for bias in self.biases()]

    def rounded(self, arithmetic: Arithmetic, index):
        """A parameter on its grid."""
        assert self.grid is not None
        limit = self.grid.limits[index[0].endswith("bias")]
        steps = arithmetic.multiply(self.learned[index], 1 / self.grid.unit)
        # Rounding is an addition.
        steps = round(arithmetic.add(steps, 0.0))
        steps = arithmetic.maximum(arithmetic.minimum(steps, limit), -limit)
        return arithmetic.multiply(steps, self.grid.unit)

    def find_synapses(self) -> None:
        """List what each source reaches, in both passes.

        In a pruned network, a weight of zero is no synapse. If it was not removed but
        rounded to zero, it still learns.
        """
        self.reached = [[] for _ in range(self.n_in)]
        self.learning = [[] for _ in range(self.n_in)]
        for source, target, place in self.synapses:
            index = (self.weight_name, place)
            if self.masks is None or self.running[index]:
                self.reached[source].append((target, place))
            if self.masks is None or self.masks.values[index]:
                self.learning[source].append((target, place))

    def of_unit(self, unit, learns=False):
        """The (target, place of the weight) that a spike of the sender reaches."""
        window = self.window_of[unit]
        by_window = self.learning if learns else self.reached
        return by_window[window] if window >= 0 else []


class Trained:
    """Batches of samples through a network and back, and the optimizer."""

    def __init__(self, setting: Setting, state: dict[str, Any]) -> None:
        self.setting = setting
        self.machine = Machine()
        self.shapes = {name: np.shape(values) for name, values in state.items()}
        node = setting.network.input
        steps = setting.n_steps if setting.products is None else 1
        self.input = Population(self.machine, node, self.held, steps)
        self.training_set = CountedArray(
            self.machine, ("data_read", ""), setting.set_size * node.n_out, bits=8
        )
        self.populations: list[Population] = []
        self.connections: list[Connection] = []
        self.n_updates = 0
        # Additions to gradients of weights that are rounded to zero, by connection.
        self.without_event: Counter[str] = Counter()
        # Synapses that a sample's spikes or currents reach, by connection.
        self.touched: Counter[str] = Counter()
        # Of the additions above, those that reach memory.
        self.untouched: Counter[str] = Counter()
        self.build(state)

    def build(self, state: dict[str, Any]) -> None:
        """Make the populations and connections of the network."""
        raise NotImplementedError

    @property
    def held(self) -> int:
        """Samples whose activations and deltas are in memory at the same time."""
        return 1

    def state(self) -> dict[str, Any]:
        """The parameters that the network runs with."""
        return self._by_name(lambda connection: connection.running)

    def learned_state(self) -> dict[str, Any]:
        """The parameters of the optimizer, not rounded."""
        return self._by_name(lambda connection: connection.learned)

    def _by_name(self, values_of) -> dict[str, Any]:
        flat: dict[str, list[float]] = {}
        for connection in self.connections:
            for (name, _), value in values_of(connection).items():
                flat.setdefault(name, []).append(value)
        return {
            name: np.reshape(flat[name], shape) for name, shape in self.shapes.items()
        }

    def gradients(self) -> dict[str, Any]:
        """The gradients in memory."""
        return self._by_name(
            lambda connection: {
                index: connection.gradients.values.get(index, 0.0)
                for index in connection.running
            }
        )

    def read_data(self) -> None:
        """Read a sample's bytes from the training set."""
        self.machine.phase = "data"
        for unit in range(self.input.n):
            self.training_set.read(self.input.name, unit)

    # Optimizer

    def optimise(self) -> None:
        """Take a step of Adam with the gradients in memory (Kingma and Ba 2015)."""
        self.machine.phase = "optimizer"
        self.n_updates += 1
        clip = self.clip_factor()
        for connection in self.connections:
            for index in connection.learned:
                self.update_parameter(connection, index, clip)
            connection.find_synapses()

    def clip_factor(self):
        """The factor that limits the norm of all gradients; None without clipping."""
        largest = self.setting.learning.grad_clip_norm
        if not largest:
            return None
        square = 0.0
        for connection in self.connections:
            for index in connection.learned:
                place = connection.place_of(index)
                arithmetic = Arithmetic(self.machine, "optimizer", place)
                if self.is_reached(connection, index):
                    gradient = connection.gradients.read(index)
                    square = arithmetic.multiply_add(gradient, gradient, square)
        return min(1.0, largest / (math.sqrt(square) + 1e-6))

    def update_parameter(self, connection, index, clip) -> None:
        """Update one parameter and its moments."""
        arithmetic = Arithmetic(self.machine, "optimizer", connection.place_of(index))
        weight_decay = self.setting.learning.weight_decay
        parameter = connection.parameters.read(index)
        gradient = 0.0
        if weight_decay:
            gradient = arithmetic.multiply(weight_decay, parameter)
        if self.is_reached(connection, index):
            found = connection.gradients.read(index)
            self.clear(connection, index)
            if clip is not None:
                found = arithmetic.multiply(clip, found)
            gradient = arithmetic.add(gradient, found) if weight_decay else found
        first = arithmetic.multiply(BETA1, connection.moments.read((1, index)))
        first = arithmetic.multiply_add(1 - BETA1, gradient, first)
        connection.moments.write((1, index), first)
        second = arithmetic.multiply(BETA2, connection.moments.read((2, index)))
        scaled = arithmetic.multiply(1 - BETA2, gradient)
        second = arithmetic.multiply_add(scaled, gradient, second)
        connection.moments.write((2, index), second)
        mean = arithmetic.divide(first, 1 - BETA1**self.n_updates)
        square = arithmetic.divide(second, 1 - BETA2**self.n_updates)
        scale = arithmetic.add(arithmetic.root(square), EPSILON)
        change = arithmetic.divide(arithmetic.multiply(self.setting.rate, mean), scale)
        parameter = arithmetic.subtract(parameter, change)
        if connection.masks is not None and not connection.masks.read(index):
            parameter = 0.0
        connection.parameters.write(index, parameter)
        if connection.grid is not None:
            on_grid = connection.rounded(arithmetic, index)
            connection.rounded_parameters.write(index, on_grid)

    def is_reached(self, connection, index) -> bool:
        """Whether the optimizer reads a gradient."""
        return True

    def clear(self, connection, index) -> None:
        """Clear a gradient for the next batch, if the variant adds to it."""


class Training(Trained):
    """A spiking network: what all variants share."""

    def build(self, state: dict[str, Any]) -> None:
        """Make the populations and connections of the network."""
        setting = self.setting
        held = self.held
        before = self.input
        network = setting.network
        forward = network.forward_connections
        for number, node in enumerate(network.layers[1:], start=1):
            population = Population(self.machine, node, held, setting.n_steps)
            population.traces = self.trace_memory(population.n)
            is_last = number == len(network.layers) - 1
            population.is_read = is_last and not network.readout.is_spiking
            self.populations.append(population)
            pairs = [(forward[number - 1], before)]
            recurrent = network.recurrent_connections[number - 1]
            if recurrent is not None:
                pairs.append((recurrent, population))
            for weights, sender in pairs:
                connection = Connection(weights, sender, population)
                connection.connect(network, number)
                storage = self.storage_of(connection, number)
                connection.store(self.machine, state, storage)
                self.connections.append(connection)
            before = population

    def storage_of(self, connection, number) -> Storage:
        """How the numbers of a connection into layer `number`, from 1, are kept."""
        setting = self.setting
        grid = None
        widths = setting.network.quantisation
        if widths is not None:
            unit = 2.0 ** -widths.exponents[number - 1]
            grid = Grid(unit, (widths.largest_weight, widths.largest_bias))
        is_constant = setting.products is not None and connection.sender is self.input
        return Storage(
            held=self.held,
            kept_steps=1 if is_constant else setting.n_steps,
            keeps_sums=is_constant and setting.products == "once",
            starts_at_bias=setting.network.starts_at_bias,
            grid=grid,
            masks=setting.masks,
            own_biases=setting.own_biases,
        )

    def trace_memory(self, n: int) -> CountedArray:
        """Memory for the potentials that are kept for the backward pass."""
        words = self.held * self.setting.n_steps * n
        return CountedArray(self.machine, ("trace_read", "trace_write"), words)

    def into(self, population) -> Connection:
        """The connection from the layer before a population."""
        return next(
            connection
            for connection in self.connections
            if connection.target is population and not connection.is_recurrent
        )

    def out_of(self, population) -> list[Connection]:
        """The connections that read a population, itself among them if recurrent."""
        return [one for one in self.connections if one.sender is population]

    def begin_batch(self) -> None:
        """Compute the learned constants once."""
        # Potentials of an output that is read, by sample and step.
        self.scores: dict[int, list[list[float]]] = {}
        state = self.state()
        for layer, population in enumerate(self.populations):
            population.take_constants(self.machine, self.setting, state, layer)

    # Forward

    def update(self, population, at, arriving):
        """Take a step of all neurons; return which fire.

        `at` is (sample, step), `arriving` the sum of inputs of each neuron.
        """
        machine = self.machine
        name = population.name
        connection = self.into(population)
        fired = []
        if at[1] == 0:
            self.start(population)
        for j in range(population.n):
            u = population.potentials.read(name, j)
            v = population.leaked(u) + arriving[j]
            if connection.has_constants:
                machine.count("bias_addition", name)
                v += connection.constants.read(name, j)
            if not population.is_read:
                machine.count("threshold_comparison", name)
            fires = v >= population.threshold
            kind = "active" if fires else "inactive"
            machine.count(f"neuron_update_{kind}", name)
            if fires:
                machine.count("reset", name)
                fired.append(j)
            u = population.after_reset(v, fires)
            if not population.is_read:
                population.traces.write(name, (*at, j), v)
            elif "decay_logit" in population.learned:
                population.traces.write(name, (*at, j), u)
            population.potentials.write(name, j, u)
        if population.is_read:
            after = [population.potentials.values[j] for j in range(population.n)]
            self.scores.setdefault(at[0], []).append(after)
        return fired

    def start(self, population) -> None:
        """Set the potentials before the first step: to 0, or to the biases."""
        population.potentials.values.clear()
        connection = self.into(population)
        if not connection.starts_at_bias:
            return
        connection.constants.values |= {
            ("initial", j): bias for j, bias in enumerate(connection.biases())
        }
        for j in range(population.n):
            self.machine.count("bias_addition", population.name)
            bias = connection.constants.read(population.name, ("initial", j))
            population.potentials.write(population.name, j, bias)

    def find_answer(self, sample, label):
        """Find the class; return dL/dscores of each step, [T][classes].

        Scores are the counts of output spikes, or potentials.
        """
        output = self.populations[-1]
        learning = self.setting.learning
        loss = naive.Loss(learning.logit_scale, learning.label_smoothing)
        if not output.is_read:
            scores = self.count_spikes(sample)
            _, gradient = naive.cross_entropy(scores, label, loss)
            return [gradient] * self.setting.n_steps
        readout = self.setting.network.readout.value
        scores, peaks = naive.scores_of(self.scores[sample], None, readout)
        n_compared = output.n
        if readout == "max_potential":
            n_compared *= self.setting.n_steps
        self.machine.count("decision_comparison", output.name, n_compared - 1)
        _, gradient = naive.cross_entropy(scores, label, loss)
        return [
            [
                value if peak == step else 0.0
                for value, peak in zip(gradient, peaks, strict=True)
            ]
            for step in range(self.setting.n_steps)
        ]

    def count_spikes(self, sample):
        """Count the output spikes of each class."""
        output = self.populations[-1]
        counts = [0] * output.n
        for step in range(self.setting.n_steps):
            for unit in self.fired[output.name][sample, step]:
                self.machine.count("spike_counted", output.name)
                counts[unit] += 1
        self.machine.count("decision_comparison", output.name, output.n - 1)
        return counts

    # Backward

    def backward_neurons(self, sample, population, by_score) -> None:
        """Compute dL/dv of a layer from the last step to the first.

        `by_score` is dL/ds[t] of the output in every step, or that of its potentials.
        """
        later = [0.0] * population.n
        bias_sums = [0.0] * population.n
        for step in range(self.setting.n_steps - 1, -1, -1):
            by_spike = self.spike_gradient(sample, step, population, by_score)
            for j in range(population.n):
                at = (sample, step, j)
                later[j] = self.neuron_delta(population, at, by_spike[j], later[j])
                if self.into(population).has_constants:
                    self.machine.count("bias_gradient_accumulation", population.name)
                    bias_sums[j] += later[j]
        population.bias_sums = bias_sums
        population.bias_gradients = bias_sums
        if self.into(population).starts_at_bias:
            population.bias_gradients = self.initial_gradients(population, later)

    def initial_gradients(self, population, first):
        """dL/db = decay dL/dv[0], where u[-1] = b; `first` are the dL/dv[0]."""
        gradients = []
        for delta in first:
            self.machine.count("bias_gradient_accumulation", population.name)
            if population.leaks:
                arithmetic = Arithmetic(self.machine, "delta", population.name)
                delta = arithmetic.multiply(population.decay, delta)
            gradients.append(delta)
        return gradients

    def spike_gradient(self, sample, step, population, by_score):
        """dL/ds[t] of a layer, sums of products in registers."""
        if population is self.populations[-1]:
            by_spike = list(by_score[step])
        else:
            by_spike = [0.0] * population.n
        for connection in self.out_of(population):
            if connection.is_recurrent and step == self.setting.n_steps - 1:
                continue
            by_source = self.times_transposed(connection, sample, step)
            for unit, window in enumerate(connection.window_of):
                if window >= 0:
                    by_spike[unit] += by_source[window]
        return by_spike

    def times_transposed(self, connection, sample, step):
        """Multiply the deltas of a connection's target by its weights."""
        machine = self.machine
        name = connection.name
        deltas = []
        for j in range(connection.target.n):
            machine.count("address_unit", name)
            at = (sample, step + connection.is_recurrent, j)
            deltas.append(connection.target.deltas.read(name, at))
        totals = [0.0] * connection.n_in
        machine.count("address_unit", name, connection.n_in)
        for source, target, place in connection.synapses:
            machine.count("address_mac", name)
            machine.count("backpropagation_mac", name)
            weight = connection.weights.read(name, (connection.weight_name, place))
            totals[source] += deltas[target] * weight * connection.factor
        return totals

    def neuron_delta(self, population, at, by_spike, later):
        """dL/dv[t] = dL/ds[t] f(v[t] - threshold) + k dL/dv[t+1].

        Of potentials that are read, `by_spike` is the derivative by v[t] itself.
        """
        arithmetic = Arithmetic(self.machine, "delta", population.name)
        v = -math.inf
        by_potential = by_spike
        if not population.is_read:
            v = population.traces.read(population.name, at)
            f = self.surrogate(population, v)
            by_potential = arithmetic.multiply(by_spike, f)
        carried = self.carried(population, v, later)
        delta = arithmetic.add(by_potential, carried)
        population.deltas.write(population.name, at, delta)
        return delta

    def carried(self, population, v, later):
        """k dL/dv[t+1]: the reset to zero lets nothing through."""
        is_kept = population.reset == "subtract" or v < population.threshold
        if not population.leaks:
            return later if is_kept else 0.0
        arithmetic = Arithmetic(self.machine, "delta", population.name)
        return arithmetic.multiply(population.decay if is_kept else 0.0, later)

    def surrogate(self, population, v):
        """The instructions of the engine's surrogate, counted one by one."""
        chosen = self.setting.learning.chosen_surrogate
        arithmetic = Arithmetic(self.machine, "surrogate", population.name)
        x = None
        if chosen.name != "constant":
            x = arithmetic.subtract(v, population.threshold)
        return chosen.emit(arithmetic, x, *chosen.constants())

    def learned_sums(self, sample, population):
        """dL/dlogit of the decay and dL/dlog of the threshold, where they learn.

        Each constant has a pass of its own over deltas and potentials.
        """
        decay = population.decay
        kinds = {
            "decay_logit": (self.decay_term, decay * (1 - decay)),
            "log_threshold": (self.threshold_term, population.threshold),
        }
        sums = {}
        for constant in population.learned:
            total = 0.0
            add_term, scale = kinds[constant]
            if constant == "log_threshold" and population.is_read:
                # It is not used, so its gradient is 0.
                sums[f"neurons.{constant}"] = total
                continue
            for v, delta, later in self.kept(sample, population):
                total = add_term(population, total, v, delta, later)
            if constant == "decay_logit" and self.into(population).starts_at_bias:
                total = self.initial_decay_terms(population, total, sample)
            sums[f"neurons.{constant}"] = scale * total
        return sums

    def initial_decay_terms(self, population, total, sample):
        """The terms dL/dv[0] u[-1] of dL/ddecay; dL/dv[0] is still in a register."""
        connection = self.into(population)
        arithmetic = Arithmetic(self.machine, "delta", population.name)
        for j, place in enumerate(connection.bias_of):
            bias = connection.rounded_parameters.read((connection.bias_name, place))
            delta = population.deltas.values[sample, 0, j]
            total = arithmetic.multiply_add(delta, bias, total)
        return total

    def kept(self, sample, population):
        """Read v[t], dL/dv[t] and dL/dv[t+1] of each neuron and step again."""
        later = [0.0] * population.n
        for step in range(self.setting.n_steps - 1, -1, -1):
            for j in range(population.n):
                at = (sample, step, j)
                delta = population.deltas.read(population.name, at)
                v = population.traces.read(population.name, at)
                yield v, delta, later[j]
                later[j] = delta

    def decay_term(self, population, total, v, delta, later):
        """dL/ddecay = sum of dL/dv[t+1] u[t]."""
        arithmetic = Arithmetic(self.machine, "delta", population.name)
        u = v
        if v >= population.threshold:
            u = 0.0
            if population.reset == "subtract":
                u = arithmetic.subtract(v, population.threshold)
        return arithmetic.multiply_add(later, u, total)

    def threshold_term(self, population, total, v, delta, later):
        """dL/dthreshold = -sum of dL/ds[t] f, with f as in `neuron_delta`."""
        arithmetic = Arithmetic(self.machine, "delta", population.name)
        carried = self.carried(population, v, later)
        return arithmetic.subtract(total, arithmetic.subtract(delta, carried))


class Register:
    """Gradients of single synapses on their way to memory."""

    def __init__(self, connection, extent: str) -> None:
        self.extent = extent
        self.units: set[int] = set()
        self._connection = connection
        self._sums: dict[Any, float] = {}

    def add(self, synapse, place, value) -> None:
        """Add to a synapse, whose weight has a place in memory."""
        if self.extent == "event":
            self._write(place, value)
        else:
            self._sums[synapse, place] = self._sums.get((synapse, place), 0.0) + value

    def empty(self) -> None:
        """Add what is in registers to memory."""
        for (_, place), value in self._sums.items():
            self._write(place, value)

    def _write(self, place, value) -> None:
        self._connection.gradients.add((self._connection.weight_name, place), value)


class EventTraining(Training):
    """Sample by sample, forward and weight gradients event by event.

    In fully connected networks, the optimizer skips the gradients of the weights from
    units without a spike or current in the batch.
    """

    def train_batch(self, samples, labels) -> dict[str, Any]:
        """Train on a batch; return its gradients."""
        self.begin_batch()
        # Units with a spike or current in the batch, by connection.
        self.used = {connection.name: set() for connection in self.connections}
        for sample, label in zip(samples, labels, strict=True):
            self.read_data()
            self.machine.phase = "forward"
            self.forward(sample)
            by_score = np.divide(self.find_answer(0, label), len(labels)).tolist()
            self.machine.phase = "backward"
            self.backward(sample, by_score)
        gradients = self.gradients()
        self.optimise()
        return gradients

    def forward(self, sample) -> None:
        """Run a sample, layer by layer."""
        self.scores.clear()
        self.fired: dict[str, dict[Any, list[int]]] = {}
        self.feed(sample)
        for population in self.populations:
            connection = self.into(population)
            self.prepare_constants(connection, sample)
            recurrent = [one for one in self.out_of(population) if one.is_recurrent]
            waiting = [0.0] * population.n
            fired = {}
            for step in range(self.setting.n_steps):
                population.sums.values = dict(enumerate(waiting))
                is_first = connection.sender is self.input
                if is_first and self.setting.products == "every_step":
                    self.multiply_currents(connection, sample)
                self.pass_spikes(connection, step)
                arriving = [population.sums.values[j] for j in range(population.n)]
                fired[0, step] = self.update(population, (0, step), arriving)
                self.emit(population, step, fired[0, step])
                population.sums.values = dict.fromkeys(range(population.n), 0.0)
                for loop in recurrent:
                    self.pass_spikes(loop, step)
                waiting = list(population.sums.values.values())
            self.fired[population.name] = fired

    def feed(self, sample) -> None:
        """The encoder has put the spikes of the sample into the input's queue."""
        self.input.n_spikes.clear()
        if self.setting.products is not None:
            return
        for step, row in enumerate(sample):
            units = [unit for unit, spike in enumerate(row) if spike]
            for number, unit in enumerate(units):
                self.input.queue.values[step, number] = unit
            self.input.n_spikes[step] = len(units)
            self.machine.count("spike_routed", self.input.name, len(units))

    def emit(self, population, step, fired) -> None:
        """Write the spikes of a step to the queue."""
        population.n_spikes[step] = len(fired)
        for number, unit in enumerate(fired):
            self.machine.count("spike_routed", population.name)
            population.queue.write(population.name, (step, number), unit)

    def spikes_into(self, connection, step):
        """Read the spikes of a step for a connection."""
        sender = connection.sender
        for number in range(sender.n_spikes[step]):
            yield sender.queue.read(sender.name, (step, number))

    def pass_spikes(self, connection, step) -> None:
        """Add a weight to a sum for every synapse of every spike of a step."""
        name = connection.name
        for unit in self.spikes_into(connection, step):
            for target, place in connection.of_unit(unit):
                self.machine.count("address_event", name)
                self.machine.count("synaptic_event", name)
                index = (connection.weight_name, place)
                weight = connection.inference_weights.read(name, index)
                connection.target.sums.add(name, target, weight * connection.factor)

    def prepare_constants(self, connection, sample) -> None:
        """Biases; with products that are computed once, their sums are added."""
        target = connection.target
        biases = connection.added_biases()
        if connection.sender is self.input and self.setting.products is not None:
            self.machine.count("zero_comparison", self.input.name, self.input.n)
            if self.setting.products == "once":
                target.sums.values = dict(enumerate(biases))
                self.multiply_currents(connection, sample)
                biases = target.sums.values.values()
        connection.constants.values = dict(enumerate(biases))

    def multiply_currents(self, connection, sample) -> None:
        """Add the product of a current and a weight for each source that is not 0."""
        name = connection.name
        for unit, current in enumerate(sample):
            if current == 0:
                continue
            for target, place in connection.of_unit(unit):
                self.machine.count("address_event", name)
                index = (connection.weight_name, place)
                weight = connection.inference_weights.read(name, index)
                self.machine.count("input_mac", name)
                product = current * weight * connection.factor
                connection.target.sums.add(name, target, product)

    def backward(self, sample, by_score) -> None:
        for population in reversed(self.populations):
            self.backward_neurons(0, population, by_score)
            self.add_gradients_of_neurons(population)
            for connection in self.connections:
                if connection.target is population:
                    self.add_gradients_of_weights(connection)
            if self.setting.products is not None and population is self.populations[0]:
                self.add_gradients_of_currents(self.into(population), sample)

    def add_gradients_of_neurons(self, population) -> None:
        """Add the sums of biases and learned constants to their gradients."""
        connection = self.into(population)
        if connection.has_biases:
            biases = Counter()
            for j, place in enumerate(connection.bias_of):
                biases[place] += population.bias_gradients[j]
            for place, value in biases.items():
                connection.gradients.add((connection.bias_name, place), value)
        for constant, value in self.learned_sums(0, population).items():
            connection.gradients.add((connection.prefix + constant, 0), value)

    def add_gradients_of_weights(self, connection) -> None:
        """Add the target's delta to the gradient of every synapse of every spike."""
        name = connection.name
        register = Register(connection, self.setting.gradients)
        for step in range(self.setting.n_steps):
            for unit in self.spikes_into(connection, step):
                self.used[name].add(unit)
                synapses = connection.of_unit(unit, learns=True)
                n_without = len(synapses) - len(connection.of_unit(unit))
                self.without_event[name] += n_without
                if register.extent == "event" or unit not in register.units:
                    self.untouched[name] += n_without
                if unit not in register.units:
                    self.touched[name] += len(connection.of_unit(unit))
                register.units.add(unit)
                for target, place in synapses:
                    self.machine.count("address_event", name)
                    at = (0, step + connection.is_recurrent, target)
                    delta = connection.target.deltas.read(name, at)
                    self.machine.count("gradient_accumulation", name)
                    register.add((unit, target), place, delta * connection.factor)
        register.empty()

    def add_gradients_of_currents(self, connection, sample) -> None:
        """Add the product of a current and a delta to the gradient of each weight."""
        name = connection.name
        once = self.setting.products == "once"
        sums = connection.target.bias_sums
        register = Register(connection, self.setting.gradients)
        currents = CountedArray(
            self.machine, ("activation_read", ""), self.input.n, dict(enumerate(sample))
        )
        for unit in range(self.input.n):
            current = currents.read(self.input.name, unit)
            if current == 0:
                continue
            self.used[name].add(unit)
            self.touched[name] += len(connection.of_unit(unit))
            for target, place in connection.of_unit(unit):
                for step in range(1 if once else self.setting.n_steps):
                    self.machine.count("address_event", name)
                    delta = connection.target.deltas.read(name, (0, step, target))
                    delta = sums[target] if once else delta
                    self.machine.count("input_gradient_mac", name)
                    product = current * delta * connection.factor
                    register.add((unit, target), place, product)
        register.empty()

    def is_reached(self, connection, index) -> bool:
        name, place = index
        if name != connection.weight_name or not self.setting.network.is_plain:
            return True
        return place % connection.n_in in self.used[connection.name]

    def clear(self, connection, index) -> None:
        connection.gradients.write(index, 0.0)


class DenseTraining(Training):
    """A batch at once, every product of a matrix in every step, as PyTorch does it."""

    @property
    def held(self) -> int:
        return self.setting.batch_size

    def train_batch(self, samples, labels) -> dict[str, Any]:
        """Train on a batch; return its gradients."""
        self.begin_batch()
        self.fired = {population.name: {} for population in self.populations}
        by_score = []
        for number, (sample, label) in enumerate(zip(samples, labels, strict=True)):
            self.read_data()
            self.machine.phase = "forward"
            self.feed(number, sample)
            self.forward(number)
            by_class = self.find_answer(number, label)
            by_score.append(np.divide(by_class, len(labels)).tolist())
        self.machine.phase = "backward"
        for number in range(len(samples)):
            for population in reversed(self.populations):
                self.backward_neurons(number, population, by_score[number])
            self.add_gradients_of_neurons(number)
        for connection in self.connections:
            self.write_gradients(connection, len(samples))
        gradients = self.gradients()
        self.optimise()
        return gradients

    def feed(self, number, sample) -> None:
        """The encoder has put the spikes or currents of a sample into memory."""
        rows = sample if self.setting.products is None else [sample]
        for step, row in enumerate(rows):
            for unit, value in enumerate(row):
                self.input.activations.values[number, step, unit] = value

    def steps_of(self, connection) -> int:
        """Steps in which a connection multiplies."""
        if connection.is_recurrent:
            return self.n_steps - 1
        return 1 if connection.keeps_sums else self.n_steps

    @property
    def n_steps(self) -> int:
        return self.setting.n_steps

    def forward(self, sample) -> None:
        """Run a sample, layer by layer."""
        for population in self.populations:
            connection = self.into(population)
            if connection.pooling is not None:
                self.pool(connection, sample)
            constants = connection.added_biases()
            if connection.keeps_sums:
                products = self.multiply(connection, sample, 0)
                constants = np.add(constants, products).tolist()
            connection.constants.values = dict(enumerate(constants))
            loops = [one for one in self.out_of(population) if one.is_recurrent]
            waiting = [0.0] * population.n
            for step in range(self.n_steps):
                arriving = waiting
                if not connection.keeps_sums:
                    products = self.multiply(connection, sample, step)
                    arriving = np.add(waiting, products).tolist()
                at = (sample, step)
                fired = self.update(population, at, arriving)
                self.fired[population.name][at] = fired
                self.write_activations(population, at, fired)
                waiting = [0.0] * population.n
                if step < self.n_steps - 1:
                    for loop in loops:
                        waiting = self.multiply(loop, sample, step)

    def write_activations(self, population, at, fired) -> None:
        for unit in range(population.n):
            spike = 1.0 if unit in fired else 0.0
            population.activations.write(population.name, (*at, unit), spike)

    def pool(self, connection, sample) -> None:
        """Sum the units of each window."""
        place = connection.pooling
        activations = connection.sender.activations
        for step in range(connection.kept_steps):
            sums = [0.0] * connection.n_in
            for unit, window in enumerate(connection.window_of):
                value = activations.read(place, (sample, step, unit))
                if window >= 0:
                    self.machine.count("addition", place)
                    sums[window] += value
            for window, value in enumerate(sums):
                connection.pooled.write(place, (sample, step, window), value)

    def vector_of(self, connection, sample, step):
        """Read what enters a connection in a step."""
        place = connection.name
        is_pooled = connection.pooling is not None
        memory = connection.pooled if is_pooled else connection.sender.activations
        # Constant currents are the same in every step.
        step = min(step, connection.kept_steps - 1)
        self.machine.count("address_unit", place, connection.n_in)
        sender = connection.sender.name
        return [
            memory.read(sender, (sample, step, unit)) for unit in range(connection.n_in)
        ]

    def multiply(self, connection, sample, step):
        """Multiply the weights by what enters in a step."""
        name = connection.name
        machine = self.machine
        vector = self.vector_of(connection, sample, step)
        totals = [0.0] * connection.target.n
        for source, target, place in connection.synapses:
            machine.count("address_mac", name)
            machine.count("mac", name)
            weight = connection.inference_weights.read(
                name, (connection.weight_name, place)
            )
            totals[target] += weight * connection.factor * vector[source]
        machine.count("address_unit", name, len(totals))
        return totals

    def add_gradients_of_neurons(self, sample) -> None:
        """Add the sums of biases and learned constants, in registers."""
        for population in self.populations:
            connection = self.into(population)
            if sample == 0:
                population.in_registers = Counter()
                population.sums_of = {}
            population.sums_of[sample] = population.bias_sums
            if connection.has_biases:
                for j, place in enumerate(connection.bias_of):
                    index = (connection.bias_name, place)
                    population.in_registers[index] += population.bias_gradients[j]
            for constant, value in self.learned_sums(sample, population).items():
                population.in_registers[connection.prefix + constant, 0] += value

    def write_gradients(self, connection, n_samples) -> None:
        """Multiply deltas by what entered, over the batch; write the gradients once."""
        name = connection.name
        target = connection.target
        steps = self.steps_of(connection)
        totals = Counter()
        for sample in range(n_samples):
            for step in range(steps):
                vector = self.vector_of(connection, sample, step)
                self.machine.count("address_unit", name, target.n)
                for source, unit, place in connection.synapses:
                    self.machine.count("address_mac", name)
                    self.machine.count("gradient_mac", name)
                    at = (sample, step + connection.is_recurrent, unit)
                    delta = target.deltas.read(name, at)
                    if connection.keeps_sums:
                        delta = target.sums_of[sample][unit]
                    totals[place] += delta * vector[source] * connection.factor
        self.write_totals(connection, totals)

    def write_totals(self, connection, totals) -> None:
        """Write the gradients of weights, and those that are in registers."""
        for weight_name, place in connection.running:
            if weight_name == connection.weight_name:
                connection.gradients.write((weight_name, place), totals[place])
        if not connection.is_recurrent:
            for index, value in connection.target.in_registers.items():
                connection.gradients.write(index, value)


VARIANTS = {
    "event": EventTraining,
    "dense": DenseTraining,
}


class ReluTraining(DenseTraining):
    """A ReLU network: a step of products for each sample, every product.

    `setting.network` is a conventional network; the potentials that are kept are its
    activations. An integer network's activations are requantised, which the gradient
    ignores, and so do these loops.
    """

    skips_zeros = False

    def __init__(self, setting: Setting, state, grid: Grid | None = None) -> None:
        self.grid = grid
        super().__init__(setting, state)

    def build(self, state: dict[str, Any]) -> None:
        before = self.input
        nodes = zip(
            self.setting.network.connections,
            self.setting.network.layers[1:],
            strict=True,
        )
        for number, (node, layer) in enumerate(nodes, start=1):
            population = Population(self.machine, layer, self.held, 1)
            population.traces = CountedArray(
                self.machine,
                ("trace_read", ""),
                self.held * population.n,
                population.activations.values,
            )
            self.populations.append(population)
            connection = Connection(node, before, population)
            connection.weight_name = f"layer{number}.synapses.weight"
            connection.bias_name = f"layer{number}.synapses.bias"
            connection.bias_of = list(range(population.n))
            connection.synapses = [
                (i, j, j * before.n + i)
                for i in range(before.n)
                for j in range(population.n)
            ]
            masks = self.setting.masks
            storage = Storage(
                held=self.held,
                grid=self.grid,
                masks=masks,
                own_biases=self.setting.own_biases,
            )
            connection.store(self.machine, state, storage)
            self.connections.append(connection)
            before = population

    def begin_batch(self) -> None:
        """A ReLU has no constants."""

    def feed(self, number, sample) -> None:
        values = {(number, 0, unit): value for unit, value in enumerate(sample)}
        self.input.activations.values |= values

    def forward(self, sample) -> None:
        machine = self.machine
        for connection in self.connections:
            population = connection.target
            name = population.name
            connection.constants.values = dict(enumerate(connection.biases()))
            sums = self.multiply(connection, sample, 0)
            for j, value in enumerate(sums):
                if connection.has_biases:
                    machine.count("bias_addition", name)
                    value += connection.constants.read(name, j)
                if population is not self.populations[-1]:
                    machine.count("activation_comparison", name)
                    value = max(value, 0.0)
                    if self.grid is not None:
                        machine.count("requantisation", name)
                population.activations.write(name, (sample, 0, j), value)

    def find_answer(self, sample, label):
        output = self.populations[-1]
        self.machine.count("decision_comparison", output.name, output.n - 1)
        values = output.activations.values
        scores = [values[sample, 0, unit] for unit in range(output.n)]
        loss = naive.Loss(smoothing=self.setting.learning.label_smoothing)
        _, gradient = naive.cross_entropy(scores, label, loss)
        return [gradient]

    def backward_neurons(self, sample, population, by_score) -> None:
        (by_sum,) = by_score
        if population is not self.populations[-1]:
            by_sum = self.rectified(sample, population)
        population.bias_sums = []
        if sample == 0:
            population.is_active = {}
        population.is_active[sample] = [delta is not None for delta in by_sum]
        for j, delta in enumerate(by_sum):
            is_added = delta is not None or not self.skips_zeros
            if self.into(population).has_biases and is_added:
                self.machine.count("bias_gradient_accumulation", population.name)
            population.deltas.write(population.name, (sample, 0, j), delta or 0.0)
            population.bias_sums.append(delta or 0.0)
        population.bias_gradients = population.bias_sums

    def is_active(self, sample, population, unit) -> bool:
        """Read an activation again, and compare it with zero."""
        value = population.traces.read(population.name, (sample, 0, unit))
        self.machine.count("activation_comparison", population.name)
        return value > 0

    def rectified(self, sample, population):
        """dL/dsum of each unit; None if it is not active, which nothing passes."""
        (connection,) = self.out_of(population)
        by_activation = self.times_transposed(connection, sample, 0)
        return [
            value if self.is_active(sample, population, unit) else None
            for unit, value in enumerate(by_activation)
        ]

    def learned_sums(self, sample, population):
        return {}

    def macs_nonzero(self, n_samples, with_removed=False):
        """Products of the first samples with a nonzero activation, [N, L - 1]."""
        rows = []
        for sample in range(n_samples):
            row = []
            for connection in self.connections:
                values = connection.sender.activations.values
                row.append(
                    sum(
                        connection.target.n if with_removed else len(synapses)
                        for unit, synapses in enumerate(connection.reached)
                        if values[sample, 0, unit] != 0
                    )
                )
            rows.append(row)
        return np.array(rows)


class SkippingTraining(ReluTraining):
    """The same without products of an activation that is zero.

    Which ones these are is found by comparisons; sums are in memory, since activations
    arrive one by one.
    """

    skips_zeros = True

    def active_sources(self, connection, sample):
        """Yield each activation that is not zero."""
        sender = connection.sender
        for unit in range(sender.n):
            at = (sample, 0, unit)
            value = sender.activations.read(sender.name, at)
            self.machine.count("zero_comparison", sender.name)
            if value != 0:
                yield unit, value

    def multiply(self, connection, sample, step):
        machine = self.machine
        name = connection.name
        target = connection.target
        sums = CountedArray(machine, ("sum_access_per_mac",) * 2, target.n)
        ends = CountedArray(machine, ("sum_access",) * 2, target.n, sums.values)
        if connection.has_biases:
            # Sums begin with them; without, a memory begins with zeros.
            for unit in range(target.n):
                ends.write(target.name, unit, 0.0)
        for source, value in self.active_sources(connection, sample):
            for unit in range(target.n):
                machine.count("address_event", name)
                place = unit * connection.n_in + source
                index = (connection.weight_name, place)
                weight = connection.inference_weights.read(name, index)
                machine.count("mac", name)
                sums.add(name, unit, weight * value)
        return [ends.read(target.name, unit) for unit in range(target.n)]

    def rectified(self, sample, population):
        (connection,) = self.out_of(population)
        name = connection.name
        target = connection.target
        deltas = [
            target.deltas.read(name, (sample, 0, unit)) for unit in range(target.n)
        ]
        by_sum = []
        for source in range(population.n):
            total = None
            if self.is_active(sample, population, source):
                total = 0.0
                for unit, delta in enumerate(deltas):
                    self.machine.count("address_event", name)
                    self.machine.count("backpropagation_mac", name)
                    index = (connection.weight_name, unit * connection.n_in + source)
                    total += delta * connection.weights.read(name, index)
            by_sum.append(total)
        return by_sum

    @property
    def held(self) -> int:
        return 1

    def begin_batch(self) -> None:
        # Sources with a value in the batch, by connection.
        self.used = {connection.name: set() for connection in self.connections}

    def write_gradients(self, connection, n_samples) -> None:
        """Add each sample's products to the gradients in memory."""
        machine = self.machine
        name = connection.name
        target = connection.target
        for sample in range(n_samples):
            if connection.has_biases:
                for unit in range(target.n):
                    if target.is_active[sample][unit]:
                        delta = target.deltas.values[sample, 0, unit]
                        connection.gradients.add((connection.bias_name, unit), delta)
            for source, value in self.active_sources(connection, sample):
                self.used[name].add(source)
                for unit in range(target.n):
                    machine.count("address_event", name)
                    machine.count("gradient_mac", name)
                    delta = target.deltas.read(name, (sample, 0, unit))
                    place = unit * connection.n_in + source
                    index = (connection.weight_name, place)
                    connection.gradients.add(index, delta * value)

    def add_gradients_of_neurons(self, sample) -> None:
        """They are added with those of the weights."""

    def is_reached(self, connection, index) -> bool:
        name, place = index
        if name != connection.weight_name:
            return True
        return place % connection.n_in in self.used[connection.name]

    def clear(self, connection, index) -> None:
        connection.gradients.write(index, 0.0)

    def gradients_reached(self):
        """Gradients of weights of sources with a value in the batch, [L - 1]."""
        return [
            len(self.used[connection.name]) * connection.target.n
            for connection in self.connections
        ]


RELU_VARIANTS = {"dense": ReluTraining, "zero_skipping": SkippingTraining}
