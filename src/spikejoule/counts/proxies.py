"""The energy proxies, as the seed notebook calls them: the operations of one inference,
counted by event and counted densely.

For the connection that leads from layer l to layer l + 1, T steps, and S_l spikes that
layer l emits during one inference (a mean over samples),

    synaptic events  = S_l * fan_out_l                an accumulate for each synapse a
    spike reaches dense operations = N_l * fan_out_l * T            every synapse in
    every step, removed or not sparsity ratio   = synaptic events / dense operations,
    the mean firing probability of a step

and both counts are summed over the connections. N_l are the units before pooling, whose
spikes are counted, so that no ratio is above 1. The products of constant currents,
which are no events, are a count of their own beside them. Bias additions and the leak,
which both ways of computing need, are in neither count: they are terms of their own
(Lemaire et al. 2022, arXiv:2210.13107, eq. 2.3 and 2.4).
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from spikejoule.counts.records import Activity


@dataclass(frozen=True)
class ConnectionProxies:
    """The proxies of one connection, per inference.

    Attributes:
        name: of the connection, ``input_to_hidden`` and so on.
        spikes_per_inference: that enter it, a mean.
        fan_out: the most synapses that a spike reaches.
        synapses: of all.
        synaptic_events_per_inference: a mean.
        dense_operations_per_inference: every synapse in every step.
        sparsity_ratio: of the two, 0 to 1.
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
        connections: the proxies of each weight matrix.
        formula_synaptic_events: how the events were computed; with one hidden layer as
            the seed words it.
        input_macs_per_inference: multiply-accumulates of constant currents; None for an
            input of spikes.
    """

    formula_dense: ClassVar[str] = "N_synapses * TIME_WINDOW"

    connections: tuple[ConnectionProxies, ...]
    formula_synaptic_events: str
    input_macs_per_inference: float | None = None

    @property
    def synaptic_events_per_inference(self) -> float:
        """Sum over the weight matrices of spikes x fan-out."""
        return sum(
            connection.synaptic_events_per_inference for connection in self.connections
        )

    @property
    def dense_operations_per_inference(self) -> int:
        """Synapses x steps."""
        return sum(
            connection.dense_operations_per_inference for connection in self.connections
        )

    @property
    def sparsity_ratio(self) -> float:
        """Synaptic events over dense operations, dimensionless, 0 to 1."""
        return self.synaptic_events_per_inference / self.dense_operations_per_inference

    def as_metrics(self) -> dict[str, Any]:
        """What a command prints as JSON: totals per inference, and each weight matrix
        by name.
        """
        return {
            "dense_operations_per_inference": self.dense_operations_per_inference,
            "synaptic_events_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            **self._further(),
        }

    def as_checkpoint_entry(self) -> dict[str, Any]:
        """The entry `energy_proxies` of the complete checkpoint: the same under the
        seed's keys.

        The seed's schema has no key `per_layer`.
        """
        return {
            "dense_ops_per_inference": self.dense_operations_per_inference,
            "event_syn_per_inference": self.synaptic_events_per_inference,
            "sparsity_ratio": self.sparsity_ratio,
            "formula_event_syn": self.formula_synaptic_events,
            "formula_dense": self.formula_dense,
            **self._further(),
        }

    def _further(self) -> dict[str, Any]:
        """What both forms name alike."""
        macs = self.input_macs_per_inference
        of_input = {} if macs is None else {"input_macs_per_inference": macs}
        per_layer = {
            connection.name: asdict(connection) for connection in self.connections
        }
        return {**of_input, "per_layer": per_layer}


def energy_proxies(activity: Activity) -> EnergyProxies:
    """The proxies of a network, at the mean of what its samples did."""
    network = activity.network
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
    """How the synaptic events were computed."""
    network = activity.network
    if activity.pruned:
        return "sum over spikes of the synapses that are left"
    if len(network.connections) == 2:
        return "S_in * fanout_in_h + S_hidden * fanout_h_out"
    return " + ".join(
        f"S_{'+'.join(network.sources[name])} * fanout_{name}"
        for name in network.connection_names
    )
