"""Models of torch, of whatever simulator, counted while they run.

From a model and samples to a report (`pricing`): what is known of its modules (`populations`,
`reach`, and one file a simulator), giving it the samples (`running`), counting (`watching`), what
was counted as a network (`counted`), the networks to compare with (`conventional`), and what is
printed, saved and checked (`report`). Beside it: what other tools count of the same run
(`other_counters`), and whether a graph is the module that it was exported from (`verifying`).
"""

from spikejoule.graphs.verified import Verification
from spikejoule.modules.conventional import Baseline
from spikejoule.modules.other_counters import count_as
from spikejoule.modules.populations import Population
from spikejoule.modules.pricing import price
from spikejoule.modules.report import Report
from spikejoule.modules.verifying import verify

__all__ = ["Baseline", "Population", "Report", "Verification", "count_as", "price", "verify"]
