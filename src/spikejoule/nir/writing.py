"""Write a trained network as a NIR graph, and a graph as a file.

A layer is `Affine(W, b)`, `Linear(W)` without biases, or `Conv2d`, followed by its
neurons, whose parameters are arrays of one float64 number per neuron. By forward Euler
with a step dt,

    v[t] = (1 - dt / tau) u[t-1] + (dt / tau) r I[t]

is `decay * u[t-1] + I[t]` with `tau = dt / (1 - decay)` and `r = tau / dt`. A neuron
that does not leak is `IF`, `v[t] = u[t-1] + dt r I[t]` with `r = 1 / dt`. An output
that integrates without spiking is `LI` or `I`, with the same constants.

For an integer network the graph has the real numbers that the integers stand for:
weights, biases and thresholds on their grids, and the leak m / 256. It computes the
same, except for the rounding of the leak and potentials that saturate. The integers
themselves are in the metadata.

NIR states continuous dynamics, `tau dv/dt = v_leak - v + r I` with a spike at
`v > v_threshold` and a reset to `v_reset`. How a simulator steps through them, whether
it compares with `>` or `>=`, whether a reset subtracts, and integers have no place in
NIR: the metadata of the graph state them.
"""

import io
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, Literal

import nir
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spikejoule import __version__
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import Record
from spikejoule.core.store import write_bytes
from spikejoule.network.checkpoint import Checkpoint, quantisation_section
from spikejoule.network.graph import Edge
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.integers import layer_constants, neuron_constants
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import (
    Connection,
    Convolution,
    Dense,
    Neurons,
    Node,
    Pooling,
)
from spikejoule.network.readout import Readout, ReadoutName, readout_entry
from spikejoule.network.sections import QuantisationEntry

FORMAT: Final = "spikejoule_nir_v1"

DT: Final = 1e-4
"""Seconds of a step in the graph; in the network a step is 1 ms.

Only dt / tau enters a step, so any dt would do: snnTorch always takes 1e-4, and it is
SpikingJelly's default.
"""


class NirMetadata(Record):
    """The metadata of a graph.

    Attributes:
        format: the name of this schema.
        version: of the spikejoule that wrote it.
        dt: seconds of a step, as tau and r are to be read.
        step_ms: duration of a step in the network.
        comparison: a neuron fires where the potential is >= its threshold.
        reset: to ``zero``, or ``subtract`` by the threshold, for which NIR has no
            field.
        leak: of the potential u after the last step.
        input: ``spikes``, or ``currents``: intensities that are the same in every step.
        encoding: how images become the input; without parameters that are None.
        pruned: whether a weight of 0 is no synapse.
        readout: how the output answers; a graph without this entry, by spikes.
        quantisation: of an integer network, as in its checkpoint: an integer q in a
            layer with the exponent k stands for q 2^-k.
    """

    format: Literal["spikejoule_nir_v1"]
    version: str
    dt: float = Field(gt=0)
    step_ms: float = Field(gt=0)
    comparison: Literal[">="]
    reset: Literal["zero", "subtract"]
    leak: Literal["decay * u", "floor(m u / 256)"]
    input: Literal["spikes", "currents"]
    encoding: dict[str, Any]
    pruned: bool
    readout: ReadoutName = Readout.SPIKES
    quantisation: QuantisationEntry | None = None


def metadata_of(graph: nir.NIRGraph | ImportedGraph) -> NirMetadata:
    """Return the metadata of a graph of `nir_graph`, in memory or read from a file.

    Raises:
        ArtifactError: the graph has another writer, or its metadata are damaged.
    """
    content = _plain(graph.metadata)
    if content.get("format") != FORMAT:
        raise ArtifactError(
            f"the NIR graph must have metadata of the format {FORMAT!r}, but has "
            f"{content.get('format', 'no format')!r:.80}."
        )
    return NirMetadata.from_content("the NIR graph's metadata", content)


