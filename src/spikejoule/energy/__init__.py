"""From counts to joules: integer counts, prices with their sources, comparisons, break-even."""

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.energy.analysis import EnergyAnalysis, analyse
from spikejoule.energy.inputs import AnalysisInputs, RecordedAccuracy
from spikejoule.energy.operations import MeanOperations, OperationCounts
from spikejoule.energy.prices import Price
from spikejoule.energy.pricing import PricedEnergy, price
from spikejoule.energy.profile_files import load_profiles, select_profile
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.spiking_operations import InputMacs, count_operations, mean_operations
from spikejoule.energy.statistics import BootstrapSettings
from spikejoule.energy.training_counts import EpochSpikes, TrainingRecord
from spikejoule.evaluation.measurement import ConnectionProxy, EnergyProxies, energy_proxies

__all__ = [
    "AnalysisInputs",
    "BaselineCounts",
    "BootstrapSettings",
    "ConnectionProxy",
    "EnergyAnalysis",
    "EnergyProxies",
    "EpochSpikes",
    "HardwareProfile",
    "InputMacs",
    "MeanOperations",
    "OperationCounts",
    "Price",
    "PricedEnergy",
    "RecordedAccuracy",
    "TrainingRecord",
    "analyse",
    "count_operations",
    "energy_proxies",
    "load_profiles",
    "mean_operations",
    "price",
    "select_profile",
]
