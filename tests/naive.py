"""Slow, obvious oracles: every equation of the project again, as plain loops.

Nothing here comes from spikejoule, so that the project and these loops can only agree
by both being right. Shapes: T steps, B batch, I/H/O layer sizes, P pixels. Weights are
[target, source]; a state is a dict of ``layer1.synapses.weight``,
``layer1.synapses.bias``, ``layer2...``; without the biases, these are 0. Threshold and
decay are numbers, or lists of one a layer; what a state has learned
(``layer1.neurons.decay_logit``, ``layer1.neurons.log_threshold``) counts instead. The
layers are fully connected, by the shapes of their weights, unless `populations` of
:func:`chain` say otherwise.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def chain(shape, layers):
    """What connects the populations of a chain of layers, synapse by synapse.

    `shape` of the input is (n,) or (C, H, W), counted in C order; `layers` are
    ("dense", neurons, recurrent), ("convolution", channels, kernel, stride, padding,
    groups) and ("pooling", side, average). Of each population: its number of neurons,
    the place of each one's bias, its synapses (source, target, place of the weight in
    the flat array, factor), and whether it is recurrent.
    """
    populations, members = [], None
    for kind, *numbers in layers:
        if kind == "pooling":
            side, average = numbers
            channels, height, width = shape
            shape = (channels, height // side, width // side)
            members = [
                [
                    (
                        (c * height + y * side + dy) * width + x * side + dx,
                        1 / side**2 if average else 1.0,
                    )
                    for dy in range(side)
                    for dx in range(side)
                ]
                for c, y, x in np.ndindex(*shape)
            ]
            continue
        recurrent = False
        if kind == "dense":
            (n, recurrent), n_sources = numbers, math.prod(shape)
            pairs = [
                (i, j, j * n_sources + i) for j in range(n) for i in range(n_sources)
            ]
            shape, biases = (n,), list(range(n))
        else:
            channels, kernel, stride, padding, groups = numbers
            below, height, width = shape
            rows, columns = (
                (size + 2 * padding - kernel) // stride + 1 for size in (height, width)
            )
            shape, per_group, pairs = (channels, rows, columns), below // groups, []
            biases = [c for c, _, _ in np.ndindex(*shape)]
            for c, y, x, i, p, q in np.ndindex(*shape, per_group, kernel, kernel):
                row, column = y * stride + p - padding, x * stride + q - padding
                if 0 <= row < height and 0 <= column < width:
                    channel = c // (channels // groups) * per_group + i
                    source = (channel * height + row) * width + column
                    target = (c * rows + y) * columns + x
                    place = ((c * per_group + i) * kernel + p) * kernel + q
                    pairs.append((source, target, place))
        synapses = [
            (unit, target, place, factor)
            for source, target, place in pairs
            for unit, factor in (
                [(source, 1.0)] if members is None else members[source]
            )
        ]
        populations.append((math.prod(shape), biases, synapses, recurrent))
        members = None
    return populations


def populations_of(state):
    """Of a network of fully connected layers."""
    weights = [
        values for name, values in state.items() if name.endswith("synapses.weight")
    ]
    return _fully_connected(tuple(np.shape(values) for values in weights))


@cache
def _fully_connected(shapes):
    return chain((shapes[0][1],), [("dense", n, False) for n, _ in shapes])


def parameters_of(state, number, population):
    """(flat weights, bias of each neuron, recurrent weights [target][source]) of a
    layer from 1.
    """
    n, places, _, recurrent = population
    weights = (
        np.asarray(state[f"layer{number}.synapses.weight"], np.float64).ravel().tolist()
    )
    biases = state.get(f"layer{number}.synapses.bias", np.zeros(n))
    own = state[f"layer{number}.recurrent.weight"] if recurrent else np.zeros((n, n))
    return weights, [float(biases[place]) for place in places], np.asarray(own).tolist()


def of_layer(value, layer):
    """The value of one layer, from 0, of a number for all or of a list of one a
    layer.
    """
    return value[layer] if isinstance(value, list | tuple) else value


def constants_of(state, layer, threshold, decay):
    """(threshold, decay) of one layer, from 0: exp(log), 1 / (1 + exp(-logit)) where
    learned.
    """
    log_threshold = state.get(f"layer{layer + 1}.neurons.log_threshold")
    logit = state.get(f"layer{layer + 1}.neurons.decay_logit")
    return (
        of_layer(threshold, layer)
        if log_threshold is None
        else math.exp(log_threshold[0]),
        of_layer(decay, layer) if logit is None else 1 / (1 + math.exp(-logit[0])),
    )


def add_arriving(potentials, population, weights, own, step, before):
    """Add what reaches each neuron in a step: from the layer below, and, through a
    layer's own weights, from its spikes of the step before (None: there was none)."""
    n, _, synapses, recurrent = population
    for source, target, place, factor in synapses:
        if step[source]:
            potentials[target] += weights[place] * factor * step[source]
    if recurrent and before is not None:
        for i in range(n):
            for j in range(n):
                potentials[j] += own[j][i] * before[i]


