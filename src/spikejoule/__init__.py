"""Spike-driven digit recognition whose every spike is counted and priced in joules.

Images (`data`) become lists of spike events (`spikes`), a network of leaky integrate-and-fire
neurons (`model`, `engine`) learns from them (`learn`), every spike is counted (`measure`), and the
counts become energy figures (`energy`).

Nothing heavy is imported here: take what you need from the packages.
"""

from spikejoule.core.version import __version__

__all__ = ["__version__"]
