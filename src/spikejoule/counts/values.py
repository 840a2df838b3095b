"""The activity of a conventional network, from the activations of its layers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, Counts, NodeCounts
from spikejoule.network.conventional import ConventionalNetwork


def nonzero_products(
    network: ConventionalNetwork, layers: Sequence[NDArray[np.number]], pruned: bool
) -> NDArray[np.int64]:
    """Count the products of nonzero activations of each sample, int64 [N, K].

    A nonzero activation is multiplied by every weight left in its column.

    Args:
        network: K fully connected layers, with their weights.
        layers: activations [N, units] of every layer, the input first; those of the
            last reach no weight.
        pruned: whether a weight of 0 is no weight.
    """
    # In float64, where matrix products are fast and such sums exact.
    products = [
        (values != 0).astype(np.float64) @ connection.fan_out(pruned).astype(np.float64)
        for values, connection in zip(layers[:-1], network.connections, strict=True)
    ]
    return np.stack(products, axis=1).astype(np.int64)


def activity_of_products(
    network: ConventionalNetwork,
    macs: Counts,
    pruned: bool = False,
    samples: NDArray[np.int64] | None = None,
) -> Activity:
    """Return what a conventional network did.

    Args:
        network: K connections.
        macs: products of nonzero activations, [N, K].
        pruned: whether a weight of 0 is no weight; the network then has its weights.
        samples: samples of each row, [N]; None for one each.
    """
    times = np.ones(len(macs), np.int64) if samples is None else samples
    counts = {}
    for number, connection in enumerate(network.connections):
        counts[connection.name] = NodeCounts(macs=macs[:, number])
        units = network.target_of(connection)
        passed_on = times * units.n_out
        counts[units.name] = NodeCounts(
            values=passed_on,
            biases=passed_on if network.bias_words(connection) else None,
        )
    for node in network.rectified:
        known = counts.get(node.name, NodeCounts())
        counts[node.name] = known.with_comparisons(times * node.n_out)
    return Activity(
        network=network,
        time_window=1,
        counts=counts,
        pruned=pruned,
        samples=samples,
    )