def forward(state, spikes, threshold, decay, reset="zero", populations=None):
    """One sample [T][I] through every layer: a list of (potentials, spikes),
    [T][neurons] each.

    An input may give numbers in place of spikes.

    v[t] = decay u[t-1] + b + sum of w s_in[t] + sum of r s[t-1];  s[t] = (v[t] >=
    threshold); u[t] = 0 where s[t], else v[t]  (``reset="subtract"``: u[t] = v[t] -
    threshold where s[t]).
    """
    passed = []
    for layer, population in enumerate(populations or populations_of(state)):
        weights, biases, own = parameters_of(state, layer + 1, population)
        limit, keep = constants_of(state, layer, threshold, decay)
        potentials, emitted, kept = [], [], [0.0] * len(biases)
        for step in spikes:
            v = [keep * u + bias for u, bias in zip(kept, biases, strict=True)]
            before = emitted[-1] if emitted else None
            add_arriving(v, population, weights, own, step, before)
            fired = [1 if of >= limit else 0 for of in v]
            after = [of - limit if reset == "subtract" else 0.0 for of in v]
            kept = [after[j] if fired[j] else v[j] for j in range(len(v))]
            potentials.append(v)
            emitted.append(fired)
        passed.append((potentials, emitted))
        spikes = emitted
    return passed


def run(state, dense, threshold, decay, reset="zero"):
    """Samples [N, T, I] through every layer: a list of spikes [N, T, units], one a
    layer.
    """
    samples = [forward(state, sample, threshold, decay, reset) for sample in dense]
    return [
        np.array([emitted for _, emitted in layer])
        for layer in zip(*samples, strict=True)
    ]


def grid_of(weights, weight_bits, state_bits, threshold):
    """k of a layer's grid 2^-k: the least squared error, of equals the smallest k.

    Candidates are the largest k at which no weight saturates and the four above it, as
    far as the threshold on the grid is at least 1 and below a quarter of the range of
    the potential.
    """
    most = 2 ** (weight_bits - 1) - 1
    values = [float(w) for w in np.ravel(weights)]
    allowed = [
        k
        for k in range(-150, 151)
        if 1 <= threshold * 2.0**k < 2 ** (min(state_bits, 24) - 2)
    ]
    fitting = [
        k for k in allowed if all(abs(round(w * 2.0**k)) <= most for w in values)
    ]
    first = max(fitting, default=allowed[0])
    best, least = None, math.inf
    for k in range(first, first + 5):
        if k in allowed:
            error = sum(
                (w - clamp(round(w * 2.0**k), -most, most) / 2.0**k) ** 2
                for w in values
            )
            if error < least:
                best, least = k, error
    return best


def clamp(value, lowest, highest):
    """The number of the range that is nearest to a value."""
    return min(max(value, lowest), highest)


def layer_number(name):
    """From 0, of a parameter."""
    return int(name.partition(".")[0].removeprefix("layer")) - 1


def quantise(state, exponents, weight_bits, state_bits):
    """A state of integers: in units of a layer's 2^-k, rounded, within the bits of what
    it is.
    """
    most, widest = 2 ** (weight_bits - 1) - 1, 2 ** (min(state_bits, 24) - 1) - 1
    integers = {}
    for name, values in state.items():
        k, limit = (
            exponents[layer_number(name)],
            widest if name.endswith("bias") else most,
        )
        rounded = [
            clamp(round(float(of) * 2.0**k), -limit, limit) for of in np.ravel(values)
        ]
        integers[name] = np.array(rounded).reshape(np.shape(values))
    return integers


