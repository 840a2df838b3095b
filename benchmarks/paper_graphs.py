"""Graphs of the shape of the eight public files of NIR's paper, with random weights.

Pedersen et al., Nature Communications 15, 2024, doi:10.1038/s41467-024-52259-9, and its
repository neuromorphs/NIR, folder paper: single neurons (01_lif), a convolutional
network for N-MNIST (02_cnn) and recurrent networks for tactile Braille letters
(03_rnn), some with a graph within the graph. The sizes of the recurrent ones are those
of the paper, 12 taxels, 38 hidden units, 7 letters.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import nir
import numpy as np

DT = 1e-4

Nodes = dict[str, nir.NIRNode]


def _weights(seed: int, *shape: int, scale: float) -> np.ndarray:
    """Multiples of 1/256, so that every order of a sum is exact in float32."""
    generator = np.random.default_rng(seed)
    fan_in = int(np.prod(shape[1:]))
    values = generator.normal(0.3 / fan_in, scale / np.sqrt(fan_in), shape)
    return (np.rint(256 * values) / 256).astype(np.float32)


def _each(n: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(n, value, dtype=np.float32)


def _affine(seed: int, n_in: int, n_out: int, scale: float = 2.0) -> nir.Affine:
    return nir.Affine(_weights(seed, n_out, n_in, scale=scale), _each(n_out, 1 / 64))


def lif(n: int, steps: float = 4) -> nir.LIF:
    """Neurons whose potential decays within so many steps."""
    tau = _each(n, steps * DT)
    return nir.LIF(tau, _each(n, steps), _each(n, 0), _each(n, 1), _each(n, 0))


def _if(*shape: int) -> nir.IF:
    return nir.IF(_each(shape, 1 / DT), _each(shape, 1), _each(shape, 0))


def _cuba(n: int) -> nir.CubaLIF:
    return nir.CubaLIF(
        tau_syn=_each(n, 2 * DT),
        tau_mem=_each(n, 4 * DT),
        r=_each(n, 4),
        v_leak=_each(n, 0),
        v_threshold=_each(n, 1),
        v_reset=_each(n, 0),
        w_in=_each(n, 2),
    )


def _graph(nodes: Nodes, edges: list[tuple[str, str]] | None = None) -> nir.NIRGraph:
    names = list(nodes)
    return nir.NIRGraph(nodes, edges or list(pairwise(names)))


def _io(n_in: tuple[int, ...], n_out: int, inner: Nodes) -> Nodes:
    return {
        "input": nir.Input(np.array(n_in)),
        **inner,
        "output": nir.Output(np.array([n_out])),
    }


def _sequence(n_in: tuple[int, ...], n_out: int, *nodes: nir.NIRNode) -> nir.NIRGraph:
    """Numbered nodes, one behind the other."""
    return _graph(
        _io(n_in, n_out, {str(place): node for place, node in enumerate(nodes)})
    )


def fully_connected(
    sizes: Sequence[int] = (784, 400, 10), currents: bool = False
) -> nir.NIRGraph:
    """LIF layers, alike within a layer: what the event engine runs. With synaptic
    currents, which it does not. None of the paper's."""
    inner: Nodes = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        scale = 1.5 if currents else 2 if layer else 3
        inner[f"fc{layer}"] = _affine(layer, n_in, n_out, scale)
        inner[f"lif{layer}"] = (_cuba if currents else lif)(n_out)
    return _graph(_io((sizes[0],), sizes[-1], inner))


def _two_lif_neurons() -> nir.NIRGraph:
    first, second = (nir.Linear(_each((1, 1), weight)) for weight in (1, 1.5))
    return _sequence((1,), 1, first, lif(1), second, lif(1, 8))


def _conv(
    seed: int, out: int, n_in: int, size: int, stride: int, kernel: int
) -> nir.Conv2d:
    weight = _weights(seed, out, n_in, kernel, kernel, scale=2.5)
    return nir.Conv2d((size, size), weight, stride, 1, 1, 1, _each(out, 1 / 64))


