"""From counts to joules: integer counts, prices with their sources, comparisons, break-even."""

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.energy.analysis import AnalysisInputs, EnergyAnalysis, analyse
from spikejoule.energy.counting import OperationCounts, count_operations
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import HardwareProfile, load_profiles, price, select_profile
from spikejoule.energy.training import TrainingRecord
from spikejoule.evaluation.measurement import EnergyProxies, energy_proxies

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
