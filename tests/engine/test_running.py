"""Running a network needs nothing that trains one."""

import subprocess

from tests.tools.processes import start_python

# Runs in a process of its own: others may have imported a trainer.
MEASURE = """
import sys
import numpy as np
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network

made = []

def profile(frame, event, _):
    if frame.f_code.co_name == "__init__":
        made.append(type(frame.f_locals.get("self")))

network = Network.of_layers(9, (20, 6), 3)
shapes = network.parameter_shapes()
state = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
sys.setprofile(profile)
measured = measure_network(state, network, EventList.from_dense(np.ones((2, 4, 9))))
assert measured.counts.totals["output"] > 0
sys.setprofile(None)
assert LearningSettings not in made
print("\\n".join(sys.modules))
"""

TRAINING = (
    "spikejoule.training",
    "spikejoule.engine.learning",
    # The tables of convolutions.
    "spikejoule.engine.chain",
    "spikejoule.engine.kernels.chain",
)


def test_a_fully_connected_network_imports_no_training() -> None:
    process = start_python("-c", MEASURE, stdout=subprocess.PIPE)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    imported = output.split()
    assert "spikejoule.engine.event" in imported
    assert not [name for name in imported if name.startswith(TRAINING)]