def integer_forward(integers, spikes, constants, state_bits, populations=None):
    """One sample through layers of integers, those of :func:`quantise`; as
    :func:`forward`.

    `constants` are (thresholds on the grid, decays, reset), with a value a layer.

    v[t] = floor(m u[t-1] / 256) + b + what arrives, m = round(256 decay);
    s[t] = (v[t] >= threshold);  u[t] as of :func:`forward`, saturated.
    """
    thresholds, decays, reset = constants
    lowest, highest = -(2 ** (state_bits - 1)), 2 ** (state_bits - 1) - 1
    passed = []
    for layer, population in enumerate(populations or populations_of(integers)):
        weights, biases, own = parameters_of(integers, layer + 1, population)
        limit, m = thresholds[layer], round(256 * decays[layer])
        potentials, emitted, kept = [], [], [0] * len(biases)
        for step in spikes:
            v = [
                math.floor(m * u / 256) + bias
                for u, bias in zip(kept, biases, strict=True)
            ]
            before = emitted[-1] if emitted else None
            add_arriving(v, population, weights, own, step, before)
            fired = [1 if of >= limit else 0 for of in v]
            after = [of - limit if reset == "subtract" else 0 for of in v]
            kept = [
                clamp(after[j] if fired[j] else v[j], lowest, highest)
                for j in range(len(v))
            ]
            potentials.append(v)
            emitted.append(fired)
        passed.append((potentials, emitted))
        spikes = emitted
    return passed


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
        return math.exp(-0.5 * (x / deviation) ** 2) / (
            deviation * math.sqrt(2 * math.pi)
        )
    raise ValueError(name)


def cross_entropy(counts, label, logit_scale=1.0, smoothing=0.0, taught=(0.0, None)):
    """Loss of one sample and its derivative by each count.

    logits = scale counts;  p = softmax(logits);  q = (1 - e) onehot + e / O, of which a
    share d is replaced by a teacher's probabilities (`taught` is d and they) L = -sum q
    log p;  dL/dcounts = scale (p - q)
    """
    share, teacher = taught
    logits = [logit_scale * count for count in counts]
    largest = max(logits)
    total = sum(math.exp(logit - largest) for logit in logits)
    loss, gradient = 0.0, []
    for k, logit in enumerate(logits):
        log_p = logit - largest - math.log(total)
        q = smoothing / len(counts) + (1 - smoothing) * (1 if k == label else 0)
        q = (1 - share) * q + (share * teacher[k] if share else 0)
        loss -= q * log_p
        gradient.append(logit_scale * (math.exp(log_p) - q))
    return loss, gradient


def connections_of(state, populations, pruned=False):
    """(sending layer, 0 the input; receiving layer; pairs of source and target) of each
    connection.

    They are in the order of layers, a recurrent one behind its layer's; a weight of
    zero is no synapse of a pruned network.
    """
    found = []
    for layer, population in enumerate(populations, start=1):
        n, _, synapses, recurrent = population
        weights, _, own = parameters_of(state, layer, population)
        kept = [(i, j) for i, j, place, _ in synapses if weights[place] or not pruned]
        found.append((layer - 1, layer, kept))
        if recurrent:
            back = [
                (i, j) for i in range(n) for j in range(n) if own[j][i] or not pruned
            ]
            found.append((layer, layer, back))
    return found


def fan_outs_of(connections, sizes):
    """(sending layer, synapses of each of its units) of each connection; `sizes` of all
    layers.
    """
    found = []
    for sender, _, pairs in connections:
        reached = [0] * sizes[sender]
        for source, _ in pairs:
            reached[source] += 1
        found.append((sender, reached))
    return found