def _plain(value: Any, key: str = "") -> Any:
    """Return HDF5's scalars and lists as Python's; weights under ``integers`` stay."""
    if isinstance(value, Mapping):
        return {
            name: entry if key == "integers" else _plain(entry, name)
            for name, entry in value.items()
        }
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def nir_graph(trained: Checkpoint) -> nir.NIRGraph:
    """Return a network as `input -> synapses1 -> neurons1 -> ... -> output`.

    `pooling2` or `flatten2` may precede `synapses2`, and recurrent weights are
    `neurons1 -> recurrent1 -> neurons1`. The metadata are a
    :class:`spikejoule.nir.writing.NirMetadata`.

    Raises:
        ParameterError: the neurons are no leaky integrators, or start at their biases;
            NIR has neither.
    """
    network = trained.network
    neuron = network.neuron
    if not isinstance(neuron, LeakyIntegrateAndFire):
        raise ParameterError(
            f"model.neuron: {neuron.name!r} has no NIR node; allowed in a graph: 'lif'"
        )
    if neuron.starts_at_bias:
        raise ParameterError(
            "model.bias: 'initial' has no place in NIR, which states no initial "
            "potentials; allowed in a graph: true or false"
        )
    chain: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array(network.input.out_shape))
    }
    recurrent: dict[str, nir.NIRNode] = {}
    edges: list[Edge] = []
    for number, (threshold, decay) in enumerate(_constants(network), start=1):
        connection = network.forward_connections[number - 1]
        before = network.nodes[network.sources[connection.name][0]]
        if isinstance(before, Pooling):
            chain[f"pooling{number}"] = _pooling(before)
        if isinstance(connection, Dense) and len(before.out_shape) > 1:
            shape = {"input": np.array(before.out_shape)}
            chain[f"flatten{number}"] = nir.Flatten(shape, start_dim=0, end_dim=-1)
        weight = trained.state[f"layer{number}.synapses.weight"]
        bias = trained.state.get(f"layer{number}.synapses.bias")
        chain[f"synapses{number}"] = _synapses(connection, weight, bias)
        neurons = f"neurons{number}"
        chain[neurons] = _neurons(threshold, decay, network.target_of(connection))
        loop = f"recurrent{number}"
        own_weight = trained.state.get(f"layer{number}.recurrent.weight")
        if own_weight is not None:
            recurrent[loop] = nir.Linear(_copied(own_weight))
            edges += [(neurons, loop), (loop, neurons)]
    chain["output"] = nir.Output(np.array([network.n_output]))
    return nir.NIRGraph(
        chain | recurrent,
        [*pairwise(chain), *edges],
        _metadata(trained, neuron),
        # nir's check takes the channels of one group of a convolution for those of its
        # whole input.
        type_check=all(node.groups == 1 for node in network.of(Convolution)),
    )


def _metadata(trained: Checkpoint, neuron: LeakyIntegrateAndFire) -> dict[str, Any]:
    """Return the entries of `NirMetadata`."""
    encoder = trained.encoder
    is_float = trained.network.quantisation is None
    return {
        "format": FORMAT,
        "version": __version__,
        "dt": DT,
        "step_ms": encoder.step_ms,
        "comparison": ">=",
        "reset": neuron.reset,
        "leak": "decay * u" if is_float else "floor(m u / 256)",
        "input": "spikes" if encoder.input_products is None else "currents",
        "encoding": {
            key: value for key, value in encoder.entry().items() if value is not None
        },
        "pruned": trained.pruned,
        **readout_entry(trained.network.readout),
        **quantisation_section(trained.network, trained.state),
    }


def graph_without_nodes(reason: str) -> nir.NIRGraph:
    """Return an empty graph that says why NIR cannot express a network."""
    return nir.NIRGraph(
        {}, [], {"format": "none", "version": __version__, "reason": reason}
    )


def write_nir(path: str | os.PathLike[str], graph: nir.NIRGraph) -> None:
    """Write a graph atomically.

    `nir.read` opens it, with ``type_check=False`` if a convolution has groups. The same
    graph gives the same bytes with the same versions of nir and HDF5.

    Raises:
        ArtifactError: the file system refuses.
    """
    stream = io.BytesIO()
    nir.write(stream, graph)
    write_bytes(path, stream.getvalue())


def _constants(network: Network) -> list[tuple[float, float]]:
    """Return threshold and decay of each layer after the input."""
    if network.quantisation is None:
        return neuron_constants(network)
    layers = layer_constants(network)
    return [(layer.value(layer.threshold), layer.decay) for layer in layers]


def _pooling(node: Pooling) -> nir.NIRNode:
    pool = nir.AvgPool2d if node.average else nir.SumPool2d
    windows = node.windows
    return pool(
        np.array(windows.kernel), np.array(windows.stride), np.array(windows.padding)
    )


def _synapses(
    node: Connection, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
) -> nir.NIRNode:
    if isinstance(node, Dense):
        if bias is None:
            return nir.Linear(_copied(weight))
        return nir.Affine(_copied(weight), _copied(bias))
    windows = node.windows
    return nir.Conv2d(
        input_shape=node.in_shape[1:],
        weight=_copied(weight),
        stride=windows.stride,
        padding=windows.padding,
        dilation=windows.dilation,
        groups=node.groups,
        bias=np.zeros(len(weight), np.float32) if bias is None else _copied(bias),
    )


def _neurons(threshold: float, decay: float, population: Node) -> nir.NIRNode:
    assert isinstance(population, Neurons)
    ones = np.ones(population.out_shape)
    zeros = np.zeros(population.out_shape)
    if decay == 1:
        if not population.spikes:
            return nir.I(r=ones / DT)
        return nir.IF(r=ones / DT, v_threshold=threshold * ones, v_reset=zeros)
    tau = DT / (1 - decay)
    if not population.spikes:
        return nir.LI(tau=tau * ones, r=tau / DT * ones, v_leak=zeros)
    return nir.LIF(
        tau=tau * ones,
        r=tau / DT * ones,
        v_leak=zeros,
        v_threshold=threshold * ones,
        v_reset=zeros,
    )


def _copied(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy an array: simulators make tensors of a graph's arrays, and train them."""
    return np.array(values, dtype=np.float32, order="C")
