"""NIR graphs as plain loops: every node by its definition, one number at a time, and
every count.

Nothing here comes from spikejoule. Values are nested lists flattened in C order; what a
node gives in a step is a list of floats. Counts are found where the arithmetic happens,
not by formulas.
"""

import itertools
import math
from collections import Counter

import numpy as np

SPIKING = ("Input", "IF", "LIF", "CubaLIF", "Threshold")


class NaiveGraph:
    """A flat graph of nir's nodes.

    Args:
        nodes: by name; `shapes` has the shape that each gives.
        edges: (source, target).
        order: names in the order of a step.
        waiting: edges that give what their source gave the step before.
        options: dt, reset, comparison, current, initial.
    """

    def __init__(self, nodes, shapes, edges, order, waiting=(), **options):
        self.nodes, self.shapes, self.edges = nodes, shapes, edges
        self.order, self.waiting = order, set(waiting)
        self.options = {
            "reset": "zero",
            "comparison": "ge",
            "current": "same_step",
            "initial": "zero",
            "pruned": False,
            **options,
        }

    def kind(self, name):
        return type(self.nodes[name]).__name__

    def gives_spikes(self, name, seen=()):
        if self.kind(name) in ("Flatten", "Delay") and name not in seen:
            sources = [a for a, b in self.edges if b == name]
            return len(sources) == 1 and self.gives_spikes(sources[0], (*seen, name))
        return self.kind(name) in SPIKING

    def run(self, inputs):
        """Spikes [T][n] of one sample; returns what each node gave, [T][n], and the
        counts.
        """
        self.counts = {
            kind: Counter()
            for kind in ("spikes", "events", "macs", "additions", "multiplications")
        }
        self.state = {}
        given = {name: [] for name in self.order}
        self.arrived = {name: [] for name in self.order}
        for step, spikes in enumerate(inputs):
            for name in self.order:
                if self.kind(name) == "Input":
                    out = [float(spike) for spike in spikes]
                else:
                    incoming = []
                    for source, target in self.edges:
                        if target != name:
                            continue
                        size = math.prod(self.shapes[source])
                        if (source, target) in self.waiting:
                            values = given[source][step - 1] if step else [0.0] * size
                        elif (
                            len(given[source]) <= step
                        ):  # read by a Delay, which looks later
                            values = None
                        else:
                            values = given[source][step]
                        incoming.append((source, values))
                    out = self.node(name, incoming, given, step)
                given[name].append(out)
                if self.gives_spikes(name) and self.kind(name) != "Flatten":
                    self.counts["spikes"][name] += sum(out)
        return given, self.counts

    def total(self, incoming):
        return [
            sum(values)
            for values in zip(*(values for _, values in incoming), strict=True)
        ]

    def node(self, name, incoming, given, step):
        kind, node, dt = self.kind(name), self.nodes[name], self.options.get("dt")
        if kind in ("Flatten", "Output"):
            return self.total(incoming)
        if kind in ("Affine", "Linear"):
            return self.dense(name, node, incoming)
        if kind in ("Conv1d", "Conv2d"):
            return self.convolution(name, node, incoming)
        if kind in ("SumPool2d", "AvgPool2d"):
            return self.pooling(name, node, incoming)
        if kind == "Scale":
            for source, values in incoming:
                if not self.gives_spikes(source):
                    self.counts["multiplications"][name] += sum(
                        value != 0 for value in values
                    )
            scale = np.ravel(node.scale).tolist()
            return [a * b for a, b in zip(self.total(incoming), scale, strict=True)]
        if kind == "Threshold":
            thresholds = np.ravel(node.threshold).tolist()
            return [
                float(self.reaches(v, limit))
                for v, limit in zip(self.total(incoming), thresholds, strict=True)
            ]
        if kind == "Delay":
            out = []
            sources = [source for source, _ in incoming]
            for unit, seconds in enumerate(np.ravel(node.delay).tolist()):
                then = step - round(seconds / dt)
                out.append(
                    sum(given[one][then][unit] for one in sources) if then >= 0 else 0.0
                )
            return out
        return self.neurons(name, node, self.total(incoming))

    def towards(self, value, tau, leak, gain, x):
        """A step of forward Euler; what never decays is written with a tau and a gain
        of inf.
        """
        if math.isinf(tau):
            return value + x
        return value + self.options["dt"] / tau * ((leak - value) + gain * x)

    def reaches(self, value, limit):
        return value >= limit if self.options["comparison"] == "ge" else value > limit

    def arithmetic(self, name, source, value, weight):
        """Count one synapse at work."""
        if value == 0 or (self.options["pruned"] and weight == 0):
            return
        self.counts["events" if self.gives_spikes(source) else "macs"][name] += 1

    def dense(self, name, node, incoming):
        bias = getattr(node, "bias", None)
        out = []
        for j, row in enumerate(node.weight.tolist()):
            total = 0.0 if bias is None else float(bias[j])
            for source, values in incoming:
                for value, weight in zip(values, row, strict=True):
                    total += value * weight
                    self.arithmetic(name, source, value, weight)
            out.append(total)
        return out

    def convolution(self, name, node, incoming):
        weight, stride, dilation, padding = (
            node.weight,
            node.stride,
            node.dilation,
            node.padding,
        )
        if self.kind(name) == "Conv1d":
            weight = weight[:, :, None, :]
            stride, dilation = (1, stride), (1, dilation)
            padding = padding if isinstance(padding, str) else (0, padding)
        n_out, per_group, height, width = weight.shape
        (source_name, _), *_ = incoming
        shape = self.shapes[source_name]
        _, rows, columns = (shape[0], 1, shape[1]) if len(shape) == 2 else shape
        if padding == "same":
            padding = (dilation[0] * (height - 1) // 2, dilation[1] * (width - 1) // 2)
        elif padding == "valid":
            padding = (0, 0)
        out_shape = self.shapes[name]
        _, out_rows, out_columns = (
            (out_shape[0], 1, out_shape[1]) if len(out_shape) == 2 else out_shape
        )
        out = []
        for channel, row, column in itertools.product(
            range(n_out), range(out_rows), range(out_columns)
        ):
            total = 0.0 if node.bias is None else float(node.bias[channel])
            group = channel // (n_out // node.groups)
            for source, values in incoming:
                for c, q, r in itertools.product(
                    range(per_group), range(height), range(width)
                ):
                    y = row * stride[0] + q * dilation[0] - padding[0]
                    x = column * stride[1] + r * dilation[1] - padding[1]
                    if 0 <= y < rows and 0 <= x < columns:
                        value = values[
                            ((group * per_group + c) * rows + y) * columns + x
                        ]
                        total += value * float(weight[channel, c, q, r])
                        self.arithmetic(
                            name, source, value, float(weight[channel, c, q, r])
                        )
            out.append(total)
        return out

    def pooling(self, name, node, incoming):
        channels, rows, columns = self.shapes[incoming[0][0]]
        height, width = (int(size) for size in node.kernel_size)
        _, out_rows, out_columns = self.shapes[name]
        out = []
        for c, row, column in itertools.product(
            range(channels), range(out_rows), range(out_columns)
        ):
            total = 0.0
            for q, r in itertools.product(range(height), range(width)):
                y = row * int(node.stride[0]) + q - int(node.padding[0])
                x = column * int(node.stride[1]) + r - int(node.padding[1])
                if 0 <= y < rows and 0 <= x < columns:
                    for _, values in incoming:
                        value = values[(c * rows + y) * columns + x]
                        total += value
                        self.counts["additions"][name] += value != 0
            if self.kind(name) == "AvgPool2d":
                self.counts["multiplications"][name] += total != 0
                total /= height * width
            out.append(total)
        return out

    def neurons(self, name, node, arriving):
        kind, dt = self.kind(name), self.options["dt"]
        own = {
            field: np.broadcast_to(
                np.ravel(getattr(node, field)), len(arriving)
            ).tolist()
            for field in (
                "tau",
                "tau_mem",
                "tau_syn",
                "r",
                "v_leak",
                "v_threshold",
                "v_reset",
                "w_in",
            )
            if hasattr(node, field)
        }
        if name not in self.state:
            begin = {"zero": None, "leak": "v_leak", "reset": "v_reset"}[
                self.options["initial"]
            ]
            first = own.get(begin, [0.0] * len(arriving))
            self.state[name] = [[v, 0.0] for v in first]
        out = []
        for unit, x in enumerate(arriving):
            v, current = self.state[name][unit]
            at = {field: values[unit] for field, values in own.items()}
            drive = x
            if "tau_syn" in at:
                after = self.towards(current, at["tau_syn"], 0.0, at["w_in"], x)
                drive = after if self.options["current"] == "same_step" else current
                current = after
            if kind in ("IF", "I"):
                v = v + dt * at["r"] * drive
            else:
                tau = at.get("tau", at.get("tau_mem"))
                v = self.towards(v, tau, at["v_leak"], at["r"], drive)
            given = v
            if "v_threshold" in at:
                given = float(self.reaches(v, at["v_threshold"]))
                if given:
                    subtracts = self.options["reset"] == "subtract"
                    v = v - at["v_threshold"] if subtracts else at["v_reset"]
            self.state[name][unit] = [v, current]
            out.append(given)
        return out
