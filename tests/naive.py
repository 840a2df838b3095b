"""Slow, obvious oracles: every equation of the project again, as plain loops.

Nothing here imports spikejoule, so the project and these loops agree only if both are
right. Shapes: T steps, B samples, I/H/O layer sizes, P pixels. Weights are
[target, source]; a state is a dict of ``layer1.synapses.weight``,
``layer1.synapses.bias``, ``layer2...``; a missing bias is 0. Threshold and decay are
numbers, or lists of one per layer; constants that a state has learned
(``layer1.neurons.decay_logit``, ``layer1.neurons.log_threshold``) take precedence.
Without `populations` (see :func:`chain`), layers are fully connected, with the shapes
of their weights.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


class Population(NamedTuple):
    """The neurons of a layer and the synapses into them.

    `biases` has the place of each neuron's bias in the flat array; `synapses` are
    (source, target, place of the weight in the flat array, factor).
    """

    n: int
    biases: list[int]
    synapses: list[tuple[int, int, int, float]]
    recurrent: bool


class Neuron(NamedTuple):
    """Threshold and decay, each one number or one per layer, and the reset.

    `readout` says what the scores are: ``spikes`` of the output; or potentials of one
    that never fires, ``potential`` (of the last step) or ``max_potential`` (of any).
    Biases are added in every step, or the potentials before the first one
    (`starts_at_bias`).
    """

    threshold: Any
    decay: Any
    reset: str = "zero"
    readout: str = "spikes"
    starts_at_bias: bool = False


class Loss(NamedTuple):
    """Cross-entropy and penalties.

    A penalty is (loss per 1,000 above, free number), each one number or one per layer.
    """

    logit_scale: float = 1.0
    smoothing: float = 0.0
    spike_penalty: tuple[Any, Any] = (0.0, 0.0)


class Sampling(NamedTuple):
    """The scale of each layer's deltas, and the key of the draws of one step.

    `sample` is the number of a sample in a batch of `n_samples`.
    """

    scales: list[float]
    key: int
    sample: int = 0
    n_samples: int = 1


class Model(NamedTuple):
    """Neuron, surrogate, loss and structure: a batch also needs a state and samples.

    `derivative` is (name of the surrogate, slope). In a pruned network, a weight of
    zero is no synapse. With `sampling`, only some deltas travel back between layers.
    """

    neuron: Neuron
    derivative: tuple[str, float]
    loss: Loss = Loss()
    populations: list[Population] | None = None
    pruned: bool = False
    sampling: Sampling | None = None


class Grids(NamedTuple):
    """An integer network: exponent of each layer's grid, widths in bits."""

    exponents: tuple[int, ...]
    weight_bits: int
    state_bits: int


class Parameters(NamedTuple):
    """Flat weights, the bias of each neuron, recurrent weights [target][source]."""

    weights: list[float]
    biases: list[float]
    own: list[list[float]]


