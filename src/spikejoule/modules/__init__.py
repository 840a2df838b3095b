"""Models of torch, of whatever simulator, counted while they run.

From a model and samples to a report that is printed, saved and checked (`pricing`): what is known
of its modules (`populations`, `reach`, and one file a simulator), giving it the samples
(`running`), counting (`watching`), and what was counted as a network, beside the networks to
compare with (`counted`). Beside it: what other tools count of the same run (`other_counters`), and
whether a graph is the module that it was exported from (`verifying`).
"""

from spikejoule.graphs.verified import Verification
from spikejoule.modules.counted import Baseline
from spikejoule.modules.other_counters import count_as
from spikejoule.modules.populations import Population
from spikejoule.modules.pricing import Report, price
from spikejoule.modules.verifying import verify

__all__ = ["Baseline", "Population", "Report", "Verification", "count_as", "price", "verify"]
