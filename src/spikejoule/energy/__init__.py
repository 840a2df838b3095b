"""From counts to joules: operation counts, sourced prices, comparisons, break-even.

terms, terms.csv        every kind of operation, one row each
operations              operation counts, and those of spiking networks
conventional, training  counts of conventional networks, and of training
prices, hardware.yaml   price lists
estimates               energies, their intervals, and energies in words
ledger                  counts times prices, row by row
front, comparison       the Pareto front of conventional networks, and ratios to it
published               published conventional networks
break_even, contents    where a network stops winning; what a total includes
exchange                what a multiply-accumulate must cost for it to win
from_checkpoint         the analysis of a trained network
from_counts             the analysis of a network that is counted while it runs
from_graph              the analysis of a NIR graph
analysis                everything together
outputs, notes, words   tables and JSON, notes, and sentences (folder `sentences`)
"""

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.counts.proxies import EnergyProxies, energy_proxies
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis, analyse
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.operations import OperationCounts, count_operations
from spikejoule.energy.prices import (
    HardwareProfile,
    load_profiles,
    price,
    select_profile,
)
from spikejoule.energy.training import TrainingRecord

__all__ = [
    "AnalysisInputs",
    "BaselineCounts",
    "BootstrapSettings",
    "EnergyAnalysis",
    "EnergyProxies",
    "HardwareProfile",
    "OperationCounts",
    "TrainingRecord",
    "analyse",
    "count_operations",
    "energy_proxies",
    "load_profiles",
    "price",
    "select_profile",
]
