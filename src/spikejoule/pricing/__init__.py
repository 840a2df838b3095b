"""PyTorch models of any simulator, counted while they run, and priced.

price_model     `price`: a model and samples in, a `Report` out
running         read the samples, and run the model on them batch by batch
watching        hooks on the modules of a model: what enters and leaves them is counted
tensors         which axes of a tensor are time and samples, and what the tensor holds
neurons         how neurons are counted; one file of `simulators` says it for one
                simulator
layers          the PyTorch layers that are counted: how many synapses an input unit
                reaches
counted         what was counted, as a network and its activity
report          `Report`: what an inference takes, printed, saved and checked
conventional    `Baseline`: a conventional network to compare with, counted on the same
                samples

verify_graph    `verify`: whether a NIR graph does what its model does, spike by spike
other_counters  `count_as`: what NeuroBench, SpikingJelly and PyTorch count in the same
                run
"""

from spikejoule.nir.verification import Verification
from spikejoule.pricing.conventional import Baseline
from spikejoule.pricing.neurons import Population
from spikejoule.pricing.other_counters import count_as
from spikejoule.pricing.price_model import price
from spikejoule.pricing.report import Report
from spikejoule.pricing.verify_graph import verify

__all__ = [
    "Baseline",
    "Population",
    "Report",
    "Verification",
    "count_as",
    "price",
    "verify",
]
