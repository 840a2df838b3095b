"""A run's counts under the names of NeuroBench's metrics, for an entry in its leaderboards.

Yik et al., Nature Communications 16, 2025, doi:10.1038/s41467-025-56739-4; the definitions are
those of its package 2.3:

    Effective_ACs   synaptic events per sample: products with a spike and a weight that is not zero
    Effective_MACs  the same of values that are no spikes
    Dense           all synapses in every step, per sample
    ActivationSparsity   share of (neuron, step) places without a spike
    ConnectionSparsity   share of weights that are zero
    Footprint       bytes of the parameters, and of the states of the neurons

NeuroBench decides in every call anew whether an input holds spikes, by its values; here a node that
gives spikes by its kind does. It counts no operation with a weight of zero; here one counts, unless
the graph is run as ``pruned``.
"""

from typing import Any

import numpy as np

from spikejoule.energy.inputs import AnalysisInputs
from spikejoule.graphs.counts import GraphRun
from spikejoule.graphs.network import Convolution, Dense, Neurons

_WORD_BYTES = 4


def neurobench_results(run: GraphRun, inputs: AnalysisInputs) -> dict[str, Any]:
    """What NeuroBench's `Benchmark.run` returns, as far as a graph has it, in float32."""
    nodes = run.plan.nodes
    weights = [node.weight for node in nodes if isinstance(node, Dense | Convolution)]
    biases = [node.bias for node in nodes if isinstance(node, Dense | Convolution)]
    neurons = [node for node in nodes if isinstance(node, Neurons)]
    n_weights = sum(weight.size for weight in weights)
    places = run.n_samples * run.n_steps * sum(node.n_out for node in neurons if node.spikes)
    spikes = sum(int(run.of("spikes", node.name).sum()) for node in neurons if node.spikes)
    parameters = n_weights + sum(bias.size for bias in biases if bias is not None)
    parameters += sum(values.size for node in neurons for values in node.parameters.values())
    states = sum(node.n_out * (2 if node.has_current else 1) for node in neurons)
    results: dict[str, Any] = {
        "SynapticOperations": {
            "Effective_ACs": inputs.proxies.synaptic_events_per_inference,
            "Effective_MACs": inputs.value_macs_per_inference or 0.0,
            "Dense": float(inputs.proxies.dense_operations_per_inference),
        },
        "ConnectionSparsity": sum(int(np.sum(weight == 0)) for weight in weights) / n_weights,
        "Footprint": _WORD_BYTES * (parameters + states),
    }
    if places:
        results["ActivationSparsity"] = 1 - spikes / places
    if inputs.accuracy is not None:
        results["ClassificationAccuracy"] = inputs.accuracy.percent / 100
    return results
