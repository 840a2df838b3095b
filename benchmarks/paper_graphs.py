"""Graphs with the shapes of the eight public files of NIR's paper, and random weights.

Pedersen et al., Nature Communications 15, 2024, doi:10.1038/s41467-024-52259-9, and the
folder `paper` of the repository neuromorphs/NIR: single neurons (01_lif), a
convolutional network for N-MNIST (02_cnn), and recurrent networks for tactile Braille
letters (03_rnn), some with a subgraph. The recurrent ones have the paper's sizes: 12
taxels, 38 hidden units, 7 letters.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import nir
import numpy as np

DT = 1e-4

Nodes = dict[str, nir.NIRNode]


def _weights(seed: int, *shape: int, scale: float) -> np.ndarray:
    """Draw multiples of 1/256, so that every order of a sum is exact in float32."""
    generator = np.random.default_rng(seed)
    fan_in = int(np.prod(shape[1:]))
    values = generator.normal(0.3 / fan_in, scale / np.sqrt(fan_in), shape)
    return (np.rint(256 * values) / 256).astype(np.float32)


def _full(shape: int | tuple[int, ...], value: float) -> np.ndarray:
    return np.full(shape, value, dtype=np.float32)


def _affine(seed: int, n_in: int, n_out: int, scale: float = 2.0) -> nir.Affine:
    return nir.Affine(_weights(seed, n_out, n_in, scale=scale), _full(n_out, 1 / 64))


def lif(n: int, steps: float = 4) -> nir.LIF:
    """LIF neurons with a time constant of `steps` steps."""
    tau = _full(n, steps * DT)
    return nir.LIF(tau, _full(n, steps), _full(n, 0), _full(n, 1), _full(n, 0))


def _if(*shape: int) -> nir.IF:
    return nir.IF(_full(shape, 1 / DT), _full(shape, 1), _full(shape, 0))


def _cuba(n: int) -> nir.CubaLIF:
    return nir.CubaLIF(
        tau_syn=_full(n, 2 * DT),
        tau_mem=_full(n, 4 * DT),
        r=_full(n, 4),
        v_leak=_full(n, 0),
        v_threshold=_full(n, 1),
        v_reset=_full(n, 0),
        w_in=_full(n, 2),
    )


def _graph(nodes: Nodes, edges: list[tuple[str, str]] | None = None) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, edges or list(pairwise(nodes)))


def _io(n_in: tuple[int, ...], n_out: int, inner: Nodes) -> Nodes:
    return {
        "input": nir.Input(np.array(n_in)),
        **inner,
        "output": nir.Output(np.array([n_out])),
    }


def _sequence(n_in: tuple[int, ...], n_out: int, *nodes: nir.NIRNode) -> nir.NIRGraph:
    """Chain nodes, named by their number."""
    inner = {str(number): node for number, node in enumerate(nodes)}
    return _graph(_io(n_in, n_out, inner))


def fully_connected(
    sizes: Sequence[int] = (784, 400, 10), currents: bool = False
) -> nir.NIRGraph:
    """LIF layers, which the event engine runs, or layers with synaptic currents.

    Not one of the paper's graphs.
    """
    inner: Nodes = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        # Scales with which every layer fires.
        scale = 1.5
        if not currents:
            scale = 2 if layer else 3
        inner[f"fc{layer}"] = _affine(layer, n_in, n_out, scale)
        inner[f"lif{layer}"] = _cuba(n_out) if currents else lif(n_out)
    return _graph(_io((sizes[0],), sizes[-1], inner))


def _single_neuron() -> nir.NIRGraph:
    return _sequence((1,), 1, nir.Affine(_full((1, 1), 1), _full(1, 0)), lif(1))


def _slow_neuron() -> nir.NIRGraph:
    return _sequence((1,), 1, nir.Linear(_full((1, 1), 2)), lif(1, 16))


def _two_lif_neurons() -> nir.NIRGraph:
    first = nir.Linear(_full((1, 1), 1))
    second = nir.Linear(_full((1, 1), 1.5))
    return _sequence((1,), 1, first, lif(1), second, lif(1, 8))


def _conv(
    size: int, weight: np.ndarray, stride: int, padding: int, bias: float
) -> nir.Conv2d:
    """A convolution with weights [out, in, kernel, kernel] of a square input."""
    biases = _full(len(weight), bias)
    return nir.Conv2d((size, size), weight, stride, padding, 1, 1, biases)


def _pool() -> nir.SumPool2d:
    return nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


def digits_cnn() -> nir.NIRGraph:
    """12C5-P2-32C5-P2-10 on (1, 28, 28), as in snnTorch's tutorial.

    Not one of the paper's graphs.
    """
    return _sequence(
        (1, 28, 28),
        10,
        _conv(28, _weights(0, 12, 1, 5, 5, scale=1), stride=1, padding=0, bias=0),
        _if(12, 24, 24),
        _pool(),
        _conv(12, _weights(1, 32, 12, 5, 5, scale=1), stride=1, padding=0, bias=0),
        _if(32, 8, 8),
        _pool(),
        nir.Flatten({"input": np.array([32, 4, 4])}, 0, -1),
        nir.Linear(_weights(2, 10, 512, scale=1)),
        _if(10),
    )


def scnn_mnist() -> nir.NIRGraph:
    """Three convolutions, two poolings and two dense layers on (2, 34, 34)."""
    bias = 1 / 64
    return _sequence(
        (2, 34, 34),
        10,
        _conv(34, _weights(0, 16, 2, 5, 5, scale=2.5), 2, 1, bias),
        _if(16, 16, 16),
        _conv(16, _weights(1, 16, 16, 3, 3, scale=2.5), 1, 1, bias),
        _if(16, 16, 16),
        _pool(),
        _conv(8, _weights(2, 8, 16, 3, 3, scale=2.5), 1, 1, bias),
        _if(8, 8, 8),
        _pool(),
        nir.Flatten({"input": np.array([8, 4, 4])}, 0, -1),
        nir.Linear(_weights(3, 256, 128, scale=2)),
        _if(256),
        nir.Linear(_weights(4, 10, 256, scale=2)),
        _if(10),
    )


def braille(seed: int = 0, synaptic: bool = True) -> nir.NIRGraph:
    """12 - 38 (recurrent) - 7, with CubaLIF or LIF neurons."""
    neurons = _cuba if synaptic else lif
    inner: Nodes = {
        "fc1": _affine(seed, 12, 38),
        "lif1": neurons(38),
        "w_rec": nir.Linear(_weights(seed + 1, 38, 38, scale=1)),
        "fc2": _affine(seed + 2, 38, 7),
        "lif2": neurons(7),
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
    """The same with the recurrent layer as a subgraph."""
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
    "lif_norse": _single_neuron,
    "two_lif_neurons": _two_lif_neurons,
    "lif_rockpool": _slow_neuron,
    "scnn_mnist": scnn_mnist,
    "braille": braille,
    "braille_zero": lambda: braille(7, synaptic=False),
    "braille_subgraph": braille_subgraph,
    "braille_zero_subgraph": lambda: braille_subgraph(7, synaptic=False),
}