def penalty(passed, fan_outs, spike, event):
    """What one sample's spikes cost beside: (loss, its derivative by a spike of
    [layer][unit]).

    `spike` and `event` are (weight of 1,000, free number), each a number or a list of
    one a layer. For the S spikes of a layer, which reach E synapses (the output's
    none), L = w_s max(0, S - free_s) / 1000 + w_e max(0, E - free_e) / 1000
    """
    loss, costs = 0.0, []
    for layer, (_, emitted) in enumerate(passed):
        sums = [sum(column) for column in zip(*emitted, strict=True)]
        into = [reached for sender, reached in fan_outs if sender == layer + 1]
        fan_out = [sum(of[unit] for of in into) for unit in range(len(sums))]
        n_spikes = sum(sums)
        n_events = sum(n * reached for n, reached in zip(sums, fan_out, strict=True))
        by_spike = by_event = 0.0
        weight, free = (of_layer(value, layer) for value in spike)
        if n_spikes > free:
            by_spike = weight / 1000
            loss += by_spike * (n_spikes - free)
        if into:
            weight, free = (of_layer(value, layer) for value in event)
            if n_events > free:
                by_event = weight / 1000
                loss += by_event * (n_events - free)
        costs.append([by_spike + by_event * reached for reached in fan_out])
    return loss, costs


def backward(
    state, spikes, passed, count_gradient, neuron, derivative, costs, populations
):
    """Gradients of one sample by hand, from dL/dcounts [O] and from what each spike
    costs beside (`costs` [layer][unit]); reset detached.

    dL/dv[t] = dL/ds[t] f(v[t] - threshold) + decay (1 - s[t]) dL/dv[t+1]
    (``reset="subtract"``: dL/dv[t] = dL/ds[t] f(v[t] - threshold) + decay dL/dv[t+1])
    dL/dw[j][i] = sum_t dL/dv[t][j] s_in[t][i];  dL/db[j] = sum_t dL/dv[t][j]
    dL/ds_in[t][i] = sum_j dL/dv[t][j] w[j][i], and of recurrent weights sum_j r[j][i]
    dL/dv[t+1][j] dL/dr[j][i] = sum_t dL/dv[t][j] s[t-1][i] dL/ddecay = sum_tj
    dL/dv[t][j] u[t-1][j];  dL/dlogit = decay (1 - decay) dL/ddecay dL/dthreshold =
    -sum_tj dL/ds[t][j] f(v[t][j] - threshold);  dL/dlog = threshold dL/dthreshold
    """
    thresholds, decays, reset = neuron
    n_steps, gradients = len(spikes), {}
    spike_gradient = [list(count_gradient) for _ in range(n_steps)]
    for layer in range(len(populations) - 1, -1, -1):
        n, places, synapses, recurrent = populations[layer]
        weights, _, own = parameters_of(state, layer + 1, populations[layer])
        potentials, emitted = passed[layer]
        limit, keep = constants_of(state, layer, thresholds, decays)
        source_spikes = passed[layer - 1][1] if layer else spikes
        below = [[0.0] * len(source_spikes[0]) for _ in range(n_steps)]
        of_weights, of_own = [0.0] * len(weights), [[0.0] * n for _ in range(n)]
        of_biases, later = [0.0] * (1 + max(places)), [0.0] * n
        by_threshold = by_decay = 0.0
        for t in range(n_steps - 1, -1, -1):
            by_spike = [spike_gradient[t][i] + costs[layer][i] for i in range(n)]
            for i in range(n if recurrent else 0):
                by_spike[i] += sum(own[j][i] * later[j] for j in range(n))
            for j in range(n):
                f = derivative(potentials[t][j] - limit)
                kept = 1 - emitted[t][j] if reset == "zero" else 1
                later[j] = by_spike[j] * f + keep * kept * later[j]
                of_biases[places[j]] += later[j]
                by_threshold -= by_spike[j] * f
                if t > 0:
                    after_reset = potentials[t - 1][j]
                    if emitted[t - 1][j]:
                        after_reset = 0.0 if reset == "zero" else after_reset - limit
                    by_decay += later[j] * after_reset
                    for i in range(n if recurrent else 0):
                        of_own[j][i] += later[j] * emitted[t - 1][i]
            for source, target, place, factor in synapses:
                of_weights[place] += later[target] * factor * source_spikes[t][source]
                below[t][source] += later[target] * factor * weights[place]
        found = {
            "synapses.weight": of_weights,
            "synapses.bias": of_biases,
            "recurrent.weight": of_own,
            "neurons.decay_logit": keep * (1 - keep) * by_decay,
            "neurons.log_threshold": limit * by_threshold,
        }
        for name, values in found.items():
            full = f"layer{layer + 1}.{name}"
            if full in state:
                gradients[full] = np.array(values).reshape(np.shape(state[full]))
        spike_gradient = below
    return gradients


