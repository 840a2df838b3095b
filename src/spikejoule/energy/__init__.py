"""From spike counts to energy: for now the proxies, operation counts that no price is put on."""

from spikejoule.energy.proxies import EnergyProxies, LayerProxy, energy_proxies

__all__ = ["EnergyProxies", "LayerProxy", "energy_proxies"]
