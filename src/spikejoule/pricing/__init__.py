"""Models of torch, of whatever simulator, counted while they run.

From a model and samples to a report that is printed, saved and checked (`pricing`): what is known
of its modules (`populations`, `reach`, and one file a simulator), giving it the samples
(`running`), counting (`watching`), and what was counted as a network, beside the networks to
compare with (`counted`). Beside it: what other tools count of the same run (`other_counters`), and
whether a graph is the module that it was exported from (`verifying`).
"""

from spikejoule.nir.verified import Verification
from spikejoule.pricing.counted import Baseline
from spikejoule.pricing.other_counters import count_as
from spikejoule.pricing.populations import Population
from spikejoule.pricing.pricing import Report, price
from spikejoule.pricing.verifying import verify

__all__ = ["Baseline", "Population", "Report", "Verification", "count_as", "price", "verify"]
