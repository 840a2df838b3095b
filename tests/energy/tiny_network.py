"""A network of 3-2-2 over 3 steps, worked out by hand: potentials v, threshold 1, decay
0.5.

step   input   hidden 0           hidden 1             output 0          output 1
0      0, 1    0.6 + 0.5 = 1.1 *  0.7                  1.2 + 0.1 = 1.3 * 0.4
1      1       0.5                0.35 + 0.7 = 1.05 *  0.3 + 0.1 = 0.4   0.2 + 0.9 = 1.1
       *
2      1, 2    0.25 + 0.5 = 0.75  0.7 + 0.4 = 1.1 *    0.2 + 0.4 = 0.6   0.9

(* spikes, and is reset to zero): 5 spikes of the input, 3 hidden ones, 2 of the output.
"""

import numpy as np

from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire

NETWORK = Network.of_layers(3, (2,), 2, LeakyIntegrateAndFire(threshold=1.0, decay=0.5))
STATE = {
    "layer1.synapses.weight": np.array(
        [[0.6, 0.5, 0.0], [0.0, 0.7, 0.4]], dtype=np.float32
    ),
    "layer1.synapses.bias": np.zeros(2, dtype=np.float32),
    "layer2.synapses.weight": np.array([[1.2, 0.3], [0.4, 0.9]], dtype=np.float32),
    "layer2.synapses.bias": np.array([0.1, 0.0], dtype=np.float32),
}
INPUT = [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
HIDDEN = [[1, 0], [0, 1], [0, 1]]
OUTPUT = [[1, 0], [0, 1], [0, 0]]
