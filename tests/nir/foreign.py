"""Small graphs of all NIR nodes, with numbers whose sums are exact."""

from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

# Seconds of a step; time constants are 2, 4 or 8 steps.
DT = 2.0**-10


class Maker:
    """Random nodes. Weights are multiples of 1/16, and some are zero."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = np.random.default_rng(seed)

    def numbers(self, *shape: int, high: int = 12) -> NDArray[np.float64]:
        return self.generator.integers(-high // 2, high, shape) / 16

    def each(self, shape: tuple[int, ...], *choices: float) -> NDArray[np.float64]:
        return self.generator.choice(np.array(choices), shape)

    def affine(self, n_in: int, n_out: int) -> nir.Affine:
        return nir.Affine(self.numbers(n_out, n_in), self.numbers(n_out, high=4))

    def linear(self, n_in: int, n_out: int) -> nir.Linear:
        return nir.Linear(self.numbers(n_out, n_in))

    def conv2d(
        self, out: int, per_group: int, kernel: tuple[int, int], **options: Any
    ) -> nir.Conv2d:
        chosen = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options}
        weight = self.numbers(out, per_group, *kernel)
        return nir.Conv2d(
            input_shape=None, weight=weight, bias=self.numbers(out, high=4), **chosen
        )

    def lif(self, *shape: int, **options: Any) -> nir.LIF:
        tau = DT * self.each(shape, 2, 4, 8)
        values = {
            "tau": tau,
            "r": tau / DT,
            "v_leak": np.zeros(shape),
            "v_threshold": self.each(shape, 0.5, 1.0),
            "v_reset": np.zeros(shape),
            **options,
        }
        return nir.LIF(**values)

    def if_(self, *shape: int) -> nir.IF:
        return nir.IF(
            np.full(shape, 1 / DT), self.each(shape, 0.5, 1.5), np.zeros(shape)
        )

    def cuba(self, *shape: int) -> nir.CubaLIF:
        tau_syn = DT * self.each(shape, 2, 4)
        tau = DT * self.each(shape, 2, 4, 8)
        return nir.CubaLIF(
            tau_syn=tau_syn,
            tau_mem=tau,
            r=tau / DT,
            v_leak=np.zeros(shape),
            v_threshold=self.each(shape, 0.5, 1.0),
            v_reset=np.zeros(shape),
            w_in=tau_syn / DT,
        )


def graph_of(
    nodes: dict[str, nir.NIRNode],
    shape: tuple[int, ...],
    n_out: tuple[int, ...],
    *paths: str,
) -> nir.NIRGraph:
    """A graph of nodes along paths such as ``input a b output``; by default a chain."""
    all_nodes = {
        "input": nir.Input(np.array(shape)),
        **nodes,
        "output": nir.Output(np.array(n_out)),
    }
    edges: list[tuple[str, str]] = []
    for path in paths or [" ".join(all_nodes)]:
        edges += pairwise(path.split())
    return nir.NIRGraph(all_nodes, edges, type_check=False)


def pooling(
    kind: type, kernel: int, stride: tuple[int, int], padding: int = 0
) -> nir.NIRNode:
    return kind(np.full(2, kernel), np.array(stride), np.full(2, padding))


def _dense(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": make.affine(6, 5),
        "b": make.lif(5),
        "c": make.linear(5, 4),
        "d": make.if_(4),
    }
    return graph_of(nodes, (6,), (4,))


def _plain_chain(make: Maker) -> nir.NIRGraph:
    """The event engine runs it: the neurons of a layer are alike."""
    graph = _dense(make)
    graph.nodes["b"].tau[:] = 2 * DT
    graph.nodes["b"].r[:] = 2
    for name in "bd":
        graph.nodes[name].v_threshold[:] = 0.5
    return graph


def _leaking(make: Maker) -> nir.NIRGraph:
    leak = {
        "v_leak": make.each((5,), 0.25, 0.5),
        "v_reset": make.each((5,), -0.25, 0.125),
    }
    nodes = {"a": make.affine(6, 5), "b": make.lif(5, **leak)}
    return graph_of(nodes, (6,), (5,))


def _convolution(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": make.conv2d(4, 2, (3, 2), stride=(2, 1), padding=(1, 1)),
        "b": make.if_(4, 4, 6),
        "c": pooling(nir.SumPool2d, 2, (2, 2)),
        "d": nir.Flatten({"input": np.array([4, 2, 3])}, 0, -1),
        "e": make.affine(24, 3),
        "f": make.lif(3),
    }
    return graph_of(nodes, (2, 7, 5), (3,))


def _groups(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": make.conv2d(6, 2, (2, 3), dilation=(2, 1), padding=(2, 0), groups=2),
        "b": make.lif(6, 7, 3),
        "c": pooling(nir.AvgPool2d, 2, (2, 1), 1),
        "d": make.conv2d(4, 3, (3, 3), padding="same", groups=2),
        "e": make.if_(4, 4, 4),
    }
    return graph_of(nodes, (4, 5, 5), (4, 4, 4))


def _one_dimension(make: Maker) -> nir.NIRGraph:
    weight = make.numbers(3, 2, 3)
    nodes = {
        "a": nir.Conv1d(9, weight, 2, 1, 2, 1, make.numbers(3, high=4)),
        "b": make.cuba(3, 4),
        "c": nir.Flatten({"input": np.array([3, 4])}, 0, -1),
        "d": make.linear(12, 2),
        "e": nir.LI(DT * make.each((2,), 2, 4), make.each((2,), 1, 2), np.zeros(2)),
    }
    return graph_of(nodes, (2, 9), (2,))


def _recurrent(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": make.affine(4, 5),
        "b": make.cuba(5),
        "c": make.linear(5, 3),
        "d": make.lif(3),
        "w": make.affine(5, 5),
    }
    return graph_of(nodes, (4,), (3,), "input a b c d output", "b w b", "d d")


def _delays(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": make.affine(4, 5),
        "v": nir.Delay(DT * np.array([0, 1, 2, 0, 1])),
        "b": make.lif(5),
        "c": nir.Delay(DT * np.arange(5)),
        "d": make.linear(5, 3),
        "e": make.lif(3),
        "w": make.linear(5, 5),
        "late": nir.Delay(DT * np.array([1, 2, 1, 3, 1])),
    }
    return graph_of(nodes, (4,), (3,), "input a v b c d e output", "b late w b")


def _entered_twice(make: Maker) -> nir.NIRGraph:
    """Two paths lead into a cycle, the shorter one to `near`."""
    nodes = {
        "z": make.affine(4, 5),
        "near": make.lif(5),
        "p": make.linear(5, 5),
        "far": make.lif(5),
        "q": make.affine(5, 5),
        "b": nir.Scale(make.each((4,), 0.5, 2)),
        "c": make.affine(4, 5),
    }
    paths = ("input z near p far q near", "input b c far output")
    return graph_of(nodes, (4,), (5,), *paths)


def _potentials_that_wait(make: Maker) -> nir.NIRGraph:
    """Potentials begin at v_leak, but a waiting edge carries 0 in the first step."""
    tau = DT * make.each((5,), 2, 4)
    leak = make.each((5,), 0.5, 2)
    nodes = {
        "a": make.affine(4, 5),
        "b": nir.LI(tau, np.ones(5), leak),
        "c": make.linear(5, 3),
    }
    return graph_of(nodes, (4,), (3,), "input a b c output", "b b")


def _nothing_decays(make: Maker) -> nir.NIRGraph:
    """Some states never decay, as snnTorch writes ``beta=1``, and some do."""
    tau = DT * make.each((8,), 2, 4, np.inf)
    cuba = make.cuba(5)
    for name in ("tau_syn", "w_in", "tau_mem", "r"):
        getattr(cuba, name)[1:3] = np.inf
    cuba.v_leak += 0.25
    nodes = {
        "a": make.affine(6, 8),
        "b": make.lif(8, tau=tau, r=tau / DT),
        "c": make.linear(8, 5),
        "d": cuba,
    }
    return graph_of(nodes, (6,), (5,))


def _nested(make: Maker) -> nir.NIRGraph:
    inner = nir.NIRGraph(
        {
            "in": nir.Input(np.array([5])),
            "lif": make.lif(5),
            "rec": make.linear(5, 5),
            "out": nir.Output(np.array([5])),
        },
        [("in", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out")],
        type_check=False,
    )
    nodes = {
        "a": make.affine(6, 5),
        "layer": inner,
        "c": make.affine(5, 3),
        "d": make.if_(3),
    }
    return graph_of(nodes, (6,), (3,))


def _values(make: Maker) -> nir.NIRGraph:
    nodes = {
        "a": nir.Scale(make.each((6,), 0.5, 2, -1)),
        "b": make.linear(6, 5),
        "c": nir.I(np.full(5, 1 / DT)),
        "d": nir.Threshold(make.each((5,), 0.5, 1)),
        "e": make.affine(5, 4),
        "f": nir.CubaLI(
            np.full(4, 2 * DT), np.full(4, 4 * DT), np.ones(4), np.zeros(4), 2.0
        ),
        "g": nir.Scale(make.each((4,), 0.25, 3)),
        "h": make.linear(4, 3),
        "i": make.lif(3),
    }
    return graph_of(nodes, (6,), (3,))


def _joined(make: Maker) -> nir.NIRGraph:
    """Spikes skip a layer, and the sum of two trains goes through one matrix."""
    nodes = {
        "a": make.affine(5, 5),
        "b": make.lif(5),
        "c": make.linear(5, 5),
        "d": make.lif(5),
        "e": make.linear(5, 3),
        "f": make.if_(3),
    }
    return graph_of(nodes, (5,), (3,), "input a b c d e f output", "b e", "input d")


GRAPHS = {
    "fully connected": _dense,
    "plain chain": _plain_chain,
    "leak and reset": _leaking,
    "convolution": _convolution,
    "groups, dilation": _groups,
    "one dimension": _one_dimension,
    "recurrent": _recurrent,
    "delays": _delays,
    "entered twice": _entered_twice,
    "potentials that wait": _potentials_that_wait,
    "nothing decays": _nothing_decays,
    "nested": _nested,
    "values": _values,
    "joined": _joined,
}
# Edges that wait, and orders of a step, as a person reads them off the graphs.
WAITING = {
    "recurrent": (("w", "b"), ("d", "d")),
    "entered twice": (("q", "near"),),
    "potentials that wait": (("b", "b"),),
    "nested": (("layer.rec", "layer.lif"),),
}
ORDERS = {
    "delays": ["late", "input", "a", "v", "w", "b", "c", "d", "e", "output"],
    "entered twice": ["input", "b", "c", "z", "near", "p", "far", "q", "output"],
}