class Batch(NamedTuple):
    """Mean loss, correct samples, spikes of each layer (the input first), gradients of
    the mean loss, spikes [B, T, neurons] of each layer after the input, synaptic events
    of each connection.
    """

    loss: float
    correct: int
    totals: tuple[int, ...]
    gradients: dict[str, Any]
    spikes: list[Any]
    events: tuple[int, ...]


def batch_gradient(
    state,
    dense,
    labels,
    neuron,
    derivative,
    logit_scale=1.0,
    smoothing=0.0,
    taught=(0.0, None),
    penalties=((0.0, 0.0), (0.0, 0.0)),
    pruned=False,
    passed=None,
    populations=None,
):
    """A batch [B, T, I].

    `neuron` is (threshold, decay) or (threshold, decay, reset), `derivative` is (name
    of the surrogate, slope), `taught` is (share, probabilities [B][O]), `penalties` are
    those of spikes and events, as for `penalty`; `passed` is what `forward` gives for
    each sample, if it is known. L = sum over the samples of L_n / B;  correct where the
    first largest count is the label's.
    """
    neuron, populations = (*neuron, "zero")[:3], populations or populations_of(state)
    samples = np.asarray(dense).tolist()
    sizes = [len(samples[0][0]), *(n for n, *_ in populations)]
    fan_outs = fan_outs_of(connections_of(state, populations, pruned), sizes)
    if passed is None:
        passed = [forward(state, sample, *neuron, populations) for sample in samples]
    loss, correct, events = 0.0, 0, [0] * len(fan_outs)
    gradients = {key: np.zeros(np.shape(value)) for key, value in state.items()}
    for n, (sample, layers, label) in enumerate(
        zip(samples, passed, labels, strict=True)
    ):
        sums = [
            [sum(column) for column in zip(*layer, strict=True)]
            for layer in (sample, *(emitted for _, emitted in layers))
        ]
        for k, (sender, reached) in enumerate(fan_outs):
            events[k] += sum(
                n * of for n, of in zip(sums[sender], reached, strict=True)
            )
        of_teacher = (taught[0], taught[1][n]) if taught[0] else (0.0, None)
        sample_loss, count_gradient = cross_entropy(
            sums[-1], label, logit_scale, smoothing, of_teacher
        )
        penalty_loss, costs = penalty(layers, fan_outs, *penalties)
        loss += (sample_loss + penalty_loss) / len(labels)
        correct += sums[-1].index(max(sums[-1])) == label
        of_sample = backward(
            state,
            sample,
            layers,
            count_gradient,
            neuron,
            lambda x: surrogate(*derivative, x),
            costs,
            populations,
        )
        for key, gradient in of_sample.items():
            gradients[key] += gradient / len(labels)
    spikes = [
        np.array([emitted for _, emitted in layer])
        for layer in zip(*passed, strict=True)
    ]
    totals = (int(np.asarray(dense).sum()), *(int(layer.sum()) for layer in spikes))
    return Batch(loss, correct, totals, gradients, spikes, tuple(events))


def integer_batch_gradient(
    state, exponents, bits, neuron, dense, labels, derivative, loss, populations=None
):
    """What `batch_gradient` gives, of a network of integers.

    The forward pass is that of the integers, and the gradient goes through rounding and
    saturation as if they were not there: the backward pass is that of the numbers that
    the integers stand for. `bits` are those of weights and potential, `neuron` is
    (thresholds, decays, reset) with a value a layer, `loss` is (logit_scale,
    smoothing).
    """
    thresholds, decays, reset = neuron
    integers, units = quantise(state, exponents, *bits), [2.0**-k for k in exponents]
    on_grid = [
        round(limit / unit) for limit, unit in zip(thresholds, units, strict=True)
    ]
    floats = {name: of * units[layer_number(name)] for name, of in integers.items()}
    constants = (
        [limit * unit for limit, unit in zip(on_grid, units, strict=True)],
        [round(256 * decay) / 256 for decay in decays],
        reset,
    )
    passed = []
    for sample in dense.tolist():
        run = integer_forward(
            integers, sample, (on_grid, decays, reset), bits[1], populations
        )
        passed.append(
            [
                ((np.array(potentials) * unit).tolist(), emitted)
                for (potentials, emitted), unit in zip(run, units, strict=True)
            ]
        )
    return batch_gradient(
        floats,
        dense,
        labels,
        constants,
        derivative,
        *loss,
        passed=passed,
        populations=populations,
    )


