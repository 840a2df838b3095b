"""Where `engine.kernels.layout` finds the network."""

from spikejoule.model.network import Network as Architecture

__all__ = ["Architecture"]
