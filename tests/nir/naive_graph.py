"""NIR graphs as plain loops: every node by its definition, one number at a time.

Nothing here comes from spikejoule. What a node gives in a step is a list of floats,
flat in C order. Counts are made where the arithmetic happens, not by formulas.
"""

import itertools
import math
from collections import Counter

import numpy as np

SPIKING = ("Input", "IF", "LIF", "CubaLIF", "Threshold")
COUNTED = ("spikes", "events", "macs", "additions", "multiplications")
CONSTANTS = (
    "tau",
    "tau_mem",
    "tau_syn",
    "r",
    "v_leak",
    "v_threshold",
    "v_reset",
    "w_in",
)


class NaiveGraph:
    """A flat graph of NIR nodes.

    Args:
        nodes: by name.
        shapes: by name, the shape that each node gives.
        edges: (source, target).
        order: names in the order of a step.
        options: dt, reset, comparison, current, initial, pruned; and `waiting`, the
            edges that carry what their source gave in the last step.
    """

    def __init__(self, nodes, shapes, edges, order, **options):
        self.nodes = nodes
        self.shapes = shapes
        self.edges = edges
        self.order = order
        self.options = options

    def kind(self, name):
        return type(self.nodes[name]).__name__

    def gives_spikes(self, name, seen=()):
        if self.kind(name) in ("Flatten", "Delay") and name not in seen:
            sources = [source for source, target in self.edges if target == name]
            return len(sources) == 1 and self.gives_spikes(sources[0], (*seen, name))
        return self.kind(name) in SPIKING

    def run(self, inputs):
        """Run one sample, spikes [T][n]; return what each node gave, and the counts."""
        self.counts = {kind: Counter() for kind in COUNTED}
        self.state = {}
        self.given = {name: [] for name in self.order}
        for step, spikes in enumerate(inputs):
            for name in self.order:
                if self.kind(name) == "Input":
                    out = [float(spike) for spike in spikes]
                else:
                    out = self.node(name, self.incoming(name, step), step)
                self.given[name].append(out)
                if self.gives_spikes(name) and self.kind(name) != "Flatten":
                    self.counts["spikes"][name] += sum(out)
        return self.given, self.counts

    def incoming(self, name, step):
        """What arrives in a step: pairs of source and values."""
        pairs = []
        for source, target in self.edges:
            if target != name:
                continue
            if (source, target) in self.options["waiting"]:
                size = math.prod(self.shapes[source])
                values = self.given[source][step - 1] if step else [0.0] * size
            elif len(self.given[source]) > step:
                values = self.given[source][step]
            else:  # read by a Delay, which looks later
                values = None
            pairs.append((source, values))
        return pairs

    def node(self, name, incoming, step):
        kinds = {
            "Flatten": self.passing,
            "Output": self.passing,
            "Affine": self.dense,
            "Linear": self.dense,
            "Conv1d": self.convolution,
            "Conv2d": self.convolution,
            "SumPool2d": self.pooling,
            "AvgPool2d": self.pooling,
            "Scale": self.scale,
            "Threshold": self.threshold,
        }
        if self.kind(name) == "Delay":
            return self.delay(name, incoming, step)
        return kinds.get(self.kind(name), self.neurons)(name, incoming)

    def passing(self, name, incoming):
        columns = zip(*(values for _, values in incoming), strict=True)
        return [sum(column) for column in columns]

    def scale(self, name, incoming):
        for source, values in incoming:
            if not self.gives_spikes(source):
                nonzero = sum(value != 0 for value in values)
                self.counts["multiplications"][name] += nonzero
        factors = np.ravel(self.nodes[name].scale).tolist()
        totals = self.passing(name, incoming)
        return [total * factor for total, factor in zip(totals, factors, strict=True)]

    def threshold(self, name, incoming):
        limits = np.ravel(self.nodes[name].threshold).tolist()
        totals = self.passing(name, incoming)
        return [
            float(self.reaches(total, limit))
            for total, limit in zip(totals, limits, strict=True)
        ]

    def delay(self, name, incoming, step):
        out = []
        for unit, seconds in enumerate(np.ravel(self.nodes[name].delay).tolist()):
            then = step - round(seconds / self.options["dt"])
            total = 0.0
            if then >= 0:
                for source, _ in incoming:
                    total += self.given[source][then][unit]
            out.append(total)
        return out

    def reaches(self, value, limit):
        return value >= limit if self.options["comparison"] == "ge" else value > limit

    def arithmetic(self, name, source, value, weight):
        """Count one synapse at work."""
        if value == 0 or (self.options["pruned"] and weight == 0):
            return
        self.counts["events" if self.gives_spikes(source) else "macs"][name] += 1

    def dense(self, name, incoming):
        node = self.nodes[name]
        bias = getattr(node, "bias", None)
        out = []
        for target, row in enumerate(node.weight.tolist()):
            total = 0.0 if bias is None else float(bias[target])
            for source, values in incoming:
                for value, weight in zip(values, row, strict=True):
                    total += value * weight
                    self.arithmetic(name, source, value, weight)
            out.append(total)
        return out

    def convolution(self, name, incoming):
        node = self.nodes[name]
        weight = node.weight
        stride = node.stride
        dilation = node.dilation
        padding = node.padding
        in_shape = self.shapes[incoming[0][0]]
        out_shape = self.shapes[name]
        if self.kind(name) == "Conv1d":  # a plane of height 1
            weight = weight[:, :, None, :]
            stride = (1, stride)
            dilation = (1, dilation)
            padding = padding if isinstance(padding, str) else (0, padding)
        if len(in_shape) == 2:
            in_shape = (in_shape[0], 1, in_shape[1])
        if len(out_shape) == 2:
            out_shape = (out_shape[0], 1, out_shape[1])
        _, rows, columns = in_shape
        n_out, per_group, height, width = weight.shape
        if padding == "same":
            padding = (dilation[0] * (height - 1) // 2, dilation[1] * (width - 1) // 2)
        elif padding == "valid":
            padding = (0, 0)
        out = []
        for channel, row, column in np.ndindex(n_out, *out_shape[1:]):
            total = 0.0 if node.bias is None else float(node.bias[channel])
            group = channel // (n_out // node.groups)
            for source, values in incoming:
                for c, q, r in np.ndindex(per_group, height, width):
                    y = row * stride[0] + q * dilation[0] - padding[0]
                    x = column * stride[1] + r * dilation[1] - padding[1]
                    if not (0 <= y < rows and 0 <= x < columns):
                        continue
                    unit = ((group * per_group + c) * rows + y) * columns + x
                    one_weight = float(weight[channel, c, q, r])
                    total += values[unit] * one_weight
                    self.arithmetic(name, source, values[unit], one_weight)
            out.append(total)
        return out

    def pooling(self, name, incoming):
        node = self.nodes[name]
        _, rows, columns = self.shapes[incoming[0][0]]
        height, width = (int(size) for size in node.kernel_size)
        out = []
        for channel, row, column in np.ndindex(*self.shapes[name]):
            total = 0.0
            for q, r in itertools.product(range(height), range(width)):
                y = row * int(node.stride[0]) + q - int(node.padding[0])
                x = column * int(node.stride[1]) + r - int(node.padding[1])
                if not (0 <= y < rows and 0 <= x < columns):
                    continue
                for _, values in incoming:
                    value = values[(channel * rows + y) * columns + x]
                    total += value
                    self.counts["additions"][name] += value != 0
            if self.kind(name) == "AvgPool2d":
                self.counts["multiplications"][name] += total != 0
                total /= height * width
            out.append(total)
        return out

    def neurons(self, name, incoming):
        arriving = self.passing(name, incoming)
        node = self.nodes[name]
        constants = {
            field: np.broadcast_to(np.ravel(getattr(node, field)), len(arriving))
            for field in CONSTANTS
            if hasattr(node, field)
        }
        if name not in self.state:
            field = {"zero": "", "leak": "v_leak", "reset": "v_reset"}
            first = constants.get(field[self.options["initial"]], [0.0] * len(arriving))
            self.state[name] = [[float(v), 0.0] for v in first]
        out = []
        for unit, x in enumerate(arriving):
            own = {field: float(values[unit]) for field, values in constants.items()}
            out.append(self.neuron(name, unit, own, x))
        return out

    def neuron(self, name, unit, own, x):
        """Step one neuron, and return what it gives."""
        v, current = self.state[name][unit]
        drive = x
        if "tau_syn" in own:
            after = self.towards(current, own["tau_syn"], 0.0, own["w_in"] * x, x)
            drive = after if self.options["current"] == "same_step" else current
            current = after
        if self.kind(name) in ("IF", "I"):
            v = v + self.options["dt"] * own["r"] * drive
        else:
            tau = own.get("tau", own.get("tau_mem"))
            v = self.towards(v, tau, own["v_leak"], own["r"] * drive, drive)
        given = v
        if "v_threshold" in own:
            given = float(self.reaches(v, own["v_threshold"]))
        if "v_threshold" in own and given:
            subtracts = self.options["reset"] == "subtract"
            v = v - own["v_threshold"] if subtracts else own["v_reset"]
        self.state[name][unit] = [v, current]
        return given

    def towards(self, value, tau, leak, driven, x):
        """A step of forward Euler; what never decays has an infinite tau and gain."""
        if math.isinf(tau):
            return value + x
        return value + self.options["dt"] / tau * ((leak - value) + driven)
