"""From counts to joules: integer counts, prices with their sources, comparisons, break-even."""

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.counts.proxies import EnergyProxies, energy_proxies
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis, analyse
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.operations import OperationCounts, count_operations
from spikejoule.energy.prices import HardwareProfile, load_profiles, price, select_profile
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
