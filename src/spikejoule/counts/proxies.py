"""The original notebook's energy proxies, as entries of files.

For the connection from layer l to layer l + 1, T steps, and S_l mean spikes of layer l
per inference,

    synaptic events  = S_l * fan_out_l        one accumulate per synapse of a spike
    dense operations = N_l * fan_out_l * T    every synapse, removed or not, each step
    sparsity ratio   = synaptic events / dense operations

The sparsity ratio is the mean firing probability of a step. Both counts are summed over
the connections (`Activity`). N_l counts units before pooling, whose spikes are counted,
so no ratio of a trained network exceeds 1; in an imported graph several layers may send
to one connection, and each adds its spikes. Products of constant currents are not
events and are counted separately. Leaks and bias additions occur in both ways of
computing and are terms of their own (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3 and
2.4).
"""

from dataclasses import asdict, dataclass
from typing import Any

from spikejoule.counts.records import Activity
from spikejoule.network.nodes import Connection


@dataclass(frozen=True)
class ConnectionProxies:
    """The proxies of one connection, per inference.

    Attributes:
        name: name of the connection, such as ``input_to_hidden``.
        spikes_per_inference: mean spikes that enter it.
        fan_out: largest fan-out of a spike.
        synapses: number of synapses.
        synaptic_events_per_inference: mean.
        dense_operations_per_inference: every synapse in every step.
        sparsity_ratio: ratio of the two, 0 to 1.
    """

    name: str
    spikes_per_inference: float
    fan_out: int
    synapses: int
    synaptic_events_per_inference: float
    dense_operations_per_inference: int
    sparsity_ratio: float


def connection_proxies(activity: Activity, connection: Connection) -> ConnectionProxies:
    """Compute the proxies of a connection from the mean of its counts."""
    senders = activity.spiking.senders_of(connection)
    spikes = sum(float(activity.spikes_of(name).mean()) for name in senders)
    fan_out = connection.fan_out()
    events = activity.mean_events_of(connection)
    dense = activity.dense_operations_of(connection)
    return ConnectionProxies(
        name=connection.name,
        spikes_per_inference=float(spikes),
        fan_out=int(fan_out.max()),
        synapses=int(fan_out.sum()),
        synaptic_events_per_inference=events,
        dense_operations_per_inference=dense,
        sparsity_ratio=events / dense,
    )


def proxy_metrics(activity: Activity) -> dict[str, Any]:
    """Return totals per inference, and each connection by name, for JSON."""
    return {
        "dense_operations_per_inference": activity.dense_operations_per_inference,
        "synaptic_events_per_inference": activity.synaptic_events_per_inference,
        "sparsity_ratio": activity.sparsity_ratio,
        **_in_both(activity),
    }


def checkpoint_proxies(activity: Activity) -> dict[str, Any]:
    """Return the entry `energy_proxies` of checkpoints, with the seed's keys."""
    return {
        "dense_ops_per_inference": activity.dense_operations_per_inference,
        "event_syn_per_inference": activity.synaptic_events_per_inference,
        "sparsity_ratio": activity.sparsity_ratio,
        "formula_event_syn": _formula(activity),
        "formula_dense": "N_synapses * TIME_WINDOW",
        **_in_both(activity),
    }


def _in_both(activity: Activity) -> dict[str, Any]:
    """Return the entries that both forms share."""
    macs = activity.input_macs_per_inference
    of_input = {} if macs is None else {"input_macs_per_inference": macs}
    per_layer = {
        node.name: asdict(connection_proxies(activity, node))
        for node in activity.network.connections
    }
    return {**of_input, "per_layer": per_layer}


def _formula(activity: Activity) -> str:
    """Say how the synaptic events were computed: one hidden layer in the seed's words.

    That is how checkpoints of the original notebook name them.
    """
    network = activity.network
    if activity.pruned:
        return "sum over spikes of the synapses that are left"
    if len(network.connections) == 2:
        return "S_in * fanout_in_h + S_hidden * fanout_h_out"
    return " + ".join(
        f"S_{'+'.join(network.sources[name])} * fanout_{name}"
        for name in network.connection_names
    )
