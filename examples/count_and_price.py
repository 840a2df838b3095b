"""Count a network's operations per image, and price them on several kinds of hardware.

The network is not trained: counts and prices need only weights and spikes. To price a
trained network, give the path of a complete checkpoint as argument.
"""

import sys

from spikejoule.data.sources.mnist5k import load_mnist5k
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import load_profiles, price
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.network import Network
from spikejoule.network.torch_twin import initial_state


def main(arguments: list[str]) -> None:
    images = load_mnist5k().test.select(slice(200))
    if arguments:
        checkpoint = Checkpoint.read(arguments[0])
        network = checkpoint.network
        encoder = checkpoint.encoder
        state = checkpoint.state
        pruned = checkpoint.pruned
    else:
        network = Network.of_layers(784, (400,), 10)
        pruned = False
        encoder = Poisson(time_window=50, max_rate=80.0)
        state = {
            name: 3 * w.numpy() for name, w in initial_state(network, seed=1).items()
        }

    events = encoder.events(
        images.images, encoder.draw_key(42, "test", 0), images.index
    )
    measured = measure_network(state, network, events, pruned=pruned)
    for name, spikes in measured.counts.means.items():
        print(f"{name:8} {spikes:10.1f} spikes per inference")
    activity = measured.activity()
    events = activity.synaptic_events_per_inference
    print(f"{events:,.0f} synaptic events per inference, ", end="")
    print(f"{100 * activity.sparsity_ratio:.2f} % of the dense operations\n")

    counts = count_operations(measured)
    for profile in load_profiles().values():
        low, _, high = price(counts, profile).mean(axis=1) / 1000
        print(f"{profile.title:45} {low:12,.1f} to {high:12,.1f} nJ  ({profile.scope})")
    if not 0 < activity.sparsity_ratio < 1 or 0 in measured.counts.totals.values():
        sys.exit("error: the network is silent, or not sparse.")


if __name__ == "__main__":
    main(sys.argv[1:])
