"""From counts to joules: integer counts, prices with their sources, comparisons,
break-even.

terms, terms.csv        every kind of operation, a row each
operations              counts of operations, and those of a spiking network
conventional, training  those of a conventional network, and of a training
prices, hardware.yaml   price lists, a profile each
estimates               energies, their intervals, and energies in words
ledger, variant_file    counts times prices, row by row; the file of counted networks
front, comparison       the front of conventional networks, and ratios to it
published               conventional networks that the study publishes
break_even, contents    where a network stops winning; what a total holds
from_checkpoint         what a complete checkpoint gives an analysis
from_graph              what a NIR graph or a PyTorch model gives one
analysis                all of it together
outputs, notes, words   tables and JSON, notes, and sentences (the folder `sentences`)
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