def chain(shape, layers):
    """The populations of a chain of layers, synapse by synapse.

    `shape` of the input is (n,) or (C, H, W), numbered in C order. `layers` are
    ("dense", neurons, recurrent), ("convolution", channels, kernel, stride, padding,
    groups) and ("pooling", side, average).
    """
    populations = []
    # The units of each window of a pooling, with their factors; None without pooling.
    members = None
    for kind, *numbers in layers:
        if kind == "pooling":
            side, average = numbers
            channels, height, width = shape
            shape = (channels, height // side, width // side)
            factor = 1 / side**2 if average else 1.0
            members = []
            for c, y, x in np.ndindex(*shape):
                rows = range(y * side, (y + 1) * side)
                columns = range(x * side, (x + 1) * side)
                units = [(c * height + i) * width + j for i in rows for j in columns]
                members.append([(unit, factor) for unit in units])
            continue
        if kind == "dense":
            n, recurrent = numbers
            triples = _dense(math.prod(shape), n)
            shape = (n,)
            biases = list(range(n))
        else:
            recurrent = False
            shape, triples = _convolution(shape, *numbers)
            biases = [channel for channel, _, _ in np.ndindex(*shape)]
        synapses = []
        for source, target, place in triples:
            for unit, factor in [(source, 1.0)] if members is None else members[source]:
                synapses.append((unit, target, place, factor))
        populations.append(Population(math.prod(shape), biases, synapses, recurrent))
        members = None
    return populations


def _dense(n_sources, n):
    """(source, target, place of the weight) of every synapse."""
    return [(i, j, j * n_sources + i) for j in range(n) for i in range(n_sources)]


def _convolution(shape, channels, *numbers):
    """The output shape, and (source, target, place of the weight) of every synapse."""
    kernel, stride, padding, groups = numbers
    below, height, width = shape
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    per_group = below // groups
    triples = []
    for c, y, x, i, p, q in np.ndindex(
        channels, rows, columns, per_group, kernel, kernel
    ):
        row = y * stride + p - padding
        column = x * stride + q - padding
        if 0 <= row < height and 0 <= column < width:
            channel = c // (channels // groups) * per_group + i
            source = (channel * height + row) * width + column
            target = (c * rows + y) * columns + x
            place = ((c * per_group + i) * kernel + p) * kernel + q
            triples.append((source, target, place))
    return (channels, rows, columns), triples


def populations_of(state):
    """The populations of a fully connected network."""
    weights = [
        values for name, values in state.items() if name.endswith("synapses.weight")
    ]
    return _fully_connected(tuple(np.shape(values) for values in weights))


@cache
def _fully_connected(shapes):
    return chain((shapes[0][1],), [("dense", n, False) for n, _ in shapes])


def parameters_of(state, number, population):
    """The parameters of a layer, 1 for the first."""
    n = population.n
    values = np.asarray(state[f"layer{number}.synapses.weight"], np.float64)
    biases = state.get(f"layer{number}.synapses.bias", np.zeros(n))
    own = np.zeros((n, n))
    if population.recurrent:
        own = state[f"layer{number}.recurrent.weight"]
    return Parameters(
        weights=values.ravel().tolist(),
        biases=[float(biases[place]) for place in population.biases],
        own=np.asarray(own).tolist(),
    )


def of_layer(value, layer):
    """The value of one layer, from 0, of one number for all or a list."""
    return value[layer] if isinstance(value, list | tuple) else value


def constants_of(state, layer, neuron):
    """Threshold and decay of one layer, from 0, learned ones included."""
    threshold = of_layer(neuron.threshold, layer)
    decay = of_layer(neuron.decay, layer)
    log_threshold = state.get(f"layer{layer + 1}.neurons.log_threshold")
    logit = state.get(f"layer{layer + 1}.neurons.decay_logit")
    if log_threshold is not None:
        threshold = math.exp(log_threshold[0])
    if logit is not None:
        decay = 1 / (1 + math.exp(-logit[0]))
    return threshold, decay


def add_arriving(potentials, population, parameters, step, before):
    """Add the inputs of a step to the potential of each neuron.

    They come from the layer below in this `step`, and through recurrent weights from
    the layer's own spikes of the step `before` (None before the first).
    """
    for source, target, place, factor in population.synapses:
        if step[source]:
            potentials[target] += parameters.weights[place] * factor * step[source]
    if population.recurrent and before is not None:
        for i in range(population.n):
            for j in range(population.n):
                potentials[j] += parameters.own[j][i] * before[i]


def forward(state, spikes, neuron, populations=None, state_bits=None):
    """One sample [T][I] through every layer: a list of (potentials, spikes).

    Both are [T][neurons]. The input may be numbers instead of spikes.

    v[t] = decay u[t-1] + b + sum of w s_in[t] + sum of r s[t-1]
    s[t] = (v[t] >= threshold)
    u[t] = 0 where s[t], else v[t]  (reset ``zero``)
    u[t] = v[t] - threshold where s[t], else v[t]  (reset ``subtract``)

    Potentials of `state_bits` belong to a state of integers, from :func:`quantise`,
    with a threshold on the grid. Then u[t] saturates, and with m = round(256 decay)

    v[t] = floor(m u[t-1] / 256) + b + inputs

    With a readout of potentials, the last layer has no threshold, and its potentials
    are u[t].
    """
    neuron = Neuron(*neuron)
    passed = []
    populations = populations or populations_of(state)
    for layer, population in enumerate(populations):
        parameters = parameters_of(state, layer + 1, population)
        threshold, decay = constants_of(state, layer, neuron)
        is_read = neuron.readout != "spikes" and layer == len(populations) - 1
        if is_read:
            threshold = math.inf
        potentials = []
        emitted = []
        u = [0] * population.n
        if neuron.starts_at_bias:
            u = list(parameters.biases)
        for step in spikes:
            v = [leaked(u[j], decay, state_bits) for j in range(population.n)]
            if not neuron.starts_at_bias:
                v = [v[j] + parameters.biases[j] for j in range(population.n)]
            before = emitted[-1] if emitted else None
            add_arriving(v, population, parameters, step, before)
            fired = [1 if value >= threshold else 0 for value in v]
            u = [
                after_reset(v[j], fired[j], threshold, neuron.reset)
                for j in range(population.n)
            ]
            if state_bits:
                half = 2 ** (state_bits - 1)
                u = [clamp(value, -half, half - 1) for value in u]
            potentials.append(u if is_read else v)
            emitted.append(fired)
        passed.append((potentials, emitted))
        spikes = emitted
    return passed


def leaked(u, decay, state_bits):
    """What a step leaves of a potential, rounded down in integers."""
    if state_bits:
        return math.floor(round(256 * decay) * u / 256)
    return decay * u


def after_reset(v, fired, threshold, reset):
    """The potential after a step."""
    if not fired:
        return v
    return v - threshold if reset == "subtract" else 0


def run(state, dense, neuron):
    """Samples [N, T, I] through every layer: a list of spikes [N, T, units]."""
    samples = [forward(state, sample, neuron) for sample in dense]
    return _spikes(samples)


def _spikes(samples):
    """Spikes [N, T, units] of each layer, of what `forward` gives for N samples."""
    return [
        np.array([emitted for _, emitted in layer])
        for layer in zip(*samples, strict=True)
    ]


def grid_of(weights, weight_bits, state_bits, threshold):
    """k of a layer's grid 2^-k: the least squared error, of equals the smallest k.

    Candidates are the largest k at which no weight saturates and the four above it, if
    the threshold on the grid is at least 1 and below a quarter of the potential's
    range.
    """
    most = 2 ** (weight_bits - 1) - 1
    range_of_potential = 2 ** (min(state_bits, 24) - 2)
    values = [float(w) for w in np.ravel(weights)]
    allowed = [
        k for k in range(-150, 151) if 1 <= threshold * 2.0**k < range_of_potential
    ]
    fitting = [
        k for k in allowed if all(abs(round(w * 2.0**k)) <= most for w in values)
    ]
    first = max(fitting, default=allowed[0])
    best = None
    least = math.inf
    for k in range(first, first + 5):
        if k in allowed:
            error = 0.0
            for w in values:
                error += (w - clamp(round(w * 2.0**k), -most, most) / 2.0**k) ** 2
            if error < least:
                best = k
                least = error
    return best


def clamp(value, lowest, highest):
    """The number of the range that is nearest to a value."""
    return min(max(value, lowest), highest)


def layer_number(name):
    """The layer of a parameter, from 0."""
    return int(name.partition(".")[0].removeprefix("layer")) - 1


def quantise(state, exponents, weight_bits, state_bits):
    """A state in integers: units of the layer's 2^-k, rounded, clamped to its width."""
    most = 2 ** (weight_bits - 1) - 1
    widest = 2 ** (min(state_bits, 24) - 1) - 1
    integers = {}
    for name, values in state.items():
        k = exponents[layer_number(name)]
        limit = widest if name.endswith("bias") else most
        rounded = [
            clamp(round(float(value) * 2.0**k), -limit, limit)
            for value in np.ravel(values)
        ]
        integers[name] = np.array(rounded).reshape(np.shape(values))
    return integers


def surrogate(name, slope, x):
    """The surrogate derivative at x = v - threshold, from the literature.

    constant      a                                            Bengio et al. 2013
    arctangent    d/dx [atan(pi/2 a x) / pi]                   Fang et al. 2021
    fast_sigmoid  1 / (1 + a |x|)^2                            Zenke and Ganguli 2018
    sigmoid       d/dx [1 / (1 + exp(-a x))]                   Zenke and Vogels 2021
    triangle      a max(0, 1 - |x|)                            Bellec et al. 2018
    boxcar        a on an interval of area 1 around 0, else 0  Wu et al. 2018
    gaussian      normal density of standard deviation 1 / a   Wu et al. 2018
    """
    if name == "constant":
        return slope
    if name == "arctangent":
        inner = math.pi / 2 * slope * x
        return (1 / math.pi) * (math.pi / 2 * slope) / (1 + inner * inner)
    if name == "fast_sigmoid":
        return (1 + slope * abs(x)) ** -2
    if name == "sigmoid":
        tail = math.exp(-slope * abs(x))
        return slope * tail / (1 + tail) ** 2
    if name == "triangle":
        return slope * (1 - abs(x)) if abs(x) < 1 else 0.0
    if name == "boxcar":
        width = 1 / slope
        return slope if -width / 2 < x < width / 2 else 0.0
    if name == "gaussian":
        deviation = 1 / slope
        height = 1 / (deviation * math.sqrt(2 * math.pi))
        return height * math.exp(-0.5 * (x / deviation) ** 2)
    raise ValueError(name)


def scores_of(potentials, emitted, readout):
    """The score of each class, and the step in which a potential is it (or None).

    Of equal potentials the first counts.
    """
    if readout == "spikes":
        return [sum(column) for column in zip(*emitted, strict=True)], None
    by_class = [list(column) for column in zip(*potentials, strict=True)]
    if readout == "potential":
        return [values[-1] for values in by_class], [len(potentials) - 1] * len(
            by_class
        )
    return [max(values) for values in by_class], [
        values.index(max(values)) for values in by_class
    ]


def cross_entropy(counts, label, loss):
    """Loss of one sample, and its derivative by each score, such as an output count.

    logits = scale counts;  p = softmax(logits);  q = (1 - e) onehot + e / O
    L = -sum q log p

    dL/dcounts = scale (p - q)
    """
    logits = [loss.logit_scale * count for count in counts]
    largest = max(logits)
    total = sum(math.exp(logit - largest) for logit in logits)
    value = 0.0
    gradient = []
    for k, logit in enumerate(logits):
        log_p = logit - largest - math.log(total)
        q = loss.smoothing / len(counts)
        q += (1 - loss.smoothing) * (1 if k == label else 0)
        value -= q * log_p
        gradient.append(loss.logit_scale * (math.exp(log_p) - q))
    return value, gradient


def connections_of(state, populations, pruned=False):
    """(sending layer, receiving layer, pairs of source and target) of each connection.

    Layer 0 is the input. The connections are in the order of layers, a recurrent one
    after that from below.
    """
    connections = []
    for layer, population in enumerate(populations, start=1):
        weights, _, own = parameters_of(state, layer, population)
        pairs = [
            (i, j)
            for i, j, place, _ in population.synapses
            if weights[place] or not pruned
        ]
        connections.append((layer - 1, layer, pairs))
        if population.recurrent:
            units = range(population.n)
            back = [(i, j) for i in units for j in units if own[j][i] or not pruned]
            connections.append((layer, layer, back))
    return connections


def fan_outs_of(connections, sizes):
    """(sending layer, synapses of each of its units) of each connection.

    `sizes` are those of all layers, the input first.
    """
    fan_outs = []
    for sender, _, pairs in connections:
        reached = [0] * sizes[sender]
        for source, _ in pairs:
            reached[source] += 1
        fan_outs.append((sender, reached))
    return fan_outs


def penalty(passed, loss):
    """The penalty of one sample, and its derivative by each spike, [layer][unit].

    A layer with S spikes adds w max(0, S - free) / 1000.
    """
    value = 0.0
    costs = []
    for layer, (_, emitted) in enumerate(passed):
        sums = [sum(column) for column in zip(*emitted, strict=True)]
        spike_loss, by_spike = _above(sum(sums), loss.spike_penalty, layer)
        value += spike_loss
        costs.append([by_spike] * len(sums))
    return value, costs


def _above(number, penalty, layer):
    """The loss of a number, and that of one more; both are 0 up to the free number."""
    weight, free = (of_layer(value, layer) for value in penalty)
    by_one = weight / 1000 if number > free else 0.0
    return by_one * (number - free), by_one


class LayerPass(NamedTuple):
    """A layer's constants, and its forward pass on one sample."""

    population: Population
    parameters: Parameters
    threshold: float
    decay: float
    reset: str
    sources: Any  # [T][sources]
    potentials: Any  # [T][neurons]
    spikes: Any  # [T][neurons]
    starts_at_bias: bool = False


def backward(state, passes, model, count_gradient, costs):
    """Gradients of one sample by hand, with detached reset.

    `passes` are the `LayerPass` of each layer, `count_gradient` is dL/dscores [O] and
    `costs` the further cost of each spike, [layer][unit].
    """
    gradients = {}
    from_above = [list(count_gradient) for _ in passes[0].spikes]
    output = passes[-1]
    _, peaks = scores_of(output.potentials, output.spikes, model.neuron.readout)
    for number in range(len(passes), 0, -1):
        layer = passes[number - 1]
        by_spike = [
            [value + cost for value, cost in zip(row, costs[number - 1], strict=True)]
            for row in from_above
        ]
        is_read = peaks is not None and number == len(passes)
        if is_read:
            by_spike = [[0.0] * len(row) for row in by_spike]
            by_potential = read_gradient(layer, count_gradient, peaks)
        else:
            by_potential = potential_gradient(layer, by_spike, model.derivative)
        for name, values in parameter_gradients(layer, by_spike, by_potential).items():
            full = f"layer{number}.{name}"
            if full in state:
                gradients[full] = np.array(values).reshape(np.shape(state[full]))
        threshold_gradient = 0.0
        for t, row in enumerate(layer.potentials):
            for j, v in enumerate(row):
                f = surrogate(*model.derivative, v - layer.threshold)
                threshold_gradient -= by_spike[t][j] * f
        full = f"layer{number}.neurons.log_threshold"
        if full in state:
            gradients[full] = np.array([layer.threshold * threshold_gradient])
            if is_read:
                gradients[full] = np.zeros(1)
        if model.sampling and 1 < number < len(passes):
            stream = model.sampling.sample * len(passes) + number - 1
            by_potential = kept_deltas(by_potential, model.sampling, number, stream)
        from_above = source_gradient(layer, by_potential)
    return gradients


def kept_deltas(deltas, sampling, number, stream):
    """Deltas [T][neurons] of a sample, of which most are replaced by 0.

    d is kept with the probability p = min(1, |d| / scale), and divided by p. Scales are
    those of the mean over a batch. Deltas are numbered by step, and in a step by
    neuron, after which numbers are left out up to a multiple of 16. A random number of
    64 bits serves two deltas, 16 apart: its lower half the first, its upper the second.
    """
    scale = sampling.scales[number - 1] * sampling.n_samples
    start = mix(sampling.key ^ mix((stream + GOLDEN) & MASK))
    stride = -(-len(deltas[0]) // 16) * 16
    kept = []
    for t, row in enumerate(deltas):
        values = []
        for j, delta in enumerate(row):
            pair, within = divmod(t * stride + j, 32)
            number = mix((start + (pair * 16 + within % 16 + 1) * GOLDEN) & MASK)
            half = number >> 32 if within >= 16 else number & (2**32 - 1)
            chance = min(1.0, abs(delta) / scale)
            is_kept = (half >> 1) / 2**31 < chance
            values.append(delta / chance if is_kept else 0.0)
        kept.append(values)
    return kept


def potential_gradient(layer, by_spike, derivative):
    """dL/dv [T][neurons]; adds the recurrent part to dL/ds, `by_spike`.

    dL/ds[t] += sum_j r[j] dL/dv[t+1][j]
    dL/dv[t] = dL/ds[t] f(v[t] - threshold) + k dL/dv[t+1]
    k = decay (1 - s[t])  (reset ``zero``), or decay  (reset ``subtract``)
    """
    n = layer.population.n
    gradient = [[0.0] * n for _ in by_spike]
    later = [0.0] * n
    for t in range(len(by_spike) - 1, -1, -1):
        if layer.population.recurrent:
            for i in range(n):
                for j in range(n):
                    by_spike[t][i] += layer.parameters.own[j][i] * later[j]
        for j in range(n):
            f = surrogate(*derivative, layer.potentials[t][j] - layer.threshold)
            is_kept = layer.reset == "subtract" or not layer.spikes[t][j]
            k = layer.decay if is_kept else 0.0
            gradient[t][j] = by_spike[t][j] * f + k * later[j]
        later = gradient[t]
    return gradient


def read_gradient(layer, score_gradient, peaks):
    """dL/dv [T][neurons] of an output that never fires.

    dL/dv[t] = g where the score was read in step t, plus decay dL/dv[t+1]
    """
    gradient = [[0.0] * layer.population.n for _ in layer.potentials]
    for j, peak in enumerate(peaks):
        for t in range(peak + 1):
            gradient[t][j] = score_gradient[j] * layer.decay ** (peak - t)
    return gradient


def parameter_gradients(layer, by_spike, by_potential):
    """Gradients of a layer's weights, biases and decay, by name.

    dL/dw[j][i] = sum_t dL/dv[t][j] s_in[t][i];  dL/db[j] = sum_t dL/dv[t][j], or
    decay dL/dv[0][j] of an initial potential u[-1][j] = b[j]
    dL/dr[j][i] = sum_t dL/dv[t][j] s[t-1][i]
    dL/dlogit = decay (1 - decay) sum_tj dL/dv[t][j] u[t-1][j]
    """
    population = layer.population
    units = range(population.n)
    weights = [0.0] * len(layer.parameters.weights)
    biases = [0.0] * (1 + max(population.biases))
    own = [[0.0] * population.n for _ in units]
    by_decay = 0.0
    for t, gradient in enumerate(by_potential):
        for source, target, place, factor in population.synapses:
            weights[place] += gradient[target] * factor * layer.sources[t][source]
        for j in units:
            if not layer.starts_at_bias:
                biases[population.biases[j]] += gradient[j]
            if t == 0:
                if layer.starts_at_bias:
                    biases[population.biases[j]] += layer.decay * gradient[j]
                    by_decay += gradient[j] * layer.parameters.biases[j]
                continue
            fired = layer.spikes[t - 1][j]
            v = layer.potentials[t - 1][j]
            by_decay += gradient[j] * after_reset(
                v, fired, layer.threshold, layer.reset
            )
            if population.recurrent:
                for i in units:
                    own[j][i] += gradient[j] * layer.spikes[t - 1][i]
    return {
        "synapses.weight": weights,
        "synapses.bias": biases,
        "recurrent.weight": own,
        "neurons.decay_logit": layer.decay * (1 - layer.decay) * by_decay,
    }


def source_gradient(layer, by_potential):
    """dL/ds_in[t][i] = sum_j dL/dv[t][j] w[j][i]."""
    below = []
    for gradient in by_potential:
        row = [0.0] * len(layer.sources[0])
        for source, target, place, factor in layer.population.synapses:
            row[source] += gradient[target] * factor * layer.parameters.weights[place]
        below.append(row)
    return below


class Batch(NamedTuple):
    """The results of a batch.

    Mean loss, correct samples, spikes of each layer (the input first), gradients of
    the mean loss, spikes [B, T, neurons] of each layer after the input, synaptic events
    of each connection, its synapses that a sample's spikes reach, each once, and the
    potentials of the output [B, T, neurons].
    """

    loss: float
    correct: int
    totals: tuple[int, ...]
    gradients: dict[str, Any]
    spikes: list[Any]
    events: tuple[int, ...]
    touched: tuple[int, ...]
    potentials: Any


def batch_gradient(state, dense, labels, model):
    """A batch [B, T, I]: L = sum over the samples of L_n / B.

    A sample is correct if the first of the largest output counts is its label's.
    """
    model = _complete(model, state)
    samples = np.asarray(dense).tolist()
    passed = [
        forward(state, sample, model.neuron, model.populations) for sample in samples
    ]
    return _batch(state, samples, labels, passed, model)


def _complete(model, state):
    """The model with its populations."""
    populations = model.populations or populations_of(state)
    return model._replace(neuron=Neuron(*model.neuron), populations=populations)


def _batch(state, samples, labels, passed, model):
    """The results of a batch whose forward passes are known."""
    populations = model.populations
    sizes = [len(samples[0][0]), *(population.n for population in populations)]
    connections = connections_of(state, populations, model.pruned)
    fan_outs = fan_outs_of(connections, sizes)
    loss = 0.0
    correct = 0
    events = [0] * len(fan_outs)
    touched = [0] * len(connections)
    gradients = {name: np.zeros(np.shape(value)) for name, value in state.items()}
    for number, (sample, layers) in enumerate(zip(samples, passed, strict=True)):
        label = labels[number]
        trains = [sample, *(emitted for _, emitted in layers)]
        counts = [
            [sum(column) for column in zip(*rows, strict=True)] for rows in trains
        ]
        for k, (sender, reached) in enumerate(fan_outs):
            for count, fan_out in zip(counts[sender], reached, strict=True):
                events[k] += count * fan_out
        for k, (sender, _, pairs) in enumerate(connections):
            for source, _ in pairs:
                touched[k] += any(step[source] for step in trains[sender])
        scores, _ = scores_of(*layers[-1], model.neuron.readout)
        sample_loss, count_gradient = cross_entropy(scores, label, model.loss)
        penalty_loss, costs = penalty(layers, model.loss)
        loss += (sample_loss + penalty_loss) / len(labels)
        correct += scores.index(max(scores)) == label
        passes = []
        for layer, (potentials, emitted) in enumerate(layers):
            parameters = parameters_of(state, layer + 1, populations[layer])
            constants = constants_of(state, layer, model.neuron)
            passes.append(
                LayerPass(
                    populations[layer],
                    parameters,
                    *constants,
                    model.neuron.reset,
                    trains[layer],
                    potentials,
                    emitted,
                    model.neuron.starts_at_bias,
                )
            )
        if model.sampling:
            sampling = model.sampling._replace(sample=number, n_samples=len(labels))
            model = model._replace(sampling=sampling)
        for name, gradient in backward(
            state, passes, model, count_gradient, costs
        ).items():
            gradients[name] += gradient / len(labels)
    spikes = _spikes(passed)
    totals = (int(np.sum(samples)), *(int(layer.sum()) for layer in spikes))
    potentials = np.array([layers[-1][0] for layers in passed])
    return Batch(
        loss,
        correct,
        totals,
        gradients,
        spikes,
        tuple(events),
        tuple(touched),
        potentials,
    )


def gradients_reached(network, currents_or_spikes, spikes):
    """Gradients of each weight matrix that the event engine's optimizer reads.

    In fully connected networks it skips those of units without a spike or current in
    the batch. The first two are [B, ..., I] and, by layer, [B, T, neurons].
    """
    if not network.is_plain:
        return tuple(node.stored() for node in network.connections)
    senders = [np.asarray(values) for values in (currents_or_spikes, *spikes[:-1])]
    is_used = [values.reshape(-1, values.shape[-1]).any(axis=0) for values in senders]
    return tuple(
        int(used.sum()) * node.n_out
        for used, node in zip(is_used, network.connections, strict=True)
    )


def integer_batch_gradient(state, dense, labels, model, grids):
    """The results of a batch for an integer network.

    The forward pass is that of the integers. The gradient ignores rounding and
    saturation: the backward pass is that of the numbers that the integers represent.
    The neuron's threshold and decay have one value per layer.
    """
    exponents, weight_bits, state_bits = grids
    thresholds, decays, reset, readout, starts_at_bias = model.neuron
    integers = quantise(state, exponents, weight_bits, state_bits)
    units = [2.0**-k for k in exponents]
    on_grid = [
        round(threshold / unit)
        for threshold, unit in zip(thresholds, units, strict=True)
    ]
    floats = {
        name: values * units[layer_number(name)] for name, values in integers.items()
    }
    neuron = Neuron(
        [threshold * unit for threshold, unit in zip(on_grid, units, strict=True)],
        [round(256 * decay) / 256 for decay in decays],
        reset,
        readout,
        starts_at_bias,
    )
    model = _complete(model._replace(neuron=neuron), state)
    samples = dense.tolist()
    passed = []
    for sample in samples:
        layers = forward(
            integers,
            sample,
            (on_grid, decays, reset, readout, starts_at_bias),
            model.populations,
            state_bits,
        )
        passed.append(
            [
                ((np.array(potentials) * unit).tolist(), emitted)
                for (potentials, emitted), unit in zip(layers, units, strict=True)
            ]
        )
    return _batch(floats, samples, labels, passed, model)


def poisson(probabilities, n_steps, key, sample):
    """Dense spikes [T, P] of one image: geometric gaps from the stream of its key.

    Pixels take numbers from the last to the first; those of probability 0 take none. A
    number E = -log(u) is a gap of floor(E / -log(1 - p)) steps without a spike; the gap
    that leaves the window ends the pixel.
    """
    state = mix(key ^ mix((sample + GOLDEN) & MASK))
    dense = np.zeros((n_steps, len(probabilities)), dtype=np.uint8)
    for pixel in range(len(probabilities) - 1, -1, -1):
        p = probabilities[pixel]
        step = 0
        while p > 0 and step < n_steps:
            state = (state + GOLDEN) & MASK
            number = -math.log(((mix(state) >> 11) + 1) / 2**53)
            step += math.floor(number / -math.log1p(-p)) if p < 1 else 0
            if step < n_steps:
                dense[step, pixel] = 1
            step += 1
    return dense


def latency(intensities, n_steps, threshold, curve):
    """Dense spikes [T, P] of one image: one spike per pixel above the threshold."""
    dense = np.zeros((n_steps, len(intensities)), dtype=np.uint8)
    last = n_steps - 1
    for pixel, x in enumerate(intensities):
        if x <= threshold:
            continue
        time = last * (1 - x)
        if curve == "logarithmic":
            # From T = 701 on, 1 + (e^(T - 1) - 1) x is e^(T - 1) x to the last digit.
            power = last + math.log(x)
            if last < 700:
                power = math.log(1 + math.expm1(last) * x)
            time = last - power
        dense[round(time), pixel] = 1
    return dense


def binary(intensities, n_steps, threshold):
    """Dense spikes [T, P] of one image: pixels above the threshold, in step 0."""
    dense = np.zeros((n_steps, len(intensities)), dtype=np.uint8)
    for pixel, x in enumerate(intensities):
        if x > threshold:
            dense[0, pixel] = 1
    return dense


def regular(intensities, n_steps, max_rate_hz):
    """Dense spikes [T, P] of one image: each pixel's accumulator overflows at 2^32."""
    dense = np.zeros((n_steps, len(intensities)), dtype=np.uint8)
    for pixel, x in enumerate(intensities):
        accumulator = pixel * (GOLDEN >> 32) % 2**32
        for step in range(n_steps):
            accumulator += round(x * (max_rate_hz / 1000) * 2**32)
            if accumulator >= 2**32:
                accumulator -= 2**32
                dense[step, pixel] = 1
    return dense


def mix(z):
    """SplitMix64's output function on 64-bit integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def affine_warp(image, shift, rotation, size, shear):
    """An image [height][width] sheared, rotated, resized about its centre, and moved.

    A pixel (r, q) relative to the centre goes to  size R S (r, q) + shift  with
    S = [[1, 0], [tan shear, 1]] and R = [[cos, -sin], [sin, cos]]; angles in radians.
    Each output pixel is the bilinear interpolation at its origin, black outside.
    """
    height, width = np.shape(image)
    rotate = np.array(
        [
            [math.cos(rotation), -math.sin(rotation)],
            [math.sin(rotation), math.cos(rotation)],
        ]
    )
    slant = np.array([[1.0, 0.0], [math.tan(shear), 1.0]])
    back = np.linalg.inv(size * rotate @ slant)
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    warped = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            origin = back @ (np.array([row, column]) - shift - centre) + centre
            for i in range(height):
                for j in range(width):
                    weight_row = max(0.0, 1 - abs(origin[0] - i))
                    weight_column = max(0.0, 1 - abs(origin[1] - j))
                    warped[row, column] += weight_row * weight_column * image[i][j]
    return warped


def lazy_updates(layers, connections, bias=True):
    """Neuron updates of event-driven hardware, [N][layer after the input].

    A neuron is updated in a step if there is a bias, if a source with a synapse to it
    fired (in its own layer: in the previous step), or if it fires itself. `layers` are
    the spikes [N, T, units] of all layers, the input first.
    """
    counted = []
    for n in range(len(layers[0])):
        counts = [0] * (len(layers) - 1)
        for t in range(len(layers[0][n])):
            for layer in range(1, len(layers)):
                busy = {
                    j for j, fired in enumerate(layers[layer][n][t]) if fired or bias
                }
                for sender, target, pairs in connections:
                    when = t - (sender == target)
                    if target == layer and when >= 0:
                        busy |= {j for i, j in pairs if layers[sender][n][when][i]}
                counts[layer - 1] += len(busy)
        counted.append(counts)
    return counted