def poisson(probabilities, n_steps, key, sample):
    """Dense spikes [T, P] of one image: geometric gaps from the stream of (key,
    sample).

    Pixels take their numbers from the last to the first, one after the other; those of
    probability 0 take none. A number E = -log(u) is a gap of floor(E / -log(1 - p))
    steps without a spike; the gap that leaves the window ends the pixel.
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
    """Dense spikes [T, P] of one image: one spike a pixel above the threshold."""
    dense = np.zeros((n_steps, len(intensities)), dtype=np.uint8)
    last = n_steps - 1
    for pixel, x in enumerate(intensities):
        if x <= threshold:
            continue
        time = last * (1 - x)
        if curve == "logarithmic":
            # From T = 701 on, 1 + (e^(T - 1) - 1) x  is  e^(T - 1) x  to the last
            # digit.
            power = (
                math.log(1 + math.expm1(last) * x) if last < 700 else last + math.log(x)
            )
            time = last - power
        dense[round(time), pixel] = 1
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


def event_list(dense):
    """(sources, offsets) of dense spikes [N, T, units]: rows by sample, then by
    step.
    """
    sources, offsets = [], [0]
    for sample in dense:
        for step in sample:
            for unit, spike in enumerate(step):
                if spike:
                    sources.append(unit)
            offsets.append(len(sources))
    return sources, offsets


def count(dense):
    """Spikes of one layer [N, T, units]: by sample [N], by step [T], by unit, by
    (sample, unit).
    """
    n_samples, n_steps, n_units = np.shape(dense)
    by_sample, by_step, by_unit = [0] * n_samples, [0] * n_steps, [0] * n_units
    by_sample_and_unit = [[0] * n_units for _ in range(n_samples)]
    for n in range(n_samples):
        for t in range(n_steps):
            for unit in range(n_units):
                spike = int(dense[n][t][unit])
                by_sample[n] += spike
                by_step[t] += spike
                by_unit[unit] += spike
                by_sample_and_unit[n][unit] += spike
    return by_sample, by_step, by_unit, by_sample_and_unit


def splitmix64(state, n):
    """The n outputs of SplitMix64 that follow a state (Steele, Lea and Flood, OOPSLA
    2014).
    """
    outputs = []
    for _ in range(n):
        state = (state + GOLDEN) & MASK
        outputs.append(mix(state))
    return outputs


def mix(z):
    """SplitMix64's output function on 64-bit integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def affine_warp(image, down, right, rotation, size, shear):
    """An image [height][width] sheared, rotated, resized about its centre, and moved.

    A pixel (r, q) relative to the centre goes to  size R S (r, q) + (down, right)  with
    S = [[1, 0], [tan shear, 1]] and R = [[cos, -sin], [sin, cos]]; angles in radians.
    Each output pixel takes the bilinear interpolation at its origin, black outside,
    rounded half up.
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
            origin = back @ (np.array([row - down, column - right]) - centre) + centre
            for i in range(height):
                for j in range(width):
                    weight = max(0.0, 1 - abs(origin[0] - i)) * max(
                        0.0, 1 - abs(origin[1] - j)
                    )
                    warped[row, column] += weight * image[i][j]
    return warped


def input_macs(images, weights, n_steps, pruned=False):
    """Products of the first layer of each image [N][P] in a window: a list of N.

    In each step, of every pixel that is not black with each of its synapses; a synapse
    of weight zero is none in a pruned network. `weights` [target][source].
    """
    counted = []
    for image in images:
        count = 0
        for _ in range(n_steps):
            for row in weights:
                for x, weight in zip(image, row, strict=True):
                    count += 1 if x and not (pruned and weight == 0) else 0
        counted.append(count)
    return counted


def lazy_updates(layers, connections, bias=True):
    """[N][layer after the input]: (neuron, step) pairs with something to do in that
    step.

    A neuron has if there is a bias, if a source fired that has a synapse to it (of its
    own layer, in the step before), or if it fires itself. Spikes [N, T, units] of all
    layers, the input first.
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
