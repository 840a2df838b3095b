"""The original notebook's energy proxies: operations per inference, by event and dense.

For the connection from layer l to layer l + 1, T steps, and S_l mean spikes of layer l
per inference,

    synaptic events  = S_l * fan_out_l        one accumulate per synapse of a spike
    dense operations = N_l * fan_out_l * T    every synapse, removed or not, each step
    sparsity ratio   = synaptic events / dense operations

The sparsity ratio is the mean firing probability of a step. Both counts are summed over
the connections. N_l counts units before pooling, whose spikes are counted, so no ratio
of a trained network exceeds 1; in an imported graph several layers may send to one
connection, and each adds its spikes. Products of constant currents are not events and
are counted separately. Leaks and bias additions occur in both ways of computing and are
terms of their own (Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3 and 2.4).
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from spikejoule.counts.records import Activity


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


@dataclass(frozen=True)
class EnergyProxies:
    """The proxies of a whole network.

    Attributes:
        connections: the proxies of each connection.
        formula_synaptic_events: how the events were computed; with one hidden layer in
            the seed's words.
        input_macs_per_inference: mean multiply-accumulates of constant currents; None
            for an input of spikes.
    """

    formula_dense: ClassVar[str] = "N_synapses * TIME_WINDOW"

    connections: tuple[ConnectionProxies, ...]
    formula_synaptic_events: str
    input_macs_per_inference: float | None = None

    @property
    def synaptic_events_per_inference(self) -> float:
        """Synaptic events of all connections."""
        return sum(
            connection.synaptic_events_per_inference for connection in self.connections
        )

    @property
    def dense_operations_per_inference(self) -> int:
        """Dense operations of all connections."""
        return sum(
            connection.dense_operations_per_inference for connection in self.connections
        )

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference

    def as_metrics(self) -> dict[str, Any]:
        """Return totals per inference, and each connection by name, for JSON."""
        return {
            "dense_operations_per_inference": self.dense_operations_per_inference,
            "synaptic_events_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            **self._further(),
        }

    def as_checkpoint_entry(self) -> dict[str, Any]:
        """Return the entry `energy_proxies` of checkpoints, with the seed's keys."""
        return {
            "dense_ops_per_inference": self.dense_operations_per_inference,
            "event_syn_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            "formula_event_syn": self.formula_synaptic_events,
            "formula_dense": self.formula_dense,
            **self._further(),
        }

    def _further(self) -> dict[str, Any]:
        """Return the entries that both forms share."""
        macs = self.input_macs_per_inference
        of_input = {} if macs is None else {"input_macs_per_inference": macs}
        per_layer = {
            connection.name: asdict(connection) for connection in self.connections
        }
        return {**of_input, "per_layer": per_layer}


def energy_proxies(activity: Activity) -> EnergyProxies:
    """Compute the proxies of a network from the mean of its counts."""
    network = activity.spiking
    connections = []
    for node in network.connections:
        fan_out = node.fan_out()
        dense = int(network.fan_out_of(node).sum()) * activity.time_window
        counted = activity.counts[node.name].events
        events = 0.0 if counted is None else float(counted.mean())
        spikes = sum(
            float(activity.spikes_of(name).mean()) for name in network.senders_of(node)
        )
        connections.append(
            ConnectionProxies(
                name=node.name,
                spikes_per_inference=float(spikes),
                fan_out=int(fan_out.max()),
                synapses=int(fan_out.sum()),
                synaptic_events_per_inference=events,
                dense_operations_per_inference=dense,
                sparsity_ratio=events / dense,
            )
        )
    macs = None if activity.products is None else float(activity.macs.mean())
    return EnergyProxies(tuple(connections), _formula(activity), macs)


def _formula(activity: Activity) -> str:
    """Say how the synaptic events were computed."""
    network = activity.network
    if activity.pruned:
        return "sum over spikes of the synapses that are left"
    if len(network.connections) == 2:
        return "S_in * fanout_in_h + S_hidden * fanout_h_out"
    return " + ".join(
        f"S_{'+'.join(network.sources[name])} * fanout_{name}"
        for name in network.connection_names
    )