def _pool() -> nir.SumPool2d:
    return nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


def digits_cnn() -> nir.NIRGraph:
    """(1, 28, 28) through 12C5-P2-32C5-P2 to 10: snnTorch's tutorial. Not one of the
    paper's.
    """
    return _sequence(
        (1, 28, 28),
        10,
        nir.Conv2d(
            (28, 28), _weights(0, 12, 1, 5, 5, scale=1), 1, 0, 1, 1, _each(12, 0)
        ),
        _if(12, 24, 24),
        _pool(),
        nir.Conv2d(
            (12, 12), _weights(1, 32, 12, 5, 5, scale=1), 1, 0, 1, 1, _each(32, 0)
        ),
        _if(32, 8, 8),
        _pool(),
        nir.Flatten({"input": np.array([32, 4, 4])}, 0, -1),
        nir.Linear(_weights(2, 10, 512, scale=1)),
        _if(10),
    )


def scnn_mnist() -> nir.NIRGraph:
    """(2, 34, 34) through three convolutions, two pools and two dense layers to 10."""
    return _sequence(
        (2, 34, 34),
        10,
        _conv(0, 16, 2, 34, 2, 5),
        _if(16, 16, 16),
        _conv(1, 16, 16, 16, 1, 3),
        _if(16, 16, 16),
        _pool(),
        _conv(2, 8, 16, 8, 1, 3),
        _if(8, 8, 8),
        _pool(),
        nir.Flatten({"input": np.array([8, 4, 4])}, 0, -1),
        nir.Linear(_weights(3, 256, 128, scale=2)),
        _if(256),
        nir.Linear(_weights(4, 10, 256, scale=2)),
        _if(10),
    )


def braille(seed: int = 0, synaptic: bool = True) -> nir.NIRGraph:
    """12 - 38 (recurrent) - 7, CubaLIF or LIF."""
    make = _cuba if synaptic else lif
    inner: Nodes = {
        "fc1": _affine(seed, 12, 38),
        "lif1": make(38),
        "w_rec": nir.Linear(_weights(seed + 1, 38, 38, scale=1)),
        "fc2": _affine(seed + 2, 38, 7),
        "lif2": make(7),
    }
    edges = [
        ("input", "fc1"),
        ("fc1", "lif1"),
        ("lif1", "w_rec"),
        ("w_rec", "lif1"),
        ("lif1", "fc2"),
        ("fc2", "lif2"),
        ("lif2", "output"),
    ]
    return _graph(_io((12,), 7, inner), edges)


def braille_subgraph(seed: int = 0, synaptic: bool = True) -> nir.NIRGraph:
    """The same with the recurrent layer as a graph of its own."""
    flat = braille(seed, synaptic)
    layer = _graph(
        _io((38,), 38, {"lif": flat.nodes["lif1"], "w_rec": flat.nodes["w_rec"]}),
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    inner = {
        "fc1": flat.nodes["fc1"],
        "layer": layer,
        "fc2": flat.nodes["fc2"],
        "lif2": flat.nodes["lif2"],
    }
    return _graph(_io((12,), 7, inner))


# By the name of a public file.
PAPER: dict[str, Callable[[], nir.NIRGraph]] = {
    "lif_norse": lambda: _sequence(
        (1,), 1, nir.Affine(_each((1, 1), 1), _each(1, 0)), lif(1)
    ),
    "two_lif_neurons": _two_lif_neurons,
    "lif_rockpool": lambda: _sequence(
        (1,), 1, nir.Linear(_each((1, 1), 2)), lif(1, 16)
    ),
    "scnn_mnist": scnn_mnist,
    "braille": braille,
    "braille_zero": lambda: braille(7, synaptic=False),
    "braille_subgraph": braille_subgraph,
    "braille_zero_subgraph": lambda: braille_subgraph(7, synaptic=False),
}
